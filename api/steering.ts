import { concurrently } from '../stores/concurrently.ts';
import type { Priority } from '../domain/tenant.ts';
import type { FlowState } from '../workflows/contracts.ts';
import type { FlowFilter } from './flowQuery.ts';
import type { Decision, DecisionAnswer, FlowDescription, Flows } from './flowsClient.ts';

/** What a person decides about flows, who and why. */
export type Steering = ({ readonly kind: Decision } | { readonly kind: 'priority'; readonly priority: Priority }) & { readonly by: string; readonly why: string };

export interface SteeredFlow {
  readonly flow: FlowDescription;
  /** `failed`: Temporal did not take the call. `would`: a dry run. */
  readonly answer: DecisionAnswer | 'failed' | 'would';
}

type SteeringFlows = Pick<Flows, 'page' | 'decide' | 'setPriority'>;

/** Decisions on their way at once. */
const lanes = 8;

/** What each answer means to the person who decided. */
export const answerSentences: Readonly<Record<SteeredFlow['answer'], string>> = {
  taken: 'taken', would: 'would be decided', refused: 'waits for nothing that this decides', gone: 'has ended',
  unanswered: 'no worker took it in time; it may still be taken', failed: 'Temporal did not take it',
};

/**
 * The open flows that a decision can be meant for. Retry, skip and reject are for what is parked; skip and reject also for flows
 * that wait for a gateway or a destination, when the filter names it or the state: nobody gives one up by accident.
 */
export function flowsToSteer(kind: Steering['kind'], filter: FlowFilter): FlowFilter {
  const waiting: readonly FlowState[] = kind === 'retry' ? ['ATTENTION'] : [
    'ATTENTION', ...(filter.gatewayId === undefined ? [] : ['EDGE_OFFLINE'] as const), ...(filter.destinationId === undefined ? [] : ['DESTINATION_AWAY'] as const)];
  return { ...filter, open: true, states: filter.states ?? (kind === 'priority' ? undefined : waiting) };
}

/**
 * Decides about one page of flows. Safe to repeat: a flow that took the decision waits no longer, and a priority that is set stays set.
 *
 * @param decisionId the same when the same decision is repeated, so that a flow takes it once
 * @returns what became of each, in the order found, and where the next page begins
 */
export async function steerPage(flows: SteeringFlows, steering: Steering, filter: FlowFilter, page: { readonly limit: number; readonly cursor?: string | undefined; readonly dryRun: boolean; readonly decisionId: string }):
Promise<{ readonly steered: readonly SteeredFlow[]; readonly next: string | undefined }> {
  const found = await flows.page(flowsToSteer(steering.kind, filter), page.limit, page.cursor);
  const steered = await concurrently(found.flows, lanes, async (flow): Promise<SteeredFlow> =>
    ({ flow, answer: page.dryRun ? 'would' : await steerOne(flows, flow.flowId, steering, page.decisionId) }));
  return { steered, next: found.next };
}

/** Decides about one flow; what keeps Temporal from taking it is an answer, so that others go on. */
export async function steerOne(flows: Pick<Flows, 'decide' | 'setPriority'>, flowId: string, steering: Steering, decisionId: string): Promise<SteeredFlow['answer']> {
  const { by, why } = steering;
  try {
    return steering.kind === 'priority' ? await flows.setPriority(flowId, { priority: steering.priority, by, why }, decisionId)
      : await flows.decide(flowId, steering.kind, { by, why }, decisionId);
  } catch {
    return 'failed';
  }
}
