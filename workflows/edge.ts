import { ActivityFailure, TimeoutFailure, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import type { EdgeActivities } from '../activities/index.ts';
import type { FlowBoard } from './flowState.ts';
import { edgeTaskQueue } from './ids.ts';

/** How long a task may wait for the gateway before the flow shows EDGE_OFFLINE; the last is repeated. */
const offlineWaits = ['2 minutes', '30 minutes', '30 minutes', '6 hours'] as const;

/**
 * Runs one activity on a gateway's queue, for as long as the gateway is away. Each miss costs about 11 history events, so the waits
 * grow; an activity that started is retried by its own policy.
 */
export async function atEdge<T>(edge: { readonly tenantId: string; readonly gatewayId: string }, board: FlowBoard,
  options: Pick<ActivityOptions, 'startToCloseTimeout' | 'heartbeatTimeout' | 'scheduleToCloseTimeout'>, call: (activities: EdgeActivities) => Promise<T>): Promise<T> {
  for (let miss = 0; ; miss++) {
    const activities = proxyActivities<EdgeActivities>({
      taskQueue: edgeTaskQueue(edge.tenantId, edge.gatewayId),
      ...options,
      scheduleToStartTimeout: offlineWaits[Math.min(miss, offlineWaits.length - 1)],
      retry: { initialInterval: '2 seconds', backoffCoefficient: 2, maximumInterval: '5 minutes' },
    });
    try {
      const result = await call(activities);
      if (board.state === 'EDGE_OFFLINE') board.show('RUNNING', `Gateway ${edge.gatewayId} is back.`);
      return result;
    } catch (error) {
      if (!neverStarted(error)) throw error;
      board.show('EDGE_OFFLINE', `Waits for gateway ${edge.gatewayId}, which has not answered yet; the work goes on by itself when the gateway is back.`, 'EdgeOffline');
    }
  }
}

const neverStarted = (error: unknown): boolean =>
  error instanceof ActivityFailure && error.cause instanceof TimeoutFailure && error.cause.timeoutType === 'SCHEDULE_TO_START';
