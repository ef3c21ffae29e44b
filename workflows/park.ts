import { ActivityFailure, ApplicationFailure, condition, defineSignal, defineUpdate, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow';
import { TimeoutFailure } from '@temporalio/common';
import { isPermanentFailure, permanentFailures } from '../domain/failures.ts';
import { parkUpdates, retrySignal, type ParkDecision } from './contracts.ts';
import type { FlowBoard } from './flowState.ts';

export type Decision = ParkDecision & { readonly kind: keyof typeof parkUpdates };

/** Parked steps of one flow: each waits for a person, and one decision answers them all. */
export interface ParkingLot {
  /**
   * Runs a step until it succeeds, or a person skips or rejects it. A failure that no retry cures parks the flow with
   * FlowState=ATTENTION and a sentence; it goes on by the update `retry`, `skip` or `reject`, or by `retrySignal`.
   */
  run<T>(what: string, step: (retried: boolean) => Promise<T>): Promise<StepResult<T>>;
  /** Parks without a failure: the step ended well, but what it found needs a person. */
  ask(sentence: string, errorType: string): Promise<Decision>;
  /** Resolves when every event is recorded: a flow awaits it before it ends. */
  settled(): Promise<void>;
}

export type StepResult<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly decision: Decision };

/** @param record writes each parking and decision into the audit */
export function openParkingLot(board: FlowBoard, record: (event: ParkEvent) => Promise<void>): ParkingLot {
  let recorded = Promise.resolve();
  const onEvent = (event: ParkEvent) => {
    recorded = recorded.then(() => record(event));
  };
  let parked = 0;
  let round = 0;
  let decision: Decision | undefined;
  const decide = (kind: Decision['kind'], by: string, why: string) => {
    decision = { kind, by, why };
    round++;
    onEvent({ kind, by, why });
  };
  for (const kind of Object.keys(parkUpdates) as Decision['kind'][]) {
    setHandler(defineUpdate<void, [ParkDecision]>(parkUpdates[kind]), ({ by, why }) => decide(kind, by, why), {
      description: descriptions[kind],
      validator: (given: ParkDecision) => refuseUnless(parked, given),
    });
  }
  setHandler(defineSignal<[ParkDecision?]>(retrySignal), (given) => {
    if (parked > 0) decide('retry', given?.by ?? 'signal', given?.why ?? 'Retried in bulk');
  });

  const ask = async (sentence: string, errorType: string): Promise<Decision> => {
    const since = round;
    parked++;
    board.show('ATTENTION', sentence, errorType);
    onEvent({ kind: 'parked', by: 'flow', why: sentence });
    await condition(() => round > since);
    parked--;
    if (parked === 0) board.show('RUNNING', `Goes on after ${decision!.kind} by ${decision!.by}.`);
    return decision!;
  };

  return {
    ask,
    settled: () => recorded,
    async run(what, step) {
      for (let retried = false; ; retried = true) {
        try {
          return { done: true, value: await step(retried) };
        } catch (error) {
          if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
          const answer = await ask(`${what} ${sentenceOf(error)}`, typeOf(error));
          if (answer.kind !== 'retry') return { done: false, decision: answer };
        }
      }
    },
  };
}

export interface ParkEvent extends ParkDecision { readonly kind: Decision['kind'] | 'parked' }

const descriptions = {
  retry: 'Run the parked step again. Needs by (who) and why.',
  skip: 'Go on without the parked step. Needs by (who) and why.',
  reject: 'End this work for good; nothing that was archived is deleted. Needs by (who) and why.',
} as const;

function refuseUnless(parked: number, given: ParkDecision | undefined): void {
  if (parked === 0) throw new Error(`Flow ${workflowInfo().workflowId} waits for nobody: only a flow with FlowState=ATTENTION takes this`);
  if (!given?.by?.trim() || !given.why?.trim()) throw new Error('Say who decides and why: {"by": "name", "why": "reason"}');
}

const typeOf = (error: ActivityFailure): string =>
  error.cause instanceof ApplicationFailure && error.cause.type ? error.cause.type : error.cause instanceof TimeoutFailure ? 'Timeout' : error.activityType;

function sentenceOf(error: ActivityFailure): string {
  const type = typeOf(error);
  const said = error.cause?.message ?? error.message;
  return isPermanentFailure(type) && !said.includes(permanentFailures[type]) ? `stopped: ${said}. ${permanentFailures[type]}` : `stopped: ${said}`;
}
