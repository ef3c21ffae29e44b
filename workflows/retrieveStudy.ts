import { ActivityCancellationType, CancellationScope, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { EdgeActivities, RouteActivities } from '../activities/index.ts';
import { taskQueues, type RetrieveOutcome, type RetrieveProgress, type RetrieveStudyInput } from './contracts.ts';
import { openFlowBoard } from './flowState.ts';
import { edgeTaskQueue } from './ids.ts';

const { findMoveDestination } = proxyActivities<Pick<RouteActivities, 'findMoveDestination'>>({
  taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds', retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

const nothing: RetrieveProgress = { completedCount: 0, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] };

/**
 * Sends what a C-MOVE names to its destination, from the gateway that reaches it (PS3.4 C.4.2). Somebody waits for the answer, so
 * nothing parks: what does not go through is a failed sub-operation. Progress is the heartbeat of `moveInstances`. A cancel ends it
 * after the sub-operation under way.
 */
export async function retrieveStudy({ tenantId, destinationAETitle, originator, selections }: RetrieveStudyInput): Promise<RetrieveOutcome> {
  let outcome: RetrieveOutcome = { ...nothing, end: 'sent' };
  const board = openFlowBoard(() => countsOf(outcome));
  const close = (state: 'DONE' | 'REJECTED', sentence: string): RetrieveOutcome => {
    board.close(state, sentence);
    return outcome;
  };
  try {
    const destination = await findMoveDestination({ tenantId, aeTitle: destinationAETitle });
    if (!destination) {
      outcome = { ...nothing, end: 'unknownDestination' };
      return close('REJECTED', `No DICOM destination has the AE title ${destinationAETitle}.`);
    }
    board.say(`Sends to ${destination.destinationId} what ${originator.aeTitle} asked for.`);
    const { moveInstances } = proxyActivities<Pick<EdgeActivities, 'moveInstances'>>({
      taskQueue: edgeTaskQueue(tenantId, destination.gatewayId), startToCloseTimeout: '12 hours', scheduleToStartTimeout: '2 minutes', heartbeatTimeout: '30 seconds',
      cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED, retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds', maximumAttempts: 5 },
    });
    const sent = await moveInstances({ tenantId, destinationId: destination.destinationId, originator, selections });
    outcome = { ...sent, end: CancellationScope.current().consideredCancelled ? 'cancelled' : 'sent' };
    return close('DONE', `${sent.completedCount} sent, ${sent.warningCount} with a warning, ${sent.failedCount} failed.`);
  } catch (error) {
    outcome = { ...outcome, end: isCancellation(error) ? 'cancelled' : 'unsent' };
    return close('DONE', isCancellation(error) ? 'Cancelled before anything was sent.' : 'Not sent: the gateway of the destination is away, or what was to be sent could not be read.');
  }
}

const countsOf = ({ completedCount, warningCount, failedCount }: RetrieveProgress) => ({ completedCount, warningCount, failedCount });
