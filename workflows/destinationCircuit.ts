import { allHandlersFinished, condition, continueAsNew, defineSignal, getExternalWorkflowHandle, isCancellation, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import { isOpen, noteFailedProbe, noteFailure, sentenceOf, type Trouble } from '../domain/circuit.ts';
import { retrySignal, taskQueues, turnSignal, type DestinationCircuitInput } from './contracts.ts';
import { openEdge } from './edge.ts';
import { openFlowBoard, type FlowBoard } from './flowState.ts';
import { openWaitingRoom, type WaitingRoom } from './waitingRoom.ts';

const maxHistoryEvents = 3000;
/** Waiting deliveries that a new run is told of; the others join again by themselves. */
const maxCarried = 5000;
/** After so long a person is asked to look at the destination; it is tried on. */
const attentionMs = 72 * 60 * 60 * 1000;

const callOptions = { startToCloseTimeout: '1 minute' } as const;
const { setCircuit, probeDestination } = proxyActivities<RouteActivities>({
  taskQueue: taskQueues.route, ...callOptions, retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

/**
 * One destination that deliveries wait for: away, short of room, or busy. Tries it alone, by a probe and then by one delivery; when
 * that is taken, lets the others go, the urgent first and a few at a time. Ends when nobody waits. A healthy destination has no such flow.
 * History: about 20 events a try, 6 a delivery that waited.
 */
export async function destinationCircuit(input: DestinationCircuitInput): Promise<void> {
  const { tenantId, destinationId, firstRetryMs, carried } = input;
  let trouble: Trouble | undefined = carried?.trouble;
  let shownOpen = carried?.shownOpen ?? false;
  let tryNow = false;
  const room: WaitingRoom = openWaitingRoom(carried, {
    joined({ failure, metOpen }) {
      if (failure) trouble = noteFailure(trouble, failure, firstRetryMs);
      if (metOpen) shownOpen = true;
    },
    served() {
      // A delivery that fails where others do not keeps its own pause.
      if (isOpen(trouble)) room.endPauses();
      trouble = undefined;
    },
  });
  setHandler(defineSignal(retrySignal), () => { tryNow = true; });
  const board = openFlowBoard(() => ({ waiting: room.waitingCount, underWay: room.turnCount, failures: trouble?.failures ?? 0 }));
  const tell = openTeller(board, destinationId);
  const probe = openProbe(input, board);

  for (;;) {
    const seen = room.version;
    room.expire(Date.now());
    if (room.waitingCount + room.turnCount === 0) trouble = undefined;
    tell(trouble, room.waitingCount);
    if (isOpen(trouble) !== shownOpen) {
      shownOpen = isOpen(trouble);
      await setCircuit({ tenantId, destinationId, ...(trouble && shownOpen ? { open: trouble } : {}) });
      continue;
    }
    const places = trouble ? 1 : input.maxAssociations;
    const hasPlace = room.waitingCount > 0 && room.turnCount < places;
    const turnAt = trouble ? Date.parse(trouble.nextTryAt) : room.firstAt();
    if (hasPlace && (turnAt <= Date.now() || tryNow)) {
      tryNow = false;
      const problem = trouble && await probe();
      if (problem && trouble) trouble = noteFailedProbe(trouble, { at: new Date().toISOString(), problem }, firstRetryMs);
      const next = problem ? undefined : room.next(Date.now(), trouble !== undefined);
      if (next && await giveTurn(next.flowId)) room.begin(next.flowId, Date.now());
      if (problem || next) continue;
    }
    if (room.waitingCount + room.turnCount === 0) {
      // No await between this check and the return: a delivery that joins in between would be lost.
      if (allHandlersFinished()) return board.close('DONE', `Nothing waits for destination ${destinationId}.`);
      await condition(allHandlersFinished);
      continue;
    }
    if (workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents) {
      await continueAsNew<typeof destinationCircuit>({ ...input, carried: { ...room.carried(maxCarried), shownOpen, ...(trouble ? { trouble } : {}) } });
    }
    const until = Math.min(hasPlace ? turnAt : Infinity, room.turnEndsAt());
    await condition(() => room.version !== seen || (tryNow && hasPlace), Math.max(1, until - Date.now()));
  }
}

/** Says in the flow how the destination stands. */
function openTeller(board: FlowBoard, destinationId: string) {
  let takeDown: (() => void) | undefined;
  let shown = '';
  return (trouble: Trouble | undefined, waitingCount: number): void => {
    const isLong = trouble !== undefined && Date.now() - Date.parse(trouble.since) > attentionMs;
    const sentence = trouble ? `${sentenceOf(destinationId, trouble)} ${waitingCount} deliveries wait and go on by themselves; signal ${retrySignal} tries at once.` : '';
    if (sentence !== shown) {
      takeDown?.();
      takeDown = trouble && board.hold(isLong ? 'ATTENTION' : 'DESTINATION_AWAY', sentence, 'DestinationAway');
      shown = sentence;
    }
    board.say(`${waitingCount} deliveries wait for their turn at destination ${destinationId}.`);
  };
}

/** @returns the problem when the destination does not answer, or is not known any more */
function openProbe({ tenantId, destinationId, gatewayId }: DestinationCircuitInput, board: FlowBoard): () => Promise<string | undefined> {
  const atEdge = gatewayId === undefined ? undefined : openEdge({ tenantId, gatewayId }, board, { offer: () => () => undefined });
  return async () => {
    try {
      const request = { tenantId, destinationId };
      return (await (atEdge ? atEdge(callOptions, (edge) => edge.probeDestination(request)) : probeDestination(request))).problem;
    } catch (error) {
      if (isCancellation(error)) throw error;
      // It is no longer configured: the next delivery finds that out for itself, and parks.
      return undefined;
    }
  };
}

/** @returns false when the flow has ended: nobody waits there */
async function giveTurn(flowId: string): Promise<boolean> {
  try {
    await getExternalWorkflowHandle(flowId).signal(turnSignal);
    return true;
  } catch (error) {
    if (isCancellation(error)) throw error;
    return false;
  }
}
