import { allHandlersFinished, condition, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import { auditOfPark, type AuditEvent } from '../domain/audit.ts';
import type { SendInstancesInput, SendInstancesResult } from '../activities/route/sendInstances.ts';
import { taskQueues, type RouteOutcome, type RouteStudyInput } from './contracts.ts';
import { openEdge, type CallEdge } from './edge.ts';
import { openFlowBoard, type FlowBoard } from './flowState.ts';
import { openParkingLot, type ParkingLot } from './park.ts';
import { openUrgency } from './urgency.ts';

const { recordAudit } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});
/** The activity says when to try again; after three days a person is asked. */
const sendOptions = { startToCloseTimeout: '30 minutes', heartbeatTimeout: '30 seconds', scheduleToCloseTimeout: '72 hours' } as const;
const { sendInstances } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, ...sendOptions, retry: { initialInterval: '30 seconds', backoffCoefficient: 2, maximumInterval: '1 hour' },
});

/** Delivers one study to one destination: sends, tries again for days, and asks a person about what the destination refuses. */
export async function routeStudy(input: RouteStudyInput): Promise<RouteOutcome> {
  const { studyInstanceUID, destinationId } = input;
  let sent: SendInstancesResult = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
  const board = openFlowBoard(() => ({ ...sent }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark(flow(input), event)]));
  const atEdge = input.gatewayId === undefined ? undefined : openEdge({ tenantId: input.tenantId, gatewayId: input.gatewayId }, board, parking);
  openUrgency(input.tenantId, input.priority, undefined, parking);
  board.say(`Sends study ${studyInstanceUID} to ${destinationId}.`);

  for (let retryRefused = false; ; retryRefused = true) {
    const result = await parking.run(`Delivery to ${destinationId}`, (retried) => send(input, retryRefused || retried, atEdge));
    if (!result.done) return end(input, board, parking, sent, result.decision.kind);
    sent = result.value;
    if (sent.refusedCount === 0) return end(input, board, parking, sent, 'delivered');
    const decision = await parking.ask({ errorType: 'DestinationRefused',
      sentence: `Destination ${destinationId} refused ${sent.refusedCount} instances for good. Its delivery ledger has each status. Mend the destination and retry, or skip.` });
    if (decision.kind !== 'retry') return end(input, board, parking, sent, decision.kind);
  }
}

function send(input: RouteStudyInput, retryRefused: boolean, atEdge: CallEdge | undefined): Promise<SendInstancesResult> {
  const { tenantId, studyInstanceUID, destinationId } = input;
  const request: SendInstancesInput = { tenantId, studyInstanceUID, destinationId, flowId: workflowInfo().workflowId,
    resend: input.requestedBy !== undefined, retryRefused };
  return atEdge ? atEdge(sendOptions, (edge) => edge.sendInstances(request)) : sendInstances(request);
}

async function end(input: RouteStudyInput, board: FlowBoard, parking: ParkingLot, sent: SendInstancesResult, how: 'delivered' | 'skip' | 'reject' | 'retry'): Promise<RouteOutcome> {
  const delivered = how === 'delivered';
  const event: AuditEvent = { ...flow(input), at: new Date().toISOString(), actor: 'flow', eventId: `${workflowInfo().runId}-end`,
    action: delivered ? 'route.delivered' : 'route.failed', counts: { ...sent } };
  await parking.settled();
  await recordAudit([event]);
  await condition(allHandlersFinished);
  await parking.settled();
  const counts = `${sent.deliveredCount} delivered, ${sent.alreadyThereCount} there before, ${sent.refusedCount} refused`;
  board.close(how === 'reject' ? 'REJECTED' : 'DONE', `Delivery to ${input.destinationId}: ${counts}.`);
  return sent;
}

const flow = ({ tenantId, studyInstanceUID, destinationId }: RouteStudyInput) =>
  ({ tenantId, studyInstanceUID, destinationId, flowId: workflowInfo().workflowId });
