import {
  isGrpcDeadlineError, QueryNotRegisteredError, WorkflowExecutionAlreadyStartedError, WorkflowFailedError, WorkflowNotFoundError, WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError, type Client, type WorkflowExecutionInfo, type WorkflowHandle,
} from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, type Priority as TemporalPriority, type SearchAttributePair } from '@temporalio/common';
import { priorities, type Priority } from '../domain/tenant.ts';
import {
  associationEndedSignal, packReadySignal, searchAttributes, statusQuery, taskQueues,
  type FlowState, type FlowStatus, type IngestAssociationInput, type RouteStudyInput,
} from '../workflows/contracts.ts';
import type { FlowDescription, FlowQuery, Flows } from './flowsClient.ts';

const statusWaitMs = 2_000;
const decisionWaitMs = 10_000;
const requestMemo = 'request';

type Handle = (flowId: string) => WorkflowHandle;

/** Flows on a Temporal server. */
export function createTemporalFlows(client: Client): Flows {
  const handle: Handle = (flowId) => client.workflow.getHandle(flowId);
  return {
    ...startsOf(client, handle),
    ...readsOf(client, handle),
    decide: (flowId, decision, by, updateId) => unlessGone('gone' as const, async () => {
      try {
        await client.withDeadline(Date.now() + decisionWaitMs, () => handle(flowId).executeUpdate(decision, { args: [by], updateId }));
        return 'taken';
      } catch (error) {
        if (error instanceof WorkflowUpdateFailedError) return 'refused';
        if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcDeadlineError(error)) return 'unanswered';
        throw error;
      }
    }),
    async ready(signal) {
      await client.withAbortSignal(signal, () => client.workflowService.getSystemInfo({}));
    },
  };
}

