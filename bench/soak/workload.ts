import { setTimeout as sleep } from 'node:timers/promises';
import type { Book } from '../../test/faults/harness/book.ts';
import type { Random } from '../../test/faults/harness/random.ts';
import { byDimse, byStorescu, byStow, sendUntilAccepted, type Transport } from '../../test/faults/harness/senders.ts';
import type { Site } from '../../test/faults/harness/site.ts';
import { makeInstance, makeStudy, moreOf, type Instance, type StudyKind } from '../../test/faults/harness/studies.ts';

export interface WorkloadOptions {
  readonly site: Site;
  readonly book: Book;
  readonly random: Random;
  /** DCMTK's, when it is installed. */
  readonly storescu: string | undefined;
  readonly folder: string;
  readonly isOver: () => boolean;
}

const kinds: readonly StudyKind[] = ['ct', 'ct', 'ct', 'ct', 'mr', 'mr', 'mr', 'mr', 'mr', 'cr', 'us', 'large'];
/** Of one study, faults included. */
const patienceMs = 900_000;

/**
 * Modalities and programs that send studies until the time is over, each one study after the other, resending what had no
 * success. Now and then instances come late, a whole study comes again, or other bytes come under a UID that is taken.
 *
 * @returns the studies that were not wholly accepted in the end
 */
export async function runWorkload({ site, book, random, storescu, folder, isOver }: WorkloadOptions): Promise<readonly string[]> {
  const lanes: readonly (readonly [string, Transport])[] = [
    ['ct1', byDimse], ['mr1', byDimse], ['cr1', byDimse], ['web', byStow], ...(storescu ? [['dcmtk', byStorescu(storescu, folder)] as const] : []),
  ];
  const refused = await Promise.all(lanes.map(([name, transport]) => lane(site, book, random.fork(name), transport, isOver)));
  return refused.flat();
}

async function lane(site: Site, book: Book, random: Random, transport: Transport, isOver: () => boolean): Promise<readonly string[]> {
  const refused: string[] = [];
  const send = async (instances: readonly Instance[]): Promise<void> => {
    const pauseMs = random.between(300, 2_000);
    if (!await sendUntilAccepted(site, { instances }, book, { transport, pauseMs, patienceMs })) refused.push(instances[0]!.studyInstanceUID);
  };
  while (!isOver()) {
    const study = makeStudy(random, random.pick(kinds));
    await send(study.instances);
    const next = random.below(12);
    await sleep(random.between(500, 2_500));
    if (next < 3) await send(moreOf(random, study, random.between(1, 6)));
    if (next === 3) await transport(site, study.instances, book);
    if (next === 4 && transport === byDimse) await send(study.instances.slice(0, 1).map((first) => makeInstance(random, first.shape, first.sopInstanceUID)));
  }
  return refused;
}
