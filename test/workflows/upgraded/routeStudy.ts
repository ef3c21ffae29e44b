import { proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../../../activities/index.ts';
import type { RouteOutcome, RouteStudyInput } from '../../../workflows/contracts.ts';

const { sendInstances, recordAudit } = proxyActivities<RouteActivities>({ taskQueue: 'pacs-route', startToCloseTimeout: '1 minute' });

/** A later version of the workflow: it writes into the audit before it sends. */
export async function routeStudy({ tenantId, studyInstanceUID, destinationId }: RouteStudyInput): Promise<RouteOutcome> {
  await recordAudit([{ tenantId, studyInstanceUID, destinationId, at: new Date().toISOString(), actor: 'flow', eventId: workflowInfo().runId, action: 'route.started' }]);
  return sendInstances({ tenantId, studyInstanceUID, destinationId, flowId: workflowInfo().workflowId, resend: false, retryRefused: false });
}
