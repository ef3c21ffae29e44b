import { z } from 'zod';
import { isUidShaped } from '../dicom/uid.ts';
import type { FlowState, FlowStatus } from '../workflows/contracts.ts';
import type { TenantContext, TenantHandler } from './context.ts';
import type { Decision, DecisionAnswer, FlowDescription, Flows } from './flowsClient.ts';
import { flowIdOfPath, flowUrl, temporalUiUrl } from './flowUrls.ts';
import { priorityField, whyField } from './decisions.ts';
import { readJson } from './jsonBody.ts';
import { pageOf } from './paging.ts';
import { badRequest, HttpProblem, notFound, unavailable } from './problems.ts';

export interface FlowDeps {
  readonly flows: Pick<Flows, 'ended' | 'describe' | 'status' | 'result' | 'page' | 'decide' | 'setPriority'>;
  /** Where people look at flows. */
  readonly ui: { readonly url: string; readonly namespace: string };
}

/** One flow: where it stands, in words. */
export const createReadFlow = (deps: FlowDeps): TenantHandler =>
  async function readFlow(context, request, response) {
    let flow = await ownFlow(deps, context, request.params['flowId']);
    let status = flow.runState === 'RUNNING' ? await deps.flows.status(flow.flowId) : undefined;
    if (status && isOver(status) && await deps.flows.ended(flow.flowId, endWaitMs, context.signal)) {
      // It said so in its last moment: its result is there with its end.
      flow = await ownFlow(deps, context, request.params['flowId']);
      status = undefined;
    }
    response.json({
      ...summaryOf(deps, context, flow),
      state: status?.state ?? stateOf(flow),
      sentence: status?.sentence ?? sentences[flow.runState],
      counts: status?.counts ?? {},
      ...(flow.runState === 'COMPLETED' ? { result: await deps.flows.result(flow.flowId) } : {}),
    });
  };

const flowStates: readonly FlowState[] = ['RUNNING', 'EDGE_OFFLINE', 'DESTINATION_AWAY', 'ATTENTION', 'PAUSED', 'DONE', 'REJECTED'];
const endWaitMs = 2_000;
const isOver = ({ state }: FlowStatus): boolean => state === 'DONE' || state === 'REJECTED';


/** A tenant's flows, newest first, also of one study, to one destination or in one state. */
export const createListFlows = (deps: FlowDeps): TenantHandler =>
  async function listFlows(context, _request, response) {
    const { query, tenantId } = context;
    const studyInstanceUID = query.get('studyInstanceUID') ?? undefined;
    if (studyInstanceUID !== undefined && !isUidShaped(studyInstanceUID)) throw badRequest('studyInstanceUID takes a UID.');
    const destinationId = query.get('destinationId') ?? undefined;
    const state = flowStates.find((each) => each === query.get('state'));
    if (query.has('state') && !state) throw badRequest(`state takes one of ${flowStates.join(', ')}.`);
    const { flows, next } = await deps.flows.page({ tenantId, studyInstanceUID, destinationId, gatewayId: query.get('gatewayId') ?? undefined,
      errorType: query.get('errorType') ?? undefined, ...(state ? { states: [state] } : {}) }, pageOf(query, 50, 200).limit, query.get('cursor') ?? undefined);
    response.json({ flows: flows.map((flow) => ({ ...summaryOf(deps, context, flow), state: stateOf(flow) })), next });
  };

const decisionBody = z.strictObject({ why: whyField });
const priorityBody = z.strictObject({ priority: priorityField, why: whyField });

/** An admin's answer to a flow that waits for a person. */
export const createDecideFlow = (deps: FlowDeps, decision: Decision): TenantHandler =>
  async function decideFlow(context, request, response) {
    const { why } = await readJson(request, decisionBody);
    const { flowId } = await ownFlow(deps, context, request.params['flowId']);
    const answer = await deps.flows.decide(flowId, decision, { by: context.subject, why }, context.requestId);
    requireTaken(flowId, answer);
    response.json({ flowId, decision, by: context.subject, why });
  };

/** An admin puts a flow before or behind others. */
export const createPrioritiseFlow = (deps: FlowDeps): TenantHandler =>
  async function prioritiseFlow(context, request, response) {
    const { priority, why } = await readJson(request, priorityBody);
    const { flowId } = await ownFlow(deps, context, request.params['flowId']);
    requireTaken(flowId, await deps.flows.setPriority(flowId, { priority, by: context.subject, why }, context.requestId));
    response.json({ flowId, priority, by: context.subject, why });
  };

/** @throws HttpProblem 409, 503 */
function requireTaken(flowId: string, answer: DecisionAnswer): void {
  if (answer === 'refused') throw new HttpProblem(409, `Flow ${flowId} waits for nothing that this decides: a flow in state ATTENTION takes a decision, one in EDGE_OFFLINE skip and reject.`);
  if (answer === 'gone') throw new HttpProblem(409, `Flow ${flowId} has ended and takes no decision any more.`);
  if (answer === 'unanswered') throw unavailable(`No worker took the decision for flow ${flowId} in time. It may still be taken: look at the flow before you decide again.`, 10);
}

/** @throws HttpProblem 404, for another tenant's flow as for one that does not exist */
async function ownFlow({ flows }: FlowDeps, { tenantId }: TenantContext, path: string | string[] | undefined): Promise<FlowDescription> {
  const flowId = flowIdOfPath(path);
  const flow = flowId.startsWith(`${tenantId}/`) && flowId.length <= 1000 ? await flows.describe(flowId) : undefined;
  if (!flow) throw notFound('There is no such flow, or it ended so long ago that only the history of its study tells of it.');
  return flow;
}

const summaryOf = ({ ui }: FlowDeps, { tenantUrl }: TenantContext, flow: FlowDescription) => ({
  flowId: flow.flowId, type: flow.type, startedAt: flow.startedAt, closedAt: flow.closedAt, errorType: flow.errorType, studyInstanceUID: flow.studyInstanceUID,
  url: flowUrl(tenantUrl, flow.flowId), temporalUI: temporalUiUrl(ui.url, ui.namespace, flow.flowId, flow.runId),
});

/** A flow that ended otherwise than by itself says so, whatever its last state was. */
const stateOf = ({ runState, flowState }: FlowDescription): string =>
  runState === 'RUNNING' ? flowState ?? 'RUNNING' : runState === 'COMPLETED' ? (flowState === 'REJECTED' ? 'REJECTED' : 'DONE') : runState;

const sentences: Readonly<Record<FlowDescription['runState'], string>> = {
  RUNNING: 'The flow is open, but no worker said where it stands. Look whether the workers run.',
  COMPLETED: 'The flow has ended.',
  FAILED: 'The flow ended by a failure. The Temporal UI shows it.',
  CANCELLED: 'The flow was cancelled.',
  TERMINATED: 'The flow was terminated by a person.',
  TIMED_OUT: 'The flow ran out of time.',
};
