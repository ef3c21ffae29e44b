import { Client, Connection } from '@temporalio/client';
import { SearchAttributeType, defaultPayloadConverter, defineSearchAttributeKey } from '@temporalio/common';
import { priorities } from '../domain/tenant.ts';
import { searchAttributes, taskQueues, type RetrieveOutcome, type RetrieveProgress, type RetrieveStudyInput } from '../workflows/contracts.ts';
import { retrieveWorkflowId } from '../workflows/ids.ts';
import type { retrieveStudy } from '../workflows/retrieveStudy.ts';
import type { TemporalTarget } from './flowClient.ts';

/** A retrieval in the cloud that was started. */
export interface Retrieval {
  /** Its outcome once it is over, its progress before. @throws when the cloud cannot be asked now, and when the flow was ended from outside */
  look(): Promise<RetrieveProgress | RetrieveOutcome>;
  cancel(): Promise<void>;
}

/** The cloud, as C-MOVE needs it. */
export interface RetrievalClient {
  start(input: RetrieveStudyInput, requestId: string): Promise<Retrieval>;
  close(): Promise<void>;
}

const callTimeoutMs = 15_000;
const nothing: RetrieveProgress = { completedCount: 0, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] };

/** A Temporal client that connects when it is first used. */
export function createRetrievalClient({ address, namespace }: TemporalTarget): RetrievalClient {
  const connection = Connection.lazy({ address });
  const client = new Client({ connection, namespace });
  return { ...retrievalsOf(client), close: () => connection.close() };
}

export function retrievalsOf(client: Client): Pick<RetrievalClient, 'start'> {
  const within = <T>(call: () => Promise<T>): Promise<T> => client.withDeadline(Date.now() + callTimeoutMs, call);
  return {
    start: async (input, requestId) => {
      const { tenantId, gatewayId, originator } = input;
      const handle = await within(() => client.workflow.start<typeof retrieveStudy>('retrieveStudy', {
        workflowId: retrieveWorkflowId(tenantId, requestId), taskQueue: taskQueues.core, args: [input],
        staticSummary: `C-MOVE of ${originator.aeTitle} at gateway ${gatewayId}`,
        priority: { priorityKey: priorities.urgent, fairnessKey: tenantId },
        typedSearchAttributes: [keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.gatewayId, gatewayId),
          keyword(searchAttributes.origin, 'dimse'), keyword(searchAttributes.flowState, 'RUNNING')],
      }));
      let seen = nothing;
      return {
        look: () => within(async () => {
          const { status, raw } = await handle.describe();
          if (status.name !== 'RUNNING') return handle.result();
          const [payload] = raw.pendingActivities?.flatMap(({ heartbeatDetails }) => heartbeatDetails?.payloads ?? []) ?? [];
          const told = payload ? defaultPayloadConverter.fromPayload<RetrieveProgress>(payload) : nothing;
          // While the flow waits for its turn nobody tells: counters never go back.
          if (doneOf(told) > doneOf(seen)) seen = told;
          return seen;
        }),
        cancel: async () => void await within(() => handle.cancel()),
      };
    },
  };
}

const doneOf = ({ completedCount, warningCount, failedCount }: RetrieveProgress): number => completedCount + warningCount + failedCount;

const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
