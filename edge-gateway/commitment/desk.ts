import { setTimeout as sleep } from 'node:timers/promises';
import type { CommitmentReport } from '../../dicom/storageCommitment.ts';
import type { TakenCommitment } from '../../domain/commitment.ts';
import { findWaiting } from '../spool/waiting.ts';
import { CommitmentFolder } from './folder.ts';

export interface DeskTimes {
  readonly lookMs: number;
  /** For the gateway to take an offer: it looks several times a second. */
  readonly takeMs: number;
  /** For the requestor to answer: longer than the gateway waits for it. */
  readonly answerMs: number;
}

const usual: DeskTimes = { lookMs: 100, takeMs: 3_000, answerMs: 90_000 };

/** A gateway's requests of storage commitment as the worker beside it sees them. */
export function commitmentDesk(spoolDir: string, times: DeskTimes = usual) {
  const folder = new CommitmentFolder(spoolDir);
  return {
    read: (transactionUID: string): Promise<TakenCommitment | undefined> => folder.read(transactionUID),
    findWaiting: (sopInstanceUIDs: ReadonlySet<string>): Promise<ReadonlySet<string>> => findWaiting(spoolDir, sopInstanceUIDs),
    remove: (transactionUID: string): Promise<void> => folder.remove(transactionUID),
    async tellOnItsAssociation(report: CommitmentReport, signal: AbortSignal): Promise<number | undefined> {
      const { transactionUID } = report;
      if (!await folder.isOpen(transactionUID)) return undefined;
      await folder.takeAnswer(transactionUID);
      await folder.offer(report);
      const offeredAt = Date.now();
      for (let isTaken = false; ; await sleep(times.lookMs, undefined, { signal })) {
        const answer = await folder.takeAnswer(transactionUID);
        if (answer) return answer.status;
        const waitedMs = Date.now() - offeredAt;
        if (waitedMs > times.answerMs) return undefined;
        if (isTaken || waitedMs < times.takeMs) continue;
        if (await folder.withdraw(transactionUID)) return undefined;
        isTaken = true;
      }
    },
  };
}
