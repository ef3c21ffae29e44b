import {
  isGrpcDeadlineError, isGrpcServiceError, QueryNotRegisteredError, WorkflowExecutionAlreadyStartedError, WorkflowFailedError, WorkflowNotFoundError, WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError, type Client, type WorkflowExecutionInfo, type WorkflowHandle, type WorkflowStartOptions,
} from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { defineSearchAttributeKey, SearchAttributeType, type Priority as TemporalPriority, type SearchAttributePair } from '@temporalio/common';
import { priorities, type Priority } from '../domain/tenant.ts';
import { chunksOf } from '../stores/concurrently.ts';
import {
  searchAttributes, setPriorityUpdate, statusQuery, taskQueues,
  type AssociationEnded, type FlowState, type FlowStatus, type IngestAssociationInput, type IngestCarried, type ParkDecision, type PriorityDecision, type RouteStudyInput,
} from '../workflows/contracts.ts';
import { visibilityQuery } from './flowQuery.ts';
import { badRequest } from './problems.ts';
import type { DecisionAnswer, FlowDescription, Flows, StagedWork } from './flowsClient.ts';

const statusWaitMs = 2_000;
const decisionWaitMs = 10_000;
const requestMemo = 'request';
/** Of gRPC. */
const invalidArgument = 3;

type Handle = (flowId: string) => WorkflowHandle;

/** Flows on a Temporal server. */
export function createTemporalFlows(client: Client): Flows {
  const handle: Handle = (flowId) => client.workflow.getHandle(flowId);
  const update = (flowId: string, name: string, given: ParkDecision | PriorityDecision, updateId: string): Promise<DecisionAnswer> => unlessGone('gone' as const, async () => {
    try {
      await client.withDeadline(Date.now() + decisionWaitMs, () => handle(flowId).executeUpdate(name, { args: [given], updateId }));
      return 'taken';
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) return 'refused';
      if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcDeadlineError(error)) return 'unanswered';
      throw error;
    }
  });
  return {
    ...startsOf(client),
    ...readsOf(client, handle),
    decide: (flowId, decision, by, updateId) => update(flowId, decision, by, updateId),
    setPriority: (flowId, decision, updateId) => update(flowId, setPriorityUpdate, decision, updateId),
    async ready(signal) {
      await client.withAbortSignal(signal, () => client.workflowService.getSystemInfo({}));
    },
  };
}

const startsOf = (client: Client): Pick<Flows, 'startIngest' | 'startRoute' | 'startReplay' | 'startSweep' | 'startChoice'> => ({
  async startIngest(flowId, input, packs, end) {
    if (packs.length === 0) throw new RangeError('An ingest without packs is not started');
    const flowIds: string[] = [];
    for (const part of chunksOf(packs, packsInStart)) {
      const partId = flowIds.length === 0 ? flowId : `${flowId}-${flowIds.length + 1}`;
      await client.workflow.start('ingestAssociation', {
        ...startOptions(partId, input), args: [{ ...input, carried: alreadyTold(part, end) }], typedSearchAttributes: ingestAttributes(input),
      });
      flowIds.push(partId);
    }
    return flowIds;
  },
  async startChoice(input) {
    const { tenantId, studyInstanceUID, flowId } = input;
    await client.workflow.start('chooseCurrent', {
      ...startOptions(flowId, { tenantId, priority: priorities.urgent }), args: [input], staticSummary: `Choice of instance ${input.sopInstanceUID}`,
      typedSearchAttributes: [{ key: keys.tenantId, value: tenantId }, { key: keys.studyInstanceUID, value: studyInstanceUID }, { key: keys.flowState, value: 'RUNNING' }],
    });
  },
  startRoute: (flowId, input, request) => startOrJoin(client, 'routeStudy', flowId, input, { typedSearchAttributes: routeAttributes(input), memo: { [requestMemo]: request } }),
  startReplay: (flowId, input, request) => startOrJoin(client, 'replayDeliveries', flowId, input, { memo: { [requestMemo]: request }, staticSummary: `Deliveries to ${input.destinationId}, again`,
    typedSearchAttributes: [{ key: keys.tenantId, value: input.tenantId }, { key: keys.flowState, value: 'RUNNING' }, { key: keys.destinationId, value: input.destinationId }] }),
  startSweep: (flowId, input, request) => startOrJoin(client, 'sweepTenant', flowId, input, { memo: { [requestMemo]: request }, staticSummary: `Sweep of tenant ${input.tenantId}`,
    typedSearchAttributes: [{ key: keys.tenantId, value: input.tenantId }, { key: keys.flowState, value: 'RUNNING' }] }),
});

/** @returns the flow that the ID names, started now or before */
async function startOrJoin<Input extends { readonly tenantId: string; readonly priority?: Priority }>(client: Client, type: string, flowId: string, input: Input,
  options: Pick<WorkflowStartOptions, 'typedSearchAttributes' | 'memo' | 'staticSummary'>): Promise<FlowDescription> {
  try {
    await client.workflow.start(type, { ...startOptions(flowId, { priority: priorities.bulk, ...input }), ...options, args: [input] });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return descriptionOf(await client.workflow.getHandle(flowId).describe());
}

const readsOf = (client: Client, handle: Handle): Pick<Flows, 'ended' | 'describe' | 'status' | 'result' | 'page'> => ({
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
  async page(filter, limit, cursor) {
    const { executions, nextPageToken } = await client.workflowService.listWorkflowExecutions({
      namespace: client.options.namespace, query: visibilityQuery(filter), pageSize: limit,
      ...(cursor === undefined ? {} : { nextPageToken: Buffer.from(cursor, 'base64url') }),
    }).catch((error: unknown) => {
      throw cursor !== undefined && isGrpcServiceError(error) && error.code === invalidArgument ? badRequest('cursor takes what the page before gave as next.') : error;
    });
    const flows = await Promise.all(executions.map((raw) => executionInfoFromRaw(raw, client.options.loadedDataConverter, raw, client.options.namespace)));
    return { flows: flows.map(descriptionOf), next: nextPageToken?.length ? Buffer.from(nextPageToken).toString('base64url') : undefined };
  },
});

/** Packs that one start carries, 350 bytes each: twice in its history, which continues as new by itself. */
const packsInStart = 50;

const alreadyTold = (packs: readonly StagedWork[], end: Pick<AssociationEnded, 'how' | 'at'>): IngestCarried => ({
  waiting: packs, parked: [], seenPackIds: packs.map(({ pack }) => pack.packId), seenCount: packs.length,
  end: { ...end, packCount: packs.length, instanceCount: packs.reduce((sum, { pack }) => sum + pack.instanceCount, 0) },
  outcome: { packCount: 0, acceptedCount: 0, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0, abandonedPackCount: 0 },
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
  destinationId: keyword(searchAttributes.destinationId), errorType: keyword(searchAttributes.errorType),
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

function descriptionOf(flow: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'type' | 'status' | 'startTime' | 'closeTime' | 'memo' | 'typedSearchAttributes'>): FlowDescription {
  const request = flow.memo?.[requestMemo];
  const { name } = flow.status;
  return {
    flowId: flow.workflowId, runId: flow.runId, type: flow.type,
    runState: name === 'COMPLETED' || name === 'FAILED' || name === 'CANCELLED' || name === 'TERMINATED' || name === 'TIMED_OUT' ? name : 'RUNNING',
    flowState: flow.typedSearchAttributes.get(keys.flowState) as FlowState | undefined,
    errorType: flow.typedSearchAttributes.get(keys.errorType),
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
