import { commitmentFailures, type CommitmentReport, type SopReference } from '../dicom/storageCommitment.ts';

/** One transaction of storage commitment: what a requestor asked one gateway (PS3.4 Annex J). */
export interface CommitmentName {
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly transactionUID: string;
}

/** A request as the gateway took it. */
export interface TakenCommitment extends CommitmentName {
  /** UUID made by the gateway: a Transaction UID may be used again when its report was given. */
  readonly requestId: string;
  /** The requestor. */
  readonly callingAETitle: string;
  /** What it calls us, and what the report comes from. */
  readonly calledAETitle: string;
  /** ISO 8601 UTC. */
  readonly receivedAt: string;
  readonly references: readonly SopReference[];
}

/** A reference with what the archive says of it; without a status nothing is known yet. */
export interface JudgedReference extends SopReference {
  /** 0: committed; else the Failure Reason (PS3.3 C.14.1.1). */
  readonly status?: number;
  /** Of the instance that is committed, or that stands in its way. */
  readonly studyInstanceUID?: string;
}

/** A request and how far it is judged: one object in the archive. */
export interface Commitment extends Omit<TakenCommitment, 'references'> {
  readonly references: readonly JudgedReference[];
}

export interface CommitmentCounts {
  readonly committedCount: number;
  readonly failedCount: number;
  /** Nothing is known yet. */
  readonly openCount: number;
}

export function countsOfCommitment({ references }: Pick<Commitment, 'references'>): CommitmentCounts {
  const committedCount = references.filter(({ status }) => status === 0).length;
  const openCount = references.filter(({ status }) => status === undefined).length;
  return { committedCount, openCount, failedCount: references.length - committedCount - openCount };
}

/** What the requestor is told; what nothing is known of is not there. */
export const reportOf = ({ transactionUID, references }: Pick<Commitment, 'transactionUID' | 'references'>): CommitmentReport => ({
  transactionUID,
  committed: references.filter(({ status }) => status === 0).map(plain),
  failed: references.filter(({ status }) => status !== 0).map(({ status, ...reference }) => ({ ...plain(reference), failureReason: status ?? commitmentFailures.noSuchInstance })),
});

const plain = ({ sopClassUID, sopInstanceUID }: SopReference): SopReference => ({ sopClassUID, sopInstanceUID });

/** Whether two requests ask the same: a requestor that had no answer asks again. */
export const isSameCommitment = (a: Pick<TakenCommitment, 'callingAETitle' | 'references'>, b: Pick<TakenCommitment, 'callingAETitle' | 'references'>): boolean =>
  a.callingAETitle === b.callingAETitle && namesOf(a) === namesOf(b);

const namesOf = ({ references }: Pick<TakenCommitment, 'references'>): string =>
  references.map(({ sopClassUID, sopInstanceUID }) => `${sopClassUID} ${sopInstanceUID}`).toSorted().join();

/** The longest pause before the archive is looked at again. */
const maxLookPauseMs = 2 * 60 * 1000;
/** The longest pause before the requestor is told again. */
const maxTellPauseMs = 15 * 60 * 1000;

/** @param looks how often the archive was looked at, from 1 */
export const lookPauseMs = (looks: number): number => Math.min(maxLookPauseMs, 2_000 * 2 ** Math.min(looks - 1, 20));

/** @param attempt the attempt that failed, from 1 */
export const tellPauseMs = (firstRetryMs: number, attempt: number): number => Math.min(maxTellPauseMs, firstRetryMs * 2 ** Math.min(attempt - 1, 20));
