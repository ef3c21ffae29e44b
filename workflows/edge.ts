import { ActivityFailure, CancellationScope, TimeoutFailure, condition, isCancellation, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import type { EdgeActivities } from '../activities/index.ts';
import type { FlowBoard } from './flowState.ts';
import { edgeTaskQueue } from './ids.ts';
import { GivenUpWaiting, type Decision, type ParkingLot } from './park.ts';
import { offlineWaits } from './waits.ts';

export type EdgeCallOptions = Pick<ActivityOptions, 'startToCloseTimeout' | 'heartbeatTimeout' | 'scheduleToCloseTimeout'>;
/** Runs one activity on a gateway's queue, for as long as the gateway is away. */
export type CallEdge = <T>(options: EdgeCallOptions, call: (activities: EdgeActivities) => Promise<T>) => Promise<T>;

/**
 * The way to one gateway. While it is away the flow shows EDGE_OFFLINE and goes on by itself when it is back. Each miss costs
 * about 11 history events, so the waits grow, and one call alone finds out: the others wait for it. An activity that
 * started is retried by its own policy. A person may give the gateway up: every call then throws `GivenUpWaiting`, also a later one.
 */
export function openEdge({ tenantId, gatewayId }: { readonly tenantId: string; readonly gatewayId: string }, board: FlowBoard, parking: Pick<ParkingLot, 'offer'>): CallEdge {
  let takeDown: (() => void) | undefined;
  let givenUp: Decision | undefined;
  const underWay = new Set<CancellationScope>();
  const isBack = () => {
    takeDown?.();
    takeDown = undefined;
  };
  const isAway = () => {
    if (takeDown) return;
    const lower = board.hold('EDGE_OFFLINE', `Waits for gateway ${gatewayId}, which is away or too busy to begin; the work goes on by itself.`, 'EdgeOffline');
    const withdraw = parking.offer((decision) => {
      givenUp = decision;
      isBack();
      for (const scope of underWay) scope.cancel();
    });
    takeDown = () => {
      lower();
      withdraw();
    };
  };
  return async (options, call) => {
    for (let miss = 0; ;) {
      if (takeDown && miss === 0) await condition(() => takeDown === undefined);
      if (givenUp) throw new GivenUpWaiting(givenUp);
      const scope = new CancellationScope();
      const activities = proxyActivities<EdgeActivities>({
        taskQueue: edgeTaskQueue(tenantId, gatewayId),
        ...options,
        scheduleToStartTimeout: offlineWaits[Math.min(miss, offlineWaits.length - 1)]!,
        retry: { initialInterval: '2 seconds', backoffCoefficient: 2, maximumInterval: '5 minutes' },
      });
      try {
        underWay.add(scope);
        const result = await scope.run(() => call(activities));
        isBack();
        return result;
      } catch (error) {
        if (givenUp && isCancellation(error)) throw new GivenUpWaiting(givenUp);
        if (!neverStarted(error)) {
          isBack();
          throw error;
        }
        if (takeDown && miss === 0) continue;
        miss++;
        isAway();
      } finally {
        underWay.delete(scope);
      }
    }
  };
}

/** No worker took the task within its time. */
export const neverStarted = (error: unknown): boolean =>
  error instanceof ActivityFailure && error.cause instanceof TimeoutFailure && error.cause.timeoutType === 'SCHEDULE_TO_START';
