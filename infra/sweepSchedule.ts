import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import { searchAttributes, taskQueues, type SweepTenantInput } from '../workflows/contracts.ts';
import { sweepWorkflowId } from '../workflows/ids.ts';

/** The schedule of a tenant's sweeps, as the Temporal UI lists it. */
export const sweepScheduleId = (tenantId: string): string => `${tenantId}/sweep`;

/** For a flow that a command or a schedule starts. */
export const sweepAttributes = (tenantId: string): TypedSearchAttributes => new TypedSearchAttributes([[searchAttributes.tenantId, tenantId], [searchAttributes.flowState, 'RUNNING']].map(([name, value]) =>
  ({ key: defineSearchAttributeKey(name!, SearchAttributeType.KEYWORD), value: value! })));

/**
 * Has a tenant be swept every so many hours, or not any more. One sweep at a time: while one runs, or waits for a person about a damaged
 * pack, the next is left out; sweeps by hand run beside. Idempotent; a schedule that is there is changed.
 */
export async function setSweepSchedule(client: Client, input: SweepTenantInput, everyHours: number | 'off'): Promise<void> {
  const { tenantId } = input;
  const handle = client.schedule.getHandle(sweepScheduleId(tenantId));
  if (everyHours === 'off') {
    await handle.delete().catch((error: unknown) => {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    });
    return;
  }
  const schedule = {
    scheduleId: sweepScheduleId(tenantId),
    spec: { intervals: [{ every: `${everyHours} hours` }], jitter: '10 minutes' },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 hour' },
    action: { type: 'startWorkflow', workflowType: 'sweepTenant', workflowId: sweepWorkflowId(tenantId, 'scheduled'), taskQueue: taskQueues.core, args: [input],
      staticSummary: `Sweep of tenant ${tenantId}, by schedule`, typedSearchAttributes: sweepAttributes(tenantId) },
  } satisfies ScheduleOptions;
  try {
    await client.schedule.create(schedule);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await handle.update(({ state }) => ({ ...schedule, state }));
  }
}
