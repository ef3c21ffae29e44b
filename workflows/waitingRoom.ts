import { defineSignal, setHandler } from '@temporalio/workflow';
import { joinSignal, turnOverSignal, type CircuitCarried, type TurnOver, type WaitingDelivery } from './contracts.ts';

/** A turn that was never said to be over ends by itself: its flow was terminated, or its gateway is away. */
const maxTurnMs = 40 * 60 * 1000;

/** The deliveries that wait for a destination, and those whose turn it is. */
export interface WaitingRoom {
  readonly waitingCount: number;
  readonly turnCount: number;
  /** Grows whenever something came or went. */
  readonly version: number;
  /** Takes out the delivery that is next at this time: by priority, then in the order they came. */
  next(now: number, ignoreNotBefore: boolean): WaitingDelivery | undefined;
  /** When the first of those who wait may go, and when the first turn ends at the latest, in epoch milliseconds; Infinity for never. */
  firstAt(): number;
  turnEndsAt(): number;
  /** Forgets turns that are over by themselves. */
  expire(now: number): void;
  begin(flowId: string, now: number): void;
  /** The destination is back: nobody has to pause any more. */
  endPauses(): void;
  carried(limit: number): Pick<CircuitCarried, 'waiting' | 'turns'>;
}

export interface RoomEvents {
  joined(delivery: WaitingDelivery): void;
  served(): void;
}

/** Handles the signals of deliveries. A delivery that joins again has given its turn back. */
export function openWaitingRoom(before: CircuitCarried | undefined, events: RoomEvents): WaitingRoom {
  const waiting = new Map((before?.waiting ?? []).map((delivery) => [delivery.flowId, delivery]));
  const turns = new Map((before?.turns ?? []).map(([flowId, endsAt]) => [flowId, Date.parse(endsAt)]));
  let version = 0;
  setHandler(defineSignal<[WaitingDelivery]>(joinSignal), (delivery) => {
    version++;
    turns.delete(delivery.flowId);
    waiting.delete(delivery.flowId);
    waiting.set(delivery.flowId, delivery);
    events.joined(delivery);
  });
  setHandler(defineSignal<[TurnOver]>(turnOverSignal), ({ flowId, served }) => {
    version++;
    turns.delete(flowId);
    waiting.delete(flowId);
    if (served) events.served();
  });

  return {
    get waitingCount() { return waiting.size; },
    get turnCount() { return turns.size; },
    get version() { return version; },
    expire(now) {
      for (const [flowId, endsAt] of turns) if (endsAt <= now) turns.delete(flowId);
    },
    next(now, ignoreNotBefore) {
      let first: WaitingDelivery | undefined;
      for (const delivery of waiting.values()) {
        if ((ignoreNotBefore || Date.parse(delivery.notBefore) <= now) && (!first || delivery.priority < first.priority)) first = delivery;
      }
      if (first) waiting.delete(first.flowId);
      return first;
    },
    firstAt: () => Math.min(...[...waiting.values()].map(({ notBefore }) => Date.parse(notBefore))),
    turnEndsAt: () => Math.min(...turns.values()),
    endPauses() {
      for (const delivery of waiting.values()) waiting.set(delivery.flowId, { ...delivery, notBefore: new Date(0).toISOString() });
    },
    begin: (flowId, now) => void turns.set(flowId, now + maxTurnMs),
    carried: (limit) => ({
      waiting: [...waiting.values()].slice(0, limit).map(({ flowId, priority, notBefore }) => ({ flowId, priority, notBefore })),
      turns: [...turns].map(([flowId, endsAt]) => [flowId, new Date(endsAt).toISOString()] as const),
    }),
  };
}
