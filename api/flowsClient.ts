import type { AssociationEnded, ChooseCurrentInput, FlowState, FlowStatus, IngestAssociationInput, PackWork, ParkDecision, PriorityDecision, ReplayDeliveriesInput, RouteStudyInput, SweepTenantInput } from '../workflows/contracts.ts';
import type { FlowFilter } from './flowQuery.ts';

/** A flow as the API tells of it. */
export interface FlowDescription {
  readonly flowId: string;
  readonly runId: string;
  readonly type: string;
  /** RUNNING while the run is open; else how it closed. */
  readonly runState: 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TERMINATED' | 'TIMED_OUT';
  /** The search attribute, as of the last change of state. */
  readonly flowState: FlowState | undefined;
  /** What kind of fault holds it up. */
  readonly errorType: string | undefined;
  readonly startedAt: string;
  readonly closedAt: string | undefined;
  readonly studyInstanceUID: string | undefined;
  /** What the start was asked for, as it was noted there (`startRoute`). */
  readonly request: string | undefined;
}

export type Decision = 'retry' | 'skip' | 'reject';

/** `refused` when the flow waits for nothing of the kind, `gone` when it is closed or unknown, `unanswered` without a worker. */
export type DecisionAnswer = 'taken' | 'refused' | 'gone' | 'unanswered';

/** A pack that lies in the archive, not yet committed. */
export type StagedWork = Extract<PackWork, { readonly kind: 'staged' }>;

/** What the API asks of Temporal. */
export interface Flows {
  /**
   * Starts `ingestAssociation` for a request that has ended, in one call with its packs and its end. A request of more packs than one call
   * takes runs as several flows, each whole from its start: when this process dies between two calls, none waits for what never comes.
   * Safe to repeat: same ID, same flows.
   *
   * @param packs at least one
   * @returns the flows' IDs, the first as given
   */
  startIngest(flowId: string, input: IngestAssociationInput, packs: readonly StagedWork[], end: Pick<AssociationEnded, 'how' | 'at'>): Promise<readonly string[]>;
  /** Waits for the end of a flow, however it ends. @returns whether it came within the time */
  ended(flowId: string, waitMs: number, signal: AbortSignal): Promise<boolean>;
  /**
   * Starts `routeStudy`, or joins the flow that the same ID started before, be it closed.
   *
   * @param request the request in a canonical text, noted with the flow
   * @returns the flow, with the request that it was started for
   */
  startRoute(flowId: string, input: RouteStudyInput, request: string): Promise<FlowDescription>;
  /** Starts `replayDeliveries`, or joins the flow that the same ID started before; otherwise as startRoute. */
  startReplay(flowId: string, input: ReplayDeliveriesInput, request: string): Promise<FlowDescription>;
  /** Starts `sweepTenant`, or joins the flow that the same ID started before. */
  startSweep(flowId: string, input: SweepTenantInput, request: string): Promise<FlowDescription>;
  /** Starts `chooseCurrent`. Each start has an ID of its own; an equal choice changes nothing. */
  startChoice(input: ChooseCurrentInput): Promise<void>;
  /** @returns undefined when there is no such flow, or no more */
  describe(flowId: string): Promise<FlowDescription | undefined>;
  /** @returns undefined when no worker answered in time */
  status(flowId: string): Promise<FlowStatus | undefined>;
  /** Of a completed flow. */
  result(flowId: string): Promise<unknown>;
  /**
   * Newest first.
   *
   * @param cursor `next` of the page before
   * @returns `next` is undefined on the last page
   */
  page(filter: FlowFilter, limit: number, cursor?: string): Promise<{ readonly flows: readonly FlowDescription[]; readonly next: string | undefined }>;
  decide(flowId: string, decision: Decision, by: ParkDecision, updateId: string): Promise<DecisionAnswer>;
  /** The flow's queued work takes its new place at once, and what follows keeps it. */
  setPriority(flowId: string, decision: PriorityDecision, updateId: string): Promise<DecisionAnswer>;
  /** @throws when the server does not answer */
  ready(signal: AbortSignal): Promise<void>;
}
