import type { Confirmation } from './tenant.ts';

/** How one instance fared at one destination. */
export interface InstanceDelivery {
  readonly sopInstanceUID: string;
  readonly sha256: string;
  /**
   * `sent`: the destination took it by its word and is yet to confirm it. `skipped`: a person gave it up, so no later flow
   * of a rule asks about the same bytes again.
   */
  readonly state: 'waiting' | 'sent' | 'delivered' | 'refused' | 'skipped';
  readonly attempts: number;
  /** The last DIMSE status (PS3.4 B.2.3) or, for DICOMweb, the failure reason or HTTP status. */
  readonly lastStatus?: number;
  /** What an operator reads about the last attempt. */
  readonly lastProblem?: string;
  /** ISO 8601 UTC. */
  readonly lastAttemptAt?: string;
  readonly nextAttemptAt?: string;
  /** The transfer syntax it was sent in, when the destination does not take the stored one. `sha256` is of the stored bytes all the same. */
  readonly sentAs?: string;
  /** Who gave it up. */
  readonly skippedBy?: string;
  /** How and when the destination confirmed it, beyond its status. */
  readonly confirmed?: { readonly by: Confirmation; readonly at: string };
  /** The flow that delivered it: a new explicit request sends again, a rule does not. */
  readonly deliveredBy?: string;
  /** The flow of a replay that sends it again, or did. */
  readonly replayedBy?: string;
  /** How it stood before each replay, the latest last: what a destination lost is not forgotten here. */
  readonly earlier?: readonly Pick<InstanceDelivery, 'state' | 'lastAttemptAt' | 'deliveredBy'>[];
}

/** What a replay sends again: deliveries that ended so, within a time. */
export interface ReplaySelection {
  /** ISO 8601 UTC. What was delivered after `until`, by this replay or otherwise, is left alone. */
  readonly since: string;
  readonly until: string;
  readonly states: readonly ReplayState[];
}
export const replayStates = ['delivered', 'refused', 'skipped'] as const;
export type ReplayState = (typeof replayStates)[number];

/** What waits is never selected: its own flow sends it. */
export function isSelected({ state, lastAttemptAt }: Pick<InstanceDelivery, 'state' | 'lastAttemptAt'>, { since, until, states }: ReplaySelection): boolean {
  const ended = state === 'sent' ? 'delivered' : state;
  return ended !== 'waiting' && states.includes(ended) && lastAttemptAt !== undefined && lastAttemptAt >= since && lastAttemptAt <= until;
}

/** Replays that an entry remembers. */
const maxEarlier = 5;

/** What the entry of a replay's flow keeps of the delivery before. */
export const keptOf = (before: InstanceDelivery, replayedBy: string): Pick<InstanceDelivery, 'replayedBy' | 'earlier'> => {
  if (before.replayedBy === replayedBy) return { replayedBy, ...(before.earlier ? { earlier: before.earlier } : {}) };
  const { state, lastAttemptAt, deliveredBy } = before;
  const now = { state, ...(lastAttemptAt === undefined ? {} : { lastAttemptAt }), ...(deliveredBy === undefined ? {} : { deliveredBy }) };
  return { replayedBy, earlier: [...before.earlier ?? [], now].slice(-maxEarlier) };
};

/** The ledger of one study at one destination: what was sent there, ever. One S3 object, replaced by If-Match. */
export interface DeliveryLedger {
  readonly tenantId: string;
  readonly destinationId: string;
  readonly studyInstanceUID: string;
  readonly updatedAt: string;
  readonly instances: readonly InstanceDelivery[];
}

/** The longest pause between two attempts. */
const maxRetryMs = 60 * 60 * 1000;

/**
 * How long to wait before a destination is tried again: doubling, at most an hour.
 *
 * @param attempt the attempt that failed, from 1
 */
export const retryDelayMs = (firstRetryMs: number, attempt: number): number =>
  Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(attempt - 1, 30));
