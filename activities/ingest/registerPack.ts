import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Priority } from '../../domain/tenant.ts';
import { addPackUpdate, type AddPackResult, type RegisteredPack } from '../../workflows/contracts.ts';
import { packName, permanent } from '../failure.ts';
import { startOfStudy, type StudyFlowDeps, type StudyWorkflow } from '../studyFlow.ts';

export type RegisterPackDeps = StudyFlowDeps;

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
    const startWorkflowOperation = startOfStudy(deps, pack, priority);
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
