import { Client, Connection } from '@temporalio/client';
import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import { priorities } from '../../domain/tenant.ts';
import { searchAttributes, taskQueues, type CommitStorageInput } from '../../workflows/contracts.ts';
import { commitmentWorkflowId } from '../../workflows/ids.ts';
import type { commitStorage } from '../../workflows/commitStorage.ts';
import type { TemporalTarget } from '../flowClient.ts';

/** The cloud, as storage commitment needs it. */
export interface CommitmentClient {
  /** Starts the transaction's flow unless it runs. @throws whatever keeps the cloud from taking it now */
  start(input: CommitStorageInput): Promise<void>;
  close(): Promise<void>;
}

const callTimeoutMs = 15_000;

/** A Temporal client that connects when it is first used, and as often as it takes. */
export function createCommitmentClient({ address, namespace }: TemporalTarget): CommitmentClient {
  const connection = Connection.lazy({ address });
  const client = new Client({ connection, namespace });
  return { start: (input) => startCommitment(client, input), close: () => connection.close() };
}

/** A flow that is over is started again: its request would be gone if it had ended by itself. */
export async function startCommitment(client: Client, input: CommitStorageInput): Promise<void> {
  const { tenantId, gatewayId, transactionUID, callingAETitle, receivedAt } = input;
  await client.withDeadline(Date.now() + callTimeoutMs, () => client.workflow.start<typeof commitStorage>('commitStorage', {
    workflowId: commitmentWorkflowId(tenantId, gatewayId, transactionUID), taskQueue: taskQueues.core, args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING', workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: `Storage commitment that ${callingAETitle} asked of gateway ${gatewayId}`,
    priority: { priorityKey: priorities.routing, fairnessKey: tenantId },
    typedSearchAttributes: [keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.gatewayId, gatewayId), keyword(searchAttributes.origin, 'dimse'),
      keyword(searchAttributes.flowState, 'RUNNING'), { key: defineSearchAttributeKey(searchAttributes.receivedAt, SearchAttributeType.DATETIME), value: new Date(receivedAt) }],
  }));
}

const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
