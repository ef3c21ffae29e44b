import { ActivityFailure, ApplicationFailure, condition, defineSignal, defineUpdate, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow';
import { TimeoutFailure } from '@temporalio/common';
import type { ParkEvent } from '../domain/audit.ts';
import { isPermanentFailure, permanentFailures } from '../domain/failures.ts';
import { parkUpdates, retrySignal, type ParkDecision } from './contracts.ts';
import type { FlowBoard } from './flowState.ts';

export type Decision = ParkDecision & { readonly kind: keyof typeof parkUpdates };

/** Why a step waits for a person: the sentence that the person reads, and its kind to search by. */
export interface ParkedFailure { readonly sentence: string; readonly errorType: string }

/**
 * Steps of one flow that wait for a person. A decision is for everything that is parked, unless it names one
 * pack; what parks later asks again.
 */
export interface ParkingLot {
  /**
   * Runs a step until it succeeds, or a person skips or rejects it. A failure that no retry cures parks the flow with
   * FlowState=ATTENTION and a sentence; it goes on by the update `retry`, `skip` or `reject`, or by `retrySignal`.
   */
  run<T>(what: string, step: (retried: boolean) => Promise<T>): Promise<StepResult<T>>;
  /** Parks without a failure: the step ended well, but what it found needs a person. */
  ask(failure: ParkedFailure): Promise<Decision>;
  /**
   * Parks one pack; nothing else waits for it.
   *
   * @param again it was parked in the run before, so the audit has it
   */
  park(packId: string, failure: ParkedFailure, decided: (decision: Decision) => void, again?: boolean): void;
  /**
   * Something waits that goes on by itself, but that a person may give up: takes skip and reject as long as nothing is parked.
   *
   * @returns withdraws the offer
   */
  offer(givenUp: (decision: Decision) => void): () => void;
  /** Writes what a person did otherwise into the audit. */
  note(kind: ParkEvent['kind'], by: string, why: string): void;
  /** Resolves when every event is recorded: a flow awaits it before it ends. */
  settled(): Promise<void>;
}

/** Thrown by a step that a person gave up while it waited. */
export class GivenUpWaiting extends Error {
  override readonly name = 'GivenUpWaiting';
  readonly decision: Decision;
  constructor(decision: Decision) {
    super('Given up by a person while it waited');
    this.decision = decision;
  }
}

export type StepResult<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly decision: Decision };

interface Parked { readonly packId: string | undefined; readonly decided: (decision: Decision) => void }

/** @param record writes each parking and decision into the audit; retries for ever by itself */
export function openParkingLot(board: FlowBoard, record: (event: ParkEvent) => Promise<void>): ParkingLot {
  const lot = new Set<Parked>();
  const offers = new Set<(decision: Decision) => void>();
  const { recordEvent, settled } = openRecorder(record);

  const decide = (decision: Decision) => {
    recordEvent(decision.kind, decision.by, decision.why);
    if (lot.size === 0) for (const givenUp of offers) givenUp(decision);
    for (const parked of [...lot].filter(({ packId }) => decision.packId === undefined || decision.packId === packId)) {
      lot.delete(parked);
      parked.decided(decision);
    }
  };
  for (const kind of Object.keys(parkUpdates) as Decision['kind'][]) {
    setHandler(defineUpdate<void, [ParkDecision]>(parkUpdates[kind]), (given) => decide({ ...given, kind }), {
      description: descriptions[kind],
      validator: (given: ParkDecision) => refuseUnless(lot, given, offers.size > 0 ? kind : undefined),
    });
  }
  setHandler(defineSignal<[Partial<ParkDecision>?]>(retrySignal), (given) => {
    if (lot.size > 0) decide({ kind: 'retry', by: textOr(given?.by, 'signal'), why: textOr(given?.why, 'Retried in bulk') });
  });

  const park = (packId: string | undefined, { sentence, errorType }: ParkedFailure, decided: Parked['decided'], again = false): void => {
    const takeDown = board.hold('ATTENTION', sentence, errorType);
    if (!again) recordEvent('parked', 'flow', sentence);
    lot.add({ packId, decided: (decision) => {
      takeDown();
      decided(decision);
    } });
  };
  const ask = async (failure: ParkedFailure): Promise<Decision> => {
    let decision: Decision | undefined;
    park(undefined, failure, (given) => {
      decision = given;
    });
    await condition(() => decision !== undefined);
    return decision!;
  };

  return {
    ask, park, settled, note: recordEvent,
    offer(givenUp) {
      offers.add(givenUp);
      return () => void offers.delete(givenUp);
    },
    async run(what, step) {
      for (let retried = false; ; retried = true) {
        try {
          return { done: true, value: await step(retried) };
        } catch (error) {
          if (error instanceof GivenUpWaiting) return { done: false, decision: error.decision };
          const answer = await ask(parkedFailure(what, error));
          if (answer.kind !== 'retry') return { done: false, decision: answer };
        }
      }
    },
  };
}

