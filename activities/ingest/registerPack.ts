import { WithStartWorkflowOperation, type Client } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import type { Priority } from '../../domain/tenant.ts';
import { addPackUpdate, searchAttributes, taskQueues, type AddPackResult, type RegisteredPack, type StudyLifecycleInput } from '../../workflows/contracts.ts';
import { studyWorkflowId } from '../../workflows/ids.ts';

type StudyWorkflow = (input: StudyLifecycleInput) => Promise<void>;

export interface RegisterPackDeps {
  readonly client: () => Client;
  readonly quietMs: number;
  readonly closeAfterMs: number;
}

/**
 * Hands a committed pack to its study's flow, which it starts when none runs. Idempotent: the update's ID is the pack's.
 */
export const createRegisterPack = (deps: RegisterPackDeps) =>
  async function registerPack(pack: RegisteredPack, priority: Priority): Promise<AddPackResult> {
    const { tenantId, studyInstanceUID } = pack;
    const input: StudyLifecycleInput = { tenantId, studyInstanceUID, quietMs: deps.quietMs, closeAfterMs: deps.closeAfterMs };
    const startWorkflowOperation = new WithStartWorkflowOperation<StudyWorkflow>('studyLifecycle', {
      workflowId: studyWorkflowId(tenantId, studyInstanceUID), taskQueue: taskQueues.core, args: [input],
      workflowIdConflictPolicy: 'USE_EXISTING', workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      priority: { priorityKey: priority, fairnessKey: tenantId },
      typedSearchAttributes: new TypedSearchAttributes([
        keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.studyInstanceUID, studyInstanceUID), keyword(searchAttributes.flowState, 'RUNNING'),
      ]),
    });
    return deps.client().workflow.executeUpdateWithStart<StudyWorkflow, AddPackResult, [RegisteredPack]>(addPackUpdate,
      { updateId: `${pack.packId}-${pack.origin.associationId}`, args: [pack], startWorkflowOperation });
  };

const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