const startsOf = (client: Client, handle: Handle): Pick<Flows, 'startIngest' | 'startRoute' | 'startChoice'> => ({
  async startIngest(flowId, input, packs, end) {
    const [first, ...rest] = packs;
    if (!first) throw new RangeError('An ingest without packs is not started');
    await client.workflow.signalWithStart('ingestAssociation', {
      ...startOptions(flowId, input), args: [input], signal: packReadySignal, signalArgs: [first], typedSearchAttributes: ingestAttributes(input),
    });
    for (const pack of rest) await handle(flowId).signal(packReadySignal, pack);
    await handle(flowId).signal(associationEndedSignal, end);
  },
  async startChoice(input) {
    const { tenantId, studyInstanceUID, flowId } = input;
    await client.workflow.start('chooseCurrent', {
      ...startOptions(flowId, { tenantId, priority: priorities.urgent }), args: [input], staticSummary: `Choice of instance ${input.sopInstanceUID}`,
      typedSearchAttributes: [{ key: keys.tenantId, value: tenantId }, { key: keys.studyInstanceUID, value: studyInstanceUID }, { key: keys.flowState, value: 'RUNNING' }],
    });
  },
  async startRoute(flowId, input, request) {
    try {
      await client.workflow.start('routeStudy', {
        ...startOptions(flowId, input), args: [input], typedSearchAttributes: routeAttributes(input), memo: { [requestMemo]: request },
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    return descriptionOf(await handle(flowId).describe());
  },
});

const readsOf = (client: Client, handle: Handle): Pick<Flows, 'ended' | 'describe' | 'status' | 'result' | 'list'> => ({
  async ended(flowId, waitMs, signal) {
    const timeout = AbortSignal.timeout(waitMs);
    try {
      await client.withAbortSignal(AbortSignal.any([signal, timeout]), () => handle(flowId).result());
      return true;
    } catch (error) {
      if (error instanceof WorkflowFailedError) return true;
      if (timeout.aborted && !signal.aborted) return false;
      throw error;
    }
  },
  describe: (flowId) => unlessGone(undefined, async () => descriptionOf(await handle(flowId).describe())),
  async status(flowId) {
    try {
      return await client.withDeadline(Date.now() + statusWaitMs, () => handle(flowId).query<FlowStatus>(statusQuery));
    } catch (error) {
      if (isGrpcDeadlineError(error) || error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError) return undefined;
      throw error;
    }
  },
  result: (flowId) => handle(flowId).result(),
  async list(query) {
    const flows: FlowDescription[] = [];
    for await (const flow of client.workflow.list({ query: visibilityQuery(query), pageSize: query.limit })) {
      flows.push(descriptionOf(flow));
      if (flows.length === query.limit) break;
    }
    return flows;
  },
});

/** Joins a running flow of the same ID and never starts a second one. */
const startOptions = (workflowId: string, { tenantId, priority }: { readonly tenantId: string; readonly priority: Priority }) => ({
  workflowId, taskQueue: taskQueues.core,
  workflowIdConflictPolicy: 'USE_EXISTING' as const, workflowIdReusePolicy: 'REJECT_DUPLICATE' as const,
  priority: { priorityKey: priority, fairnessKey: tenantId } satisfies TemporalPriority,
});

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
const keys = {
  tenantId: keyword(searchAttributes.tenantId), gatewayId: keyword(searchAttributes.gatewayId),
  studyInstanceUID: keyword(searchAttributes.studyInstanceUID), flowState: keyword(searchAttributes.flowState), origin: keyword(searchAttributes.origin),
  destinationId: keyword(searchAttributes.destinationId),
  receivedAt: defineSearchAttributeKey(searchAttributes.receivedAt, SearchAttributeType.DATETIME),
};

const ingestAttributes = ({ tenantId, origin }: IngestAssociationInput): SearchAttributePair[] => [
  { key: keys.tenantId, value: tenantId }, { key: keys.gatewayId, value: origin.gatewayId }, { key: keys.flowState, value: 'RUNNING' },
  { key: keys.origin, value: origin.kind }, { key: keys.receivedAt, value: new Date(origin.receivedAt) },
];

const routeAttributes = ({ tenantId, studyInstanceUID, destinationId, gatewayId }: RouteStudyInput): SearchAttributePair[] => [
  { key: keys.tenantId, value: tenantId }, { key: keys.studyInstanceUID, value: studyInstanceUID }, { key: keys.flowState, value: 'RUNNING' },
  { key: keys.origin, value: 'request' }, { key: keys.destinationId, value: destinationId }, ...(gatewayId === undefined ? [] : [{ key: keys.gatewayId, value: gatewayId }]),
];

/** A string literal of a visibility query: quotes and backslashes cannot end it. */
const literal = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

export function visibilityQuery({ tenantId, studyInstanceUID, destinationId, state }: FlowQuery): string {
  const terms = [`${searchAttributes.tenantId} = ${literal(tenantId)}`];
  if (studyInstanceUID !== undefined) {
    const uid = literal(studyInstanceUID);
    terms.push(`(${searchAttributes.studyInstanceUID} = ${uid} OR ${searchAttributes.studyInstanceUIDs} IN (${uid}))`);
  }
  if (destinationId !== undefined) terms.push(`${searchAttributes.destinationId} = ${literal(destinationId)}`);
  if (state !== undefined) terms.push(`${searchAttributes.flowState} = ${literal(state)}`);
  return terms.join(' AND ');
}

function descriptionOf(flow: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'type' | 'status' | 'startTime' | 'closeTime' | 'memo' | 'typedSearchAttributes'>): FlowDescription {
  const request = flow.memo?.[requestMemo];
  const { name } = flow.status;
  return {
    flowId: flow.workflowId, runId: flow.runId, type: flow.type,
    runState: name === 'COMPLETED' || name === 'FAILED' || name === 'CANCELLED' || name === 'TERMINATED' || name === 'TIMED_OUT' ? name : 'RUNNING',
    flowState: flow.typedSearchAttributes.get(keys.flowState) as FlowState | undefined,
    startedAt: flow.startTime.toISOString(), closedAt: flow.closeTime?.toISOString(),
    studyInstanceUID: flow.typedSearchAttributes.get(keys.studyInstanceUID),
    request: typeof request === 'string' ? request : undefined,
  };
}

async function unlessGone<T>(gone: T, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return gone;
    throw error;
  }
}
