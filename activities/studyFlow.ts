import { WithStartWorkflowOperation, type Client } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import type { Priority } from '../domain/tenant.ts';
import { searchAttributes, taskQueues, type StudyIdentity, type StudyLifecycleInput } from '../workflows/contracts.ts';
import { studyWorkflowId } from '../workflows/ids.ts';

export type StudyWorkflow = (input: StudyLifecycleInput) => Promise<void>;

export interface StudyFlowDeps {
  readonly client: () => Client;
  readonly quietMs: number;
  readonly closeAfterMs: number;
}

/** How a study's flow is started when an update finds none running. For one update each. */
export function startOfStudy({ quietMs, closeAfterMs }: StudyFlowDeps, { tenantId, studyInstanceUID }: StudyIdentity, priority: Priority): WithStartWorkflowOperation<StudyWorkflow> {
  const input: StudyLifecycleInput = { tenantId, studyInstanceUID, quietMs, closeAfterMs };
  return new WithStartWorkflowOperation<StudyWorkflow>('studyLifecycle', {
    workflowId: studyWorkflowId(tenantId, studyInstanceUID), taskQueue: taskQueues.core, args: [input],
    staticSummary: `Study ${studyInstanceUID}: index and routes`,
    workflowIdConflictPolicy: 'USE_EXISTING', workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    priority: { priorityKey: priority, fairnessKey: tenantId },
    typedSearchAttributes: new TypedSearchAttributes([
      keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.studyInstanceUID, studyInstanceUID), keyword(searchAttributes.flowState, 'RUNNING'),
    ]),
  });
}

const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
