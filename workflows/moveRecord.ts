import { CancellationScope, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import type { AuditAction, AuditEvent } from '../domain/audit.ts';
import { taskQueues, type RetrieveStudyInput } from './contracts.ts';

const { recordAudit } = proxyActivities<Pick<RouteActivities, 'recordAudit'>>({
  taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds', retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});
/** One C-MOVE may name many studies: events in one call of the activity. */
const batchSize = 100;

/**
 * Writes into the history of each study of a C-MOVE who asked for it, and how that ended. Nothing waits for the first; a cancel stops neither.
 *
 * @returns writes the end: `counts` are those of the whole C-MOVE
 */
export function openMoveRecord(input: RetrieveStudyInput) {
  const write = (action: AuditAction, detail: string, more: Partial<AuditEvent> = {}): Promise<void> => CancellationScope.nonCancellable(async () => {
    const events = eventsOf(input, action, { detail, ...more });
    for (let at = 0; at < events.length; at += batchSize) await recordAudit(events.slice(at, at + batchSize));
  });
  const requested = write('move.requested', `Asked to send it to AE title ${input.destinationAETitle}.`);
  return async (detail: string, counts: Readonly<Record<string, number>>, destinationId: string | undefined): Promise<void> => {
    await requested;
    await write('move.ended', detail, { counts, ...(destinationId === undefined ? {} : { destinationId }) });
  };
}

function eventsOf({ tenantId, gatewayId, originator, selections }: RetrieveStudyInput, action: AuditAction, more: Partial<AuditEvent>): readonly AuditEvent[] {
  const { workflowId, runId } = workflowInfo();
  const at = new Date().toISOString();
  return selections.map(({ studyInstanceUID }, index) =>
    ({ tenantId, gatewayId, studyInstanceUID, at, action, actor: `${originator.aeTitle}@${gatewayId}`, flowId: workflowId, eventId: `${runId}-${action}-${index}`, ...more }));
}
