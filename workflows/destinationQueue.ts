import { CancellationScope, condition, defineSignal, getExternalWorkflowHandle, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import type { Held } from '../activities/route/sendInstances.ts';
import { pauseMs } from '../domain/circuit.ts';
import { taskQueues, turnOverSignal, turnSignal, type TurnOver, type WaitingDelivery } from './contracts.ts';
import type { FlowBoard } from './flowState.ts';
import { destinationWorkflowId } from './ids.ts';
import { GivenUpWaiting, type Decision, type ParkingLot } from './park.ts';
import type { Urgency } from './urgency.ts';

const { joinCircuit } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});
/** A turn that does not come for so long is asked for again: an admin may have ended the destination's flow. */
const askAgainAfterMs = 60 * 60 * 1000;
/** First pause of a delivery that met a busy destination, or failed where others do not. */
const firstPauseMs = 2_000;

/** What the queue is for. */
export interface Queued {
  readonly tenantId: string;
  readonly destinationId: string;
  /** Somebody waits for the answer: a destination that is busy is asked again every two seconds. */
  readonly isAwaited?: boolean;
}

interface QueueSurroundings {
  readonly board: FlowBoard;
  readonly parking: Pick<ParkingLot, 'offer'>;
  readonly urgency: Pick<Urgency, 'priority'>;
}

/** A delivery's place in the queue of its destination. */
export interface DestinationQueue {
  /** Whether it is this delivery's turn. */
  readonly isTurn: boolean;
  /**
   * Waits at the destination's flow until it is this delivery's turn; gives back the turn it had.
   *
   * @returns false when the turn did not come within so long; it waits there no longer
   * @throws GivenUpWaiting when a person gives the delivery up
   */
  wait(held: Omit<Held, 'waitingCount'>, patienceMs?: number): Promise<boolean>;
  /** Gives the turn back, if it had one. */
  leave(served: boolean): Promise<void>;
  /** Neither waits nor has a turn any more. */
  withdraw(): Promise<void>;
}

export function openDestinationQueue({ tenantId, destinationId, isAwaited = false }: Queued, { board, parking, urgency }: QueueSurroundings): DestinationQueue {
  let isTurn = false;
  let waits = 0;
  setHandler(defineSignal(turnSignal), () => { isTurn = true; });
  const giveBack = async (served: boolean): Promise<void> => {
    isTurn = false;
    const over: TurnOver = { flowId: workflowInfo().workflowId, served };
    // The destination's flow may have ended meanwhile: then nobody waits for this turn.
    await CancellationScope.nonCancellable(() => getExternalWorkflowHandle(destinationWorkflowId(tenantId, destinationId)).signal(turnOverSignal, over).catch(() => undefined));
  };
  const join = (held: Omit<Held, 'waitingCount'>): Promise<void> => {
    const now = Date.now();
    const at = new Date(now).toISOString();
    const { problem = 'It asked to send again', progressed, retryAfterMs } = held;
    const delivery: WaitingDelivery = {
      flowId: workflowInfo().workflowId, priority: urgency.priority, notBefore: new Date(now + (held.why === 'open' ? 0 : pauseMs(firstPauseMs, isAwaited ? 1 : waits))).toISOString(),
      ...(held.why === 'failed' ? { failure: { at, problem, progressed, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } } : {}),
      ...(held.why === 'open' ? { metOpen: true } : {}),
    };
    return joinCircuit({ tenantId, destinationId, delivery });
  };
  return {
    get isTurn() { return isTurn; },
    async wait(held, patienceMs = Infinity) {
      const endsAt = Date.now() + patienceMs;
      isTurn = false;
      waits = held.progressed ? 1 : waits + 1;
      const since = new Date().toISOString();
      const said = held.problem === undefined ? '' : ` It said: ${held.problem.replace(/\.$/, '')}.`;
      const takeDown = held.why === 'busy' ? undefined : board.hold('DESTINATION_AWAY',
        `Waits since ${since} for destination ${destinationId}; flow ${destinationWorkflowId(tenantId, destinationId)} says when it is tried next, and this delivery goes on by itself.${said}`, 'DestinationAway');
      if (!takeDown) board.say(`Waits for its turn: destination ${destinationId} takes other deliveries. Flow ${destinationWorkflowId(tenantId, destinationId)} tells how it stands.`);
      let givenUp: Decision | undefined;
      const withdraw = parking.offer((decision) => { givenUp = decision; });
      try {
        for (let asked = held; !isTurn; asked = { ...held, why: 'open' }) {
          const { priority } = urgency;
          await join(asked);
          await condition(() => isTurn || givenUp !== undefined || urgency.priority !== priority, Math.max(1, Math.min(askAgainAfterMs, endsAt - Date.now())));
          if (givenUp) throw new GivenUpWaiting(givenUp);
          if (!isTurn && Date.now() >= endsAt) {
            await giveBack(false);
            return false;
          }
        }
        return true;
      } finally {
        withdraw();
        takeDown?.();
      }
    },
    async leave(served) {
      if (isTurn) await giveBack(served);
    },
    withdraw: () => giveBack(false),
  };
}
