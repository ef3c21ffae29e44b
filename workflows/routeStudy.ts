import { allHandlersFinished, condition, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import { auditOfPark, type AuditEvent } from '../domain/audit.ts';
import type { SendInstancesInput, SendInstancesResult } from '../activities/route/sendInstances.ts';
import { taskQueues, type RouteOutcome, type RouteStudyInput } from './contracts.ts';
import { openDestinationQueue, type DestinationQueue } from './destinationQueue.ts';
import { openEdge, type CallEdge } from './edge.ts';
import { openFlowBoard, type FlowBoard } from './flowState.ts';
import { openParkingLot, type ParkedFailure, type ParkingLot } from './park.ts';
import { openUrgency } from './urgency.ts';

const { recordAudit } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});
/** What fails on our side is tried again for three days, then a person is asked. */
const sendOptions = { startToCloseTimeout: '30 minutes', heartbeatTimeout: '30 seconds', scheduleToCloseTimeout: '72 hours' } as const;
const { sendInstances } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, ...sendOptions, retry: { initialInterval: '30 seconds', backoffCoefficient: 2, maximumInterval: '1 hour' },
});
/** After so long a destination that answers, but never takes everything, is a person's business. */
const patienceMs = 72 * 60 * 60 * 1000;

/** Delivers one study to one destination: sends, waits for its turn when the destination is away or busy, and asks a person about what it refuses. */
export async function routeStudy(input: RouteStudyInput): Promise<RouteOutcome> {
  const { studyInstanceUID, destinationId } = input;
  let sent: SendInstancesResult = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
  const board = openFlowBoard(() => countsOf(sent));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark(flow(input), event)]));
  const atEdge = input.gatewayId === undefined ? undefined : openEdge({ tenantId: input.tenantId, gatewayId: input.gatewayId }, board, parking);
  const urgency = openUrgency(input.tenantId, input.priority, undefined, parking);
  const queue = openDestinationQueue(input, { board, parking, urgency });

  for (let retryRefused = false; ; retryRefused = true) {
    board.say(`Sends study ${studyInstanceUID} to ${destinationId}.`);
    const result = await parking.run(`Delivery to ${destinationId}`, (retried) => deliver(input, retryRefused || retried, queue, atEdge));
    if (!result.done) return end(input, board, parking, sent, result.decision.kind);
    sent = result.value;
    const failure = failureOf(destinationId, sent);
    if (!failure) return end(input, board, parking, sent, 'delivered');
    const decision = await parking.ask(failure);
    if (decision.kind !== 'retry') return end(input, board, parking, sent, decision.kind);
  }
}

/** Sends until the destination has taken or refused everything. @returns with `held` when it did not for three days */
async function deliver(input: RouteStudyInput, retryRefused: boolean, queue: DestinationQueue, atEdge: CallEdge | undefined): Promise<SendInstancesResult> {
  let failingSince: number | undefined;
  let served = false;
  try {
    for (;;) {
      const sent = await send(input, { retryRefused, turn: queue.isTurn }, atEdge);
      served = !sent.held;
      if (!sent.held) return sent;
      if (sent.held.why === 'more') {
        await queue.leave(true);
        continue;
      }
      if (sent.held.why === 'failed') failingSince ??= Date.now();
      if (failingSince !== undefined && Date.now() - failingSince > patienceMs) return sent;
      await queue.wait(sent.held);
    }
  } finally {
    await queue.leave(served);
  }
}

function send(input: RouteStudyInput, how: Pick<SendInstancesInput, 'retryRefused' | 'turn'>, atEdge: CallEdge | undefined): Promise<SendInstancesResult> {
  const { tenantId, studyInstanceUID, destinationId } = input;
  const request: SendInstancesInput = { tenantId, studyInstanceUID, destinationId, flowId: workflowInfo().workflowId,
    resend: input.requestedBy !== undefined, ...how };
  return atEdge ? atEdge(sendOptions, (edge) => edge.sendInstances(request)) : sendInstances(request);
}

/** What a person is asked about, if anything. */
function failureOf(destinationId: string, { held, refusedCount }: SendInstancesResult): ParkedFailure | undefined {
  if (held) {
    return { errorType: 'DestinationAway',
      sentence: `Destination ${destinationId} has not taken ${held.waitingCount} instances for three days: ${held.problem ?? 'it asks to send again'}. Mend the destination and retry, or skip.` };
  }
  if (refusedCount === 0) return undefined;
  return { errorType: 'DestinationRefused',
    sentence: `Destination ${destinationId} refused ${refusedCount} instances for good. Its delivery ledger has each status. Mend the destination and retry, or skip.` };
}

async function end(input: RouteStudyInput, board: FlowBoard, parking: ParkingLot, sent: SendInstancesResult, how: 'delivered' | 'skip' | 'reject' | 'retry'): Promise<RouteOutcome> {
  const delivered = how === 'delivered';
  const event: AuditEvent = { ...flow(input), at: new Date().toISOString(), actor: 'flow', eventId: `${workflowInfo().runId}-end`,
    action: delivered ? 'route.delivered' : 'route.failed', counts: countsOf(sent) };
  await parking.settled();
  await recordAudit([event]);
  await condition(allHandlersFinished);
  await parking.settled();
  const counts = `${sent.deliveredCount} delivered, ${sent.alreadyThereCount} there before, ${sent.refusedCount} refused`;
  board.close(how === 'reject' ? 'REJECTED' : 'DONE', `Delivery to ${input.destinationId}: ${counts}.`);
  return countsOf(sent);
}

const countsOf = ({ deliveredCount, refusedCount, alreadyThereCount }: SendInstancesResult) => ({ deliveredCount, refusedCount, alreadyThereCount });

const flow = ({ tenantId, studyInstanceUID, destinationId }: RouteStudyInput) =>
  ({ tenantId, studyInstanceUID, destinationId, flowId: workflowInfo().workflowId });