/** Writes events one after the other, each once: its ID is the run and its number in it. */
function openRecorder(record: (event: ParkEvent) => Promise<void>) {
  let recorded = Promise.resolve();
  let count = 0;
  return {
    recordEvent(kind: ParkEvent['kind'], by: string, why: string): void {
      const event: ParkEvent = { kind, by, why, at: new Date().toISOString(), eventId: `${workflowInfo().runId}-${++count}-${kind}` };
      // Only the flow's own cancellation stops a recording, and that is in Temporal's history.
      recorded = recorded.then(() => record(event)).catch(() => undefined);
    },
    async settled(): Promise<void> {
      for (let awaited: Promise<void> | undefined; awaited !== recorded;) await (awaited = recorded);
    },
  };
}

const descriptions = {
  retry: 'Run the parked steps again. Needs by (who) and why; packId narrows it to one pack.',
  skip: 'Go on without the parked steps. Needs by (who) and why; packId narrows it to one pack.',
  reject: 'End the parked work for good; nothing that was archived is deleted. Needs by (who) and why; packId narrows it to one pack.',
} as const;

/** @param offered what is decided, when the flow waits for something that skip and reject give up */
function refuseUnless(lot: ReadonlySet<Parked>, given: ParkDecision | undefined, offered: Decision['kind'] | undefined): void {
  if (lot.size === 0 && offered === undefined) throw new Error(`Flow ${workflowInfo().workflowId} waits for nobody: only a flow with FlowState=ATTENTION takes this`);
  if (lot.size === 0 && offered === 'retry') throw new Error(`Flow ${workflowInfo().workflowId} waits for its gateway or destination and goes on by itself; skip or reject gives it up`);
  if (textOr(given?.by, '') === '' || textOr(given?.why, '') === '') throw new Error('Say who decides and why: {"by": "name", "why": "reason"}');
  if (given?.packId !== undefined && ![...lot].some(({ packId }) => packId === given.packId)) throw new Error('No pack of this ID is parked in this flow');
}

const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' && value.trim() !== '' ? value : otherwise);

/**
 * A failed step as a person reads it.
 *
 * @throws the error as it came when it is no activity's failure: a cancellation ends the flow, a fault of the code is Temporal's to retry
 */
export function parkedFailure(what: string, error: unknown): ParkedFailure {
  if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
  const { cause } = error;
  const type = cause instanceof ApplicationFailure && cause.type ? cause.type : cause instanceof TimeoutFailure ? 'Timeout' : error.activityType;
  const said = [cause?.message ?? error.message, ...(cause instanceof TimeoutFailure && cause.cause ? [cause.cause.message] : [])].join(': ');
  const advice = isPermanentFailure(type) && !said.includes(permanentFailures[type]) ? `. ${permanentFailures[type]}` : '';
  return { errorType: type, sentence: `${what} stopped: ${said}${advice}` };
}
