import { allHandlersFinished, condition, proxyActivities, sleep, uuid4, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import { auditOfPark, type AuditEvent } from '../domain/audit.ts';
import type { ConfirmInstancesInput, ConfirmInstancesResult } from '../activities/route/confirmInstances.ts';
import type { SendInstancesInput, SendInstancesResult } from '../activities/route/sendInstances.ts';
import { permanentFailures } from '../domain/failures.ts';
import { taskQueues, type RouteOutcome, type RouteStudyInput } from './contracts.ts';
import { openDestinationQueue, type DestinationQueue } from './destinationQueue.ts';
import { openEdge, type CallEdge } from './edge.ts';
import { openFlowBoard, type FlowBoard } from './flowState.ts';
import { openParkingLot, type Decision, type ParkedFailure, type ParkingLot } from './park.ts';
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
const confirmOptions = { startToCloseTimeout: '10 minutes', heartbeatTimeout: '30 seconds' } as const;
const { confirmInstances, skipInstances } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, ...confirmOptions, retry: { initialInterval: '2 seconds', backoffCoefficient: 2, maximumInterval: '5 minutes' },
});
/** How often a destination is asked for what it took before that is sent again, and how often it is sent. */
const maxChecks = 3;
const maxRounds = 2;
/** After so long a destination that answers, but never takes everything, is a person's business. */
const patienceMs = 72 * 60 * 60 * 1000;

/** Delivers one study to one destination: sends, waits for its turn when the destination is away or busy, and asks a person about what it refuses. */
export async function routeStudy(input: RouteStudyInput): Promise<RouteOutcome> {
  const { studyInstanceUID, destinationId } = input;
  let sent: Delivered = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
  const board = openFlowBoard(() => countsOf(sent));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark(flow(input), event)]));
  const atEdge = input.gatewayId === undefined ? undefined : openEdge({ tenantId: input.tenantId, gatewayId: input.gatewayId }, board, parking);
  const urgency = openUrgency(input.tenantId, input.priority, undefined, parking);
  const queue = openDestinationQueue(input, { board, parking, urgency });

  const giveUp = async ({ kind, by }: Decision): Promise<RouteOutcome> => {
    await skipInstances({ ...requestOf(input, { retryRefused: false, turn: false }), by });
    return end(input, board, parking, sent, kind);
  };

  for (let retryRefused = false; ; retryRefused = true) {
    board.say(`Sends study ${studyInstanceUID} to ${destinationId}.`);
    const result = await parking.run(`Delivery to ${destinationId}`, (retried) => deliver(input, retryRefused || retried, { board, queue, atEdge }));
    if (!result.done) return giveUp(result.decision);
    sent = result.value;
    const failure = failureOf(destinationId, sent);
    if (!failure) return end(input, board, parking, sent, 'delivered');
    const decision = await parking.ask(failure);
    if (decision.kind !== 'retry') return giveUp(decision);
  }
}

type Delivered = SendInstancesResult & Partial<Pick<ConfirmInstancesResult, 'missingCount' | 'problem'>>;

/** Sends until the destination has taken or refused everything, and confirmed it by its policy; twice when it does not find what it took. */
async function deliver(input: RouteStudyInput, retryRefused: boolean, { board, queue, atEdge }: { readonly board: FlowBoard; readonly queue: DestinationQueue; readonly atEdge: CallEdge | undefined }): Promise<Delivered> {
  for (let round = 1; ; round++) {
    const sent = await sendAll(input, retryRefused && round === 1, queue, atEdge);
    if (sent.held || !sent.sentCount) return sent;
    const confirmed = await confirm(input, board, atEdge);
    if (confirmed.missingCount === 0 || round === maxRounds) return confirmed;
  }
}

/**
 * Asks the destination for what it took, several times: it may need a while to list it. One that commits itself later is looked at until it has,
 * or its time is over; then it is asked anew. What it says then is final.
 */
async function confirm(input: RouteStudyInput, board: FlowBoard, atEdge: CallEdge | undefined): Promise<ConfirmInstancesResult> {
  for (let [checks, transactionId] = [0, uuid4()]; ;) {
    const request: ConfirmInstancesInput = { ...requestOf(input, { retryRefused: false, turn: false }), checks, isLast: checks + 1 === maxChecks, transactionId };
    const confirmed = await (atEdge ? atEdge(confirmOptions, (edge) => edge.confirmInstances(request)) : confirmInstances(request));
    if (confirmed.isAwaited) board.say(`Waits until ${input.destinationId} commits itself to keep ${confirmed.missingCount} instances. ${confirmed.problem ?? ''}`);
    else if (confirmed.missingCount === 0 || request.isLast || confirmed.isSettled) return confirmed;
    await sleep(confirmed.pauseMs);
    if (!confirmed.isAwaited) [checks, transactionId] = [checks + 1, uuid4()];
  }
}

/** Sends, and waits its turn, until nothing waits. @returns with `held` when the destination failed for three days */
async function sendAll(input: RouteStudyInput, retryRefused: boolean, queue: DestinationQueue, atEdge: CallEdge | undefined): Promise<SendInstancesResult> {
  let failingSince: number | undefined;
  let served = false;
  try {
    for (;;) {
      const request = requestOf(input, { retryRefused, turn: queue.isTurn });
      const sent = await (atEdge ? atEdge(sendOptions, (edge) => edge.sendInstances(request)) : sendInstances(request));
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

const requestOf = ({ tenantId, studyInstanceUID, destinationId, requestedBy, again }: RouteStudyInput, how: { readonly retryRefused: boolean; readonly turn: boolean }): SendInstancesInput =>
  ({ tenantId, studyInstanceUID, destinationId, flowId: workflowInfo().workflowId, resend: requestedBy !== undefined, ...(again ? { again } : {}), ...how });

/** What a person is asked about, if anything. */
function failureOf(destinationId: string, { held, refusedCount, missingCount, problem }: Delivered): ParkedFailure | undefined {
  if (held) {
    return { errorType: 'DestinationAway',
      sentence: `Destination ${destinationId} has not taken ${held.waitingCount} instances for three days: ${held.problem ?? 'it asks to send again'}. Mend the destination and retry, or skip.` };
  }
  if (missingCount) {
    return { errorType: 'DeliveryUnconfirmed',
      sentence: `Destination ${destinationId} answered success for ${missingCount} instances and does not confirm them. ${problem ?? 'It was sent them twice and lists none of them.'} ${permanentFailures.DeliveryUnconfirmed}` };
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
