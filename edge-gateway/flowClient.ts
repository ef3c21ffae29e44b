import { Client, Connection, WorkflowExecutionAlreadyStartedError, isGrpcServiceError } from '@temporalio/client';
import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import type { PackOrigin } from '../domain/pack.ts';
import type { Priority } from '../domain/tenant.ts';
import { associationEndedSignal, packReadySignal, searchAttributes, taskQueues, type AssociationEnded, type IngestAssociationInput, type PackWork } from '../workflows/contracts.ts';
import { ingestWorkflowId } from '../workflows/ids.ts';

/** One thing to tell an association's workflow. */
export interface FlowMessage {
  readonly tenantId: string;
  readonly origin: PackOrigin;
  /** Of the flow, when this message starts it. */
  readonly priority: Priority;
  readonly news: { readonly kind: 'packReady'; readonly work: PackWork } | { readonly kind: 'associationEnded'; readonly end: AssociationEnded };
  /** Start a new run when the workflow is over. Otherwise it stays over. */
  readonly reopen: boolean;
}

/** The cloud, as far as the starter needs it. */
export interface FlowClient {
  /**
   * Starts the association's workflow unless it runs, and signals it, in one step. Safe to repeat: the workflow takes
   * each pack and the end once.
   *
   * @returns `over` when the workflow ran and ended before, and `reopen` is not set
   * @throws whatever keeps the cloud from taking it now
   */
  tell(message: FlowMessage): Promise<'told' | 'over'>;
  close(): Promise<void>;
}

export interface TemporalTarget {
  readonly address: string;
  readonly namespace: string;
}

const callTimeoutMs = 15_000;
const attributeTypes = {
  keyword: (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD),
  datetime: (name: string) => defineSearchAttributeKey(name, SearchAttributeType.DATETIME),
};

/** A Temporal client that connects when it is first used, and as often as it takes. */
export function createFlowClient({ address, namespace }: TemporalTarget): FlowClient {
  const connection = Connection.lazy({ address });
  const client = new Client({ connection, namespace });
  return {
    tell: async (message) => {
      try {
        await client.withDeadline(Date.now() + callTimeoutMs, () => client.workflow.signalWithStart('ingestAssociation', startOptions(message)));
        return 'told';
      } catch (error) {
        if (error instanceof WorkflowExecutionAlreadyStartedError) return 'over';
        throw error;
      }
    },
    close: () => connection.close(),
  };
}

function startOptions({ tenantId, origin, priority, news, reopen }: FlowMessage) {
  const input: IngestAssociationInput = { tenantId, origin, priority };
  const { keyword, datetime } = attributeTypes;
  return {
    workflowId: ingestWorkflowId(tenantId, origin.gatewayId, origin.associationId),
    taskQueue: taskQueues.core,
    args: [input],
    staticSummary: `Association of ${origin.callingAETitle} with gateway ${origin.gatewayId}`,
    workflowIdConflictPolicy: 'USE_EXISTING' as const,
    workflowIdReusePolicy: reopen ? 'ALLOW_DUPLICATE' as const : 'REJECT_DUPLICATE' as const,
    priority: { priorityKey: input.priority, fairnessKey: tenantId },
    typedSearchAttributes: [
      { key: keyword(searchAttributes.tenantId), value: tenantId },
      { key: keyword(searchAttributes.gatewayId), value: origin.gatewayId },
      { key: keyword(searchAttributes.origin), value: 'dimse' },
      { key: keyword(searchAttributes.flowState), value: 'RUNNING' },
      { key: datetime(searchAttributes.receivedAt), value: new Date(origin.receivedAt) },
    ],
    signal: news.kind === 'packReady' ? packReadySignal : associationEndedSignal,
    signalArgs: [news.kind === 'packReady' ? news.work : news.end],
  };
}

/** gRPC's INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE: about this message, not about the cloud. */
const aboutTheMessage: readonly number[] = [3, 9, 11];

/** Whether a failure of `tell` is the message's own, so that others may go on. */
export function isAboutTheMessage(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (isGrpcServiceError(cause)) return aboutTheMessage.includes(cause.code);
  }
  return false;
}
