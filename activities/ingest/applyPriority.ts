import type { Client } from '@temporalio/client';
import type { Priority } from '../../domain/tenant.ts';

export interface ApplyPriorityInput {
  readonly tenantId: string;
  readonly flowId: string;
  readonly priority: Priority;
}

/**
 * Has the server put the running flow's queued tasks where their new priority belongs, and give it to those that follow, its
 * next runs included (UpdateWorkflowExecutionOptions). Idempotent.
 */
export const createApplyPriority = (deps: { readonly client: () => Client }) =>
  async function applyPriority({ tenantId, flowId, priority }: ApplyPriorityInput): Promise<void> {
    const client = deps.client();
    await client.workflowService.updateWorkflowExecutionOptions({
      namespace: client.options.namespace, workflowExecution: { workflowId: flowId }, identity: client.options.identity,
      workflowExecutionOptions: { priority: { priorityKey: priority, fairnessKey: tenantId } }, updateMask: { paths: ['priority'] },
    });
  };
