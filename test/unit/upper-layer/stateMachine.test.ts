import assert from 'node:assert/strict';
import { actionFor, events, nextStates, stateNames, transitionTable, type Action, type Event, type State } from '../../../edge-gateway/upper-layer/stateMachine.ts';

const states = Object.keys(stateNames).map(Number) as State[];
const allEvents = Object.values(events);

/** PS3.8 Table 9-10 once more, cell by cell: event → action → the states where it is taken. */
const expected: Readonly<Record<number, Readonly<Partial<Record<Action, readonly number[]>>>>> = {
  1: { 'AE-1': [1] },
  2: { 'AE-2': [4] },
  3: { 'AA-1': [2], 'AA-8': [3, 6, 7, 8, 9, 10, 11, 12], 'AE-3': [5], 'AA-6': [13] },
  4: { 'AA-1': [2], 'AA-8': [3, 6, 7, 8, 9, 10, 11, 12], 'AE-4': [5], 'AA-6': [13] },
  5: { 'AE-5': [1] },
  6: { 'AE-6': [2], 'AA-8': [3, 5, 6, 7, 8, 9, 10, 11, 12], 'AA-7': [13] },
  7: { 'AE-7': [3] },
  8: { 'AE-8': [3] },
  9: { 'DT-1': [6], 'AR-7': [8] },
  10: { 'AA-1': [2], 'AA-8': [3, 5, 8, 9, 10, 11, 12], 'DT-2': [6], 'AR-6': [7], 'AA-6': [13] },
  11: { 'AR-1': [6] },
  12: { 'AA-1': [2], 'AA-8': [3, 5, 8, 9, 10, 11, 12], 'AR-2': [6], 'AR-8': [7], 'AA-6': [13] },
  13: { 'AA-1': [2], 'AA-8': [3, 5, 6, 8, 9, 12], 'AR-3': [7, 11], 'AR-10': [10], 'AA-6': [13] },
  14: { 'AR-4': [8, 12], 'AR-9': [9] },
  15: { 'AA-1': [3, 5, 6, 7, 8, 9, 10, 11, 12], 'AA-2': [4] },
  16: { 'AA-2': [2, 13], 'AA-3': [3, 5, 6, 7, 8, 9, 10, 11, 12] },
  17: { 'AA-5': [2], 'AA-4': [3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 'AR-5': [13] },
  18: { 'AA-2': [2, 13] },
  19: { 'AA-1': [2], 'AA-8': [3, 5, 6, 7, 8, 9, 10, 11, 12], 'AA-7': [13] },
};

const expectedAction = (state: State, event: Event): Action | undefined =>
  (Object.entries(expected[event]!) as [Action, readonly number[]][]).find(([, where]) => where.includes(state))?.[0];

describe('the state machine (PS3.8 Table 9-10)', () => {
  it('has 13 states and 19 events, and a cell for each pair', () => {
    assert.equal(states.length, 13);
    assert.equal(allEvents.length, 19);
    for (const event of allEvents) assert.equal(transitionTable[event].length, 13);
  });

  for (const event of allEvents) {
    it(`takes the Standard's action for Evt${event} in every state`, () => {
      for (const state of states) assert.equal(actionFor(state, event), expectedAction(state, event), `Sta${state}`);
    });
  }

  it('answers every PDU in every state that has a connection', () => {
    const pduEvents = [events.associateAcceptPdu, events.associateRejectPdu, events.associateRequestPdu, events.dataPdu,
      events.releaseRequestPdu, events.releaseResponsePdu, events.abortPdu, events.invalidPdu];
    for (const state of states.filter((candidate) => candidate !== 1 && candidate !== 4)) {
      for (const event of pduEvents) assert.ok(actionFor(state, event), `Sta${state} Evt${event}`);
    }
  });

  it('ends in idle from every state when the connection is closed', () => {
    for (const state of states.filter((candidate) => candidate !== 1)) {
      assert.deepEqual(nextStates[actionFor(state, events.transportClosed)!], [1]);
    }
  });

  it('reaches every state from idle', () => {
    const reached = new Set<State>([1]);
    for (const state of reached) {
      for (const event of allEvents) {
        const action = actionFor(state, event);
        for (const next of action ? nextStates[action] : []) reached.add(next);
      }
    }

    assert.equal(reached.size, 13);
  });
});
