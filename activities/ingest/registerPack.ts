import { WithStartWorkflowOperation, WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import { ApplicationFailure, SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import type { Priority } from '../../domain/tenant.ts';
import { addPackUpdate, searchAttributes, taskQueues, type AddPackResult, type RegisteredPack, type StudyLifecycleInput } from '../../workflows/contracts.ts';
import { studyWorkflowId } from '../../workflows/ids.ts';
import { packName, permanent } from '../failure.ts';

type StudyWorkflow = (input: StudyLifecycleInput) => Promise<void>;

export interface RegisterPackDeps {
  readonly client: () => Client;
  readonly quietMs: number;
  readonly closeAfterMs: number;
}

/** Shorter than the activity's own timeout: an attempt that was given up leaves no call behind. */
const callTimeoutMs = 20_000;

/**
 * Hands a committed pack to its study's flow, which it starts when none runs. Idempotent: the update's ID is the pack's, and
 * the flow knows the packs it was given.
 *
 * @throws `StudyMismatch` when the flow refuses the pack as another study's or tenant's
 */
export const createRegisterPack = (deps: RegisterPackDeps) =>
  async function registerPack(pack: RegisteredPack, priority: Priority): Promise<AddPackResult> {
    const { tenantId, studyInstanceUID } = pack;
    const input: StudyLifecycleInput = { tenantId, studyInstanceUID, quietMs: deps.quietMs, closeAfterMs: deps.closeAfterMs };
    const startWorkflowOperation = new WithStartWorkflowOperation<StudyWorkflow>('studyLifecycle', {
      workflowId: studyWorkflowId(tenantId, studyInstanceUID), taskQueue: taskQueues.core, args: [input],
      staticSummary: `Study ${studyInstanceUID}: index and routes`,
      workflowIdConflictPolicy: 'USE_EXISTING', workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      priority: { priorityKey: priority, fairnessKey: tenantId },
      typedSearchAttributes: new TypedSearchAttributes([
        keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.studyInstanceUID, studyInstanceUID), keyword(searchAttributes.flowState, 'RUNNING'),
      ]),
    });
    const client = deps.client();
    try {
      return await client.withDeadline(Date.now() + callTimeoutMs, () =>
        client.workflow.executeUpdateWithStart<StudyWorkflow, AddPackResult, [RegisteredPack]>(addPackUpdate,
          { updateId: `${pack.packId}-${pack.origin.associationId}`, args: [pack], startWorkflowOperation }));
    } catch (error) {
      if (isRefused(error)) throw permanent('StudyMismatch', packName(pack));
      throw error;
    }
  };

const isRefused = (error: unknown): boolean =>
  error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure && error.cause.type === 'StudyMismatch';


const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
