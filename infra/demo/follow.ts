import { setTimeout as sleep } from 'node:timers/promises';
import type { Receiver } from '../demo.ts';
import type { DemoApi, Flow } from './api.ts';
import type { DemoStudy } from './studies.ts';

export interface StudyCounts {
  readonly accepted: number;
  readonly quarantined: number;
  readonly duplicates: number;
}
export interface Progress {
  readonly found: number;
  readonly counts: StudyCounts;
  readonly text: string;
  readonly done: boolean;
}
export type Followed = (study: DemoStudy) => Progress;

const patienceMs = 120_000;
const begin = Date.now();

/** Shows each study's way, a line whenever something changed, until all have arrived everywhere or patience ends. */
export async function follow(api: DemoApi, studies: readonly DemoStudy[], receiver: Receiver, sending: Promise<void>, signal: AbortSignal): Promise<Followed> {
  let sent = false;
  const failure = sending.then(() => { sent = true; });
  const latest = new Map<string, Progress>();
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline && !signal.aborted; await Promise.race([sleep(500), failure.then(() => sleep(500))])) {
    for (const study of studies) {
      const progress = await look(api, study, receiver);
      if (progress.text !== latest.get(study.modality)?.text) console.log(`${((Date.now() - begin) / 1000).toFixed(1).padStart(6)} s  ${study.modality}  ${progress.text}`);
      latest.set(study.modality, progress);
    }
    if (sent && [...latest.values()].every(({ done }) => done)) break;
  }
  return (study) => latest.get(study.modality) ?? { found: 0, counts: countsOf([]), text: '', done: false };
}

async function look(api: DemoApi, study: DemoStudy, receiver: Receiver): Promise<Progress> {
  const flows = await api.flows(study.studyInstanceUID);
  const found = await api.findInstances(study.studyInstanceUID);
  const instances = Object.values(study.instances);
  const good = instances.filter(({ bad }) => !bad);
  const counts = countsOf(flows.filter(({ type }) => type === 'ingestAssociation'));
  const owner = flows.find(({ type }) => type === 'studyLifecycle');
  const routes = flows.filter(({ type }) => type === 'routeStudy');
  const routed = study.modality === 'CT' ? receiver.received(good.map(({ dataSetSha256 }) => dataSetSha256)) : 0;
  const resent = study.modality === 'CR' ? 2 * good.length : 0;
  const stable = owner?.sentence?.startsWith('Stable') ?? false;
  const text = [
    `archived ${counts.accepted}/${good.length}`, ...(counts.quarantined ? [`quarantined ${counts.quarantined}`] : []),
    ...(counts.duplicates ? [`duplicates ${counts.duplicates}`] : []), `found ${found}/${good.length}`,
    ...(study.modality === 'CT' ? [`routed ${routed}/${good.length}`] : []), owner?.sentence ?? 'waits for its first pack',
  ].join(' · ');
  const done = stable && found === good.length && counts.accepted + counts.quarantined + counts.duplicates === instances.length + resent
    && routes.every(({ state }) => state === 'DONE') && routed === (study.modality === 'CT' ? good.length : 0);
  return { found, counts, text, done };
}

/** An association's counts while it runs, its result once it has ended. */
function countsOf(flows: readonly Flow[]): StudyCounts {
  const sum = (name: string) => flows.reduce((total, { result, counts }) => total + (result?.[name] ?? counts?.[name] ?? 0), 0);
  return { accepted: sum('acceptedCount'), quarantined: sum('quarantinedCount'), duplicates: sum('duplicateCount') };
}
