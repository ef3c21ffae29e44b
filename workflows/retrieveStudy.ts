import { ActivityFailure, ApplicationFailure, CancelledFailure, TimeoutFailure } from '@temporalio/common';
import { ActivityCancellationType, CancellationScope, isCancellation, patched, proxyActivities } from '@temporalio/workflow';
import type { EdgeActivities, RouteActivities } from '../activities/index.ts';
import type { MoveInstancesInput, MoveInstancesResult } from '../activities/route/moveInstances.ts';
import { priorities } from '../domain/tenant.ts';
import { taskQueues, type RetrieveOutcome, type RetrieveProgress, type RetrieveStudyInput } from './contracts.ts';
import { openDestinationQueue, type DestinationQueue } from './destinationQueue.ts';
import { openFlowBoard } from './flowState.ts';
import { edgeTaskQueue } from './ids.ts';
import { openMoveRecord } from './moveRecord.ts';
import { patches } from './patches.ts';
import { moveWaits } from './waits.ts';

const { findMoveDestination } = proxyActivities<Pick<RouteActivities, 'findMoveDestination'>>({
  taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds', retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});
const { failUnsent } = proxyActivities<Pick<RouteActivities, 'failUnsent'>>({
  taskQueue: taskQueues.route, startToCloseTimeout: '2 minutes', heartbeatTimeout: '30 seconds', retry: { maximumAttempts: 3 },
});

const nothing: RetrieveProgress = { completedCount: 0, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] };

/**
 * Sends what a C-MOVE names to its destination (PS3.4 C.4.2), at its turn among the destination's deliveries, from the gateway that
 * reaches it. Somebody waits for the answer, so nothing parks: what does not go through is a failed sub-operation. Progress is the
 * heartbeat of `moveInstances`; it outlives every attempt. A cancel ends it after the sub-operation under way.
 */
export async function retrieveStudy(input: RetrieveStudyInput): Promise<RetrieveOutcome> {
  const { tenantId, destinationAETitle, originator, selections } = input;
  let progress = nothing;
  const board = openFlowBoard(() => countsOf(progress));
  const isRecorded = patched(patches.recordedMoves);
  const recordEnd = isRecorded ? openMoveRecord(input) : undefined;
  let destinationId: string | undefined;

  const close = async (end: RetrieveOutcome['end'], how: string): Promise<RetrieveOutcome> => {
    const sentence = `${how} ${progress.completedCount} sent, ${progress.warningCount} with a warning, ${progress.failedCount} failed.`;
    board.close(end === 'unknownDestination' ? 'REJECTED' : 'DONE', sentence);
    await recordEnd?.(sentence, countsOf(progress), destinationId);
    return { ...progress, end };
  };
  try {
    const destination = await findMoveDestination({ tenantId, aeTitle: destinationAETitle });
    if (!destination) return await close('unknownDestination', `No DICOM destination has the AE title ${destinationAETitle}.`);
    destinationId = destination.destinationId;
    const says = `Sends to ${destinationId} what ${originator.aeTitle} asked for.`;
    board.say(says);
    const queue = openDestinationQueue({ tenantId, destinationId, isAwaited: true }, { board, parking: { offer: () => () => undefined }, urgency: { priority: priorities.urgent } });
    const move = (turn: boolean): Promise<MoveInstancesResult> =>
      moveFrom(destination.gatewayId, { tenantId, destinationId: destination.destinationId, originator, selections, progress, turn });
    const isDone = await sendAll(move, queue, () => board.say(says), (next) => { progress = next; });
    if (CancellationScope.current().consideredCancelled) return await close('cancelled', 'Cancelled.');
    if (isDone) return await close('sent', `Sent to ${destinationId}.`);
  } catch (error) {
    if (isCancellation(error) || CancellationScope.current().consideredCancelled) return close('cancelled', 'Cancelled.');
  }
  if (isRecorded) progress = await failUnsent({ tenantId, selections, progress }).catch(() => progress);
  return close('unsent', `Not all was sent: destination ${destinationAETitle} or its gateway is away, or what was to be sent could not be read.`);
}

/** @returns false when the destination was away for too long @throws what the gateway failed with, after `tell` has its progress */
async function sendAll(move: (turn: boolean) => Promise<MoveInstancesResult>, queue: DestinationQueue, goOn: () => void, tell: (progress: RetrieveProgress) => void): Promise<boolean> {
  let awaySince: number | undefined;
  let served = false;
  try {
    for (;;) {
      const { held, ...progress } = await move(queue.isTurn);
      tell(progress);
      served = held === undefined;
      if (!held || CancellationScope.current().consideredCancelled) return true;
      if (held.why === 'more') {
        await queue.leave(true);
        continue;
      }
      if (held.why === 'busy' || held.progressed) awaySince = undefined;
      if (held.why !== 'busy') awaySince ??= Date.now();
      const patienceMs = awaySince === undefined ? moveWaits.busyMs : awaySince + moveWaits.awayMs - Date.now();
      if (!await queue.wait(held, Math.max(0, patienceMs))) return false;
      goOn();
    }
  } catch (error) {
    const told = toldBy(error);
    if (told) tell(told);
    if (isCancellation(error)) await queue.withdraw();
    throw error;
  } finally {
    await queue.leave(served);
  }
}

/** The counts of the attempt that failed last; those of the calls before it are part of them. */
function toldBy(error: unknown): RetrieveProgress | undefined {
  if (!(error instanceof ActivityFailure)) return undefined;
  const { cause } = error;
  if (cause instanceof TimeoutFailure) return cause.lastHeartbeatDetails as RetrieveProgress | undefined;
  return cause instanceof ApplicationFailure || cause instanceof CancelledFailure ? cause.details?.[0] as RetrieveProgress | undefined : undefined;
}

const moveFrom = (gatewayId: string, input: MoveInstancesInput): Promise<MoveInstancesResult> =>
  proxyActivities<Pick<EdgeActivities, 'moveInstances'>>({
    taskQueue: edgeTaskQueue(input.tenantId, gatewayId), startToCloseTimeout: '12 hours', scheduleToStartTimeout: '2 minutes', heartbeatTimeout: '30 seconds',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED, retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds', maximumAttempts: 8 },
  }).moveInstances(input);

const countsOf = ({ completedCount, warningCount, failedCount }: RetrieveProgress) => ({ completedCount, warningCount, failedCount });
