import { retryDelayMs } from './delivery.ts';

/** A destination that does not take what it is sent. */
export interface Trouble {
  /** ISO 8601 UTC: the first failure since it last took something. */
  readonly since: string;
  /** In a row, sends and probes together. */
  readonly failures: number;
  readonly problem: string;
  /** ISO 8601 UTC. */
  readonly nextTryAt: string;
}

/** A send or a probe that the destination did not answer as it should. */
export interface DestinationFailure {
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly problem: string;
  /** Some instances were taken before it failed. */
  readonly progressed?: boolean;
  /** The destination's own word on when to come back. */
  readonly retryAfterMs?: number;
}

/** Failures in a row that open the circuit; a probe that fails opens it by itself. */
export const failuresToOpen = 3;

/** The longest pause between two tries: what a destination that is back waits at most. */
const maxPauseMs = 5 * 60 * 1000;

/** Associations (or requests) at once to one destination from one worker, unless it says otherwise. */
export const defaultMaxAssociations = 2;

export const pauseMs = (firstRetryMs: number, failures: number): number => Math.min(maxPauseMs, retryDelayMs(firstRetryMs, failures));

/** One more failure. After the first, the next try is at once: a probe tells a cut association from a dead destination. */
export function noteFailure(before: Trouble | undefined, { at, problem, progressed, retryAfterMs = 0 }: DestinationFailure, firstRetryMs: number): Trouble {
  const failures = progressed ? 1 : (before?.failures ?? 0) + 1;
  const delayMs = Math.max(retryAfterMs, failures === 1 && !progressed ? 0 : pauseMs(firstRetryMs, Math.max(1, failures - 1)));
  return { since: before?.since ?? at, failures, problem, nextTryAt: new Date(Date.parse(at) + delayMs).toISOString() };
}

/** A probe failed: nobody answers, so there is no use in sending to find out. */
export function noteFailedProbe(before: Trouble, failure: DestinationFailure, firstRetryMs: number): Trouble {
  const failures = Math.max(before.failures, failuresToOpen - 1);
  return noteFailure({ ...before, failures }, failure, firstRetryMs);
}

export const isOpen = (trouble: Trouble | undefined): boolean => trouble !== undefined && trouble.failures >= failuresToOpen;

/** What people read in the flow of a destination. */
export const sentenceOf = (destinationId: string, { since, nextTryAt, problem }: Trouble): string =>
  `Destination ${destinationId} has not answered as it should since ${since}; the next try is at ${nextTryAt}. The last one: ${problem.replace(/\.$/, '')}.`;
