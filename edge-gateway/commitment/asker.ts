import { setTimeout as sleep } from 'node:timers/promises';
import { statusClass, status, describeStatus } from '../../dicom/status.ts';
import type { CommitmentReport, CommitmentRequest } from '../../dicom/storageCommitment.ts';
import { CommitmentNotAccepted, requestCommitment } from '../scu/commitment.ts';
import { describePeer, type Peer } from '../scu/errors.ts';
import { AskedFolder } from './asked.ts';
import { takeReport } from './takeReport.ts';

/** What is known of a commitment that was asked. */
export interface Asked {
  /** ISO 8601 UTC. */
  readonly askedAt: string;
  /** Undefined: the destination has not reported yet. */
  readonly report?: CommitmentReport;
}

/** For a report on the association that asks; later ones come to the gateway. */
const graceMs = 10_000;
/** The report may come to the gateway meanwhile. */
const lookMs = 200;

/**
 * Asks destinations of a gateway for storage commitment, as SCU. Each Transaction UID is asked once; when a worker died while it asked, it is
 * asked again, and a destination that knows it already has taken it.
 */
export function commitmentAsker(spoolDir: string, now: () => Date = () => new Date(), reportGraceMs = graceMs) {
  const folder = new AskedFolder(spoolDir);
  return {
    /** @throws as `requestCommitment`; `CommitmentNotAccepted` when the answer is a failure */
    async ask(peer: Peer, request: CommitmentRequest, signal: AbortSignal): Promise<Asked> {
      const { transactionUID } = request;
      const before = await folder.read(transactionUID);
      const askedAt = before?.askedAt ?? now().toISOString();
      if (!before?.isAccepted) {
        // A report may be there before the answer is.
        await folder.note({ transactionUID, askedAt, isAccepted: false });
        try {
          await requestCommitment(peer, request, { signal,
            grace: (ended) => untilReported(folder, transactionUID, reportGraceMs, ended),
            onRequest: (event) => takeReport(folder, event),
            onAnswer: async (code) => {
              if (!isTaken(code, before !== undefined)) throw new CommitmentNotAccepted(`${describePeer(peer)} answered N-ACTION by ${describeStatus(code)}`);
              await folder.note({ transactionUID, askedAt, isAccepted: true });
            } });
        } catch (error) {
          if (!(await folder.read(transactionUID))?.isAccepted && !signal.aborted) await folder.forget(transactionUID);
          if (!(await folder.read(transactionUID))?.isAccepted) throw error;
        }
      }
      const report = await folder.readReport(transactionUID);
      return { askedAt, ...(report && { report }) };
    },
    /** Its report was written down. Idempotent. */
    forget: (transactionUID: string): Promise<void> => folder.forget(transactionUID),
  };
}

async function untilReported(folder: AskedFolder, transactionUID: string, forMs: number, ended: AbortSignal): Promise<void> {
  for (const until = Date.now() + forMs; Date.now() < until && !ended.aborted && !await folder.readReport(transactionUID); await sleep(Math.min(lookMs, forMs)));
}

const isTaken = (code: number, wasAskedBefore: boolean): boolean =>
  statusClass(code) === 'success' || statusClass(code) === 'warning' || (wasAskedBefore && code === status.duplicateTransactionUID);
