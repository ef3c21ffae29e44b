/** Sta1–Sta13 (PS3.8 Tables 9-1 to 9-5). */
export type State = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13;

export const stateNames: Readonly<Record<State, string>> = {
  1: 'idle',
  2: 'awaiting A-ASSOCIATE-RQ',
  3: 'awaiting the local A-ASSOCIATE response',
  4: 'awaiting the transport connection',
  5: 'awaiting A-ASSOCIATE-AC or -RJ',
  6: 'established',
  7: 'awaiting A-RELEASE-RP',
  8: 'awaiting the local A-RELEASE response',
  9: 'release collision, requestor, awaiting the local A-RELEASE response',
  10: 'release collision, acceptor, awaiting A-RELEASE-RP',
  11: 'release collision, requestor, awaiting A-RELEASE-RP',
  12: 'release collision, acceptor, awaiting the local A-RELEASE response',
  13: 'awaiting the end of the transport connection',
};

/** Evt1–Evt19: the rows of PS3.8 Table 9-10. */
export const events = {
  associateRequest: 1, transportConfirm: 2, associateAcceptPdu: 3, associateRejectPdu: 4, transportIndication: 5, associateRequestPdu: 6,
  associateResponseAccept: 7, associateResponseReject: 8, dataRequest: 9, dataPdu: 10, releaseRequest: 11, releaseRequestPdu: 12,
  releaseResponsePdu: 13, releaseResponse: 14, abortRequest: 15, abortPdu: 16, transportClosed: 17, artimExpired: 18, invalidPdu: 19,
} as const;
export type Event = (typeof events)[keyof typeof events];

/**
 * Next state of every action (PS3.8 Tables 9-6 to 9-9). Two states: the first when A-ASSOCIATE-RQ is acceptable to the
 * service-provider (AE-6), or for the association requestor (AR-8).
 */
export const nextStates = {
  'AE-1': [4], 'AE-2': [5], 'AE-3': [6], 'AE-4': [1], 'AE-5': [2], 'AE-6': [3, 13], 'AE-7': [6], 'AE-8': [13],
  'DT-1': [6], 'DT-2': [6],
  'AR-1': [7], 'AR-2': [8], 'AR-3': [1], 'AR-4': [13], 'AR-5': [1], 'AR-6': [7], 'AR-7': [8], 'AR-8': [9, 10], 'AR-9': [11], 'AR-10': [12],
  'AA-1': [13], 'AA-2': [1], 'AA-3': [1], 'AA-4': [1], 'AA-5': [1], 'AA-6': [13], 'AA-7': [13], 'AA-8': [13],
} as const satisfies Record<string, readonly [State, State?]>;
export type Action = keyof typeof nextStates;

const _ = undefined;
type Row = readonly (Action | undefined)[];

/**
 * PS3.8 Table 9-10. A row is an event, a column a state (Sta1 … Sta13). An empty cell is an event that cannot happen
 * there by itself: a primitive that the local user must not issue, or a transport event without a connection.
 */
export const transitionTable: Readonly<Record<Event, Row>> = {
  // Sta     1       2       3       4       5       6       7       8       9       10       11      12      13
  1:  ['AE-1',       _,      _,      _,      _,      _,      _,      _,      _,       _,      _,      _,      _],
  2:  [     _,       _,      _, 'AE-2',      _,      _,      _,      _,      _,       _,      _,      _,      _],
  3:  [     _,  'AA-1', 'AA-8',      _, 'AE-3', 'AA-8', 'AA-8', 'AA-8', 'AA-8',  'AA-8', 'AA-8', 'AA-8', 'AA-6'],
  4:  [     _,  'AA-1', 'AA-8',      _, 'AE-4', 'AA-8', 'AA-8', 'AA-8', 'AA-8',  'AA-8', 'AA-8', 'AA-8', 'AA-6'],
  5:  ['AE-5',       _,      _,      _,      _,      _,      _,      _,      _,       _,      _,      _,      _],
  6:  [     _,  'AE-6', 'AA-8',      _, 'AA-8', 'AA-8', 'AA-8', 'AA-8', 'AA-8',  'AA-8', 'AA-8', 'AA-8', 'AA-7'],
  7:  [     _,       _, 'AE-7',      _,      _,      _,      _,      _,      _,       _,      _,      _,      _],
  8:  [     _,       _, 'AE-8',      _,      _,      _,      _,      _,      _,       _,      _,      _,      _],
  9:  [     _,       _,      _,      _,      _, 'DT-1',      _, 'AR-7',      _,       _,      _,      _,      _],
  10: [     _,  'AA-1', 'AA-8',      _, 'AA-8', 'DT-2', 'AR-6', 'AA-8', 'AA-8',  'AA-8', 'AA-8', 'AA-8', 'AA-6'],
  11: [     _,       _,      _,      _,      _, 'AR-1',      _,      _,      _,       _,      _,      _,      _],
  12: [     _,  'AA-1', 'AA-8',      _, 'AA-8', 'AR-2', 'AR-8', 'AA-8', 'AA-8',  'AA-8', 'AA-8', 'AA-8', 'AA-6'],
  13: [     _,  'AA-1', 'AA-8',      _, 'AA-8', 'AA-8', 'AR-3', 'AA-8', 'AA-8', 'AR-10', 'AR-3', 'AA-8', 'AA-6'],
  14: [     _,       _,      _,      _,      _,      _,      _, 'AR-4', 'AR-9',       _,      _, 'AR-4',      _],
  15: [     _,       _, 'AA-1', 'AA-2', 'AA-1', 'AA-1', 'AA-1', 'AA-1', 'AA-1',  'AA-1', 'AA-1', 'AA-1',      _],
  16: [     _,  'AA-2', 'AA-3',      _, 'AA-3', 'AA-3', 'AA-3', 'AA-3', 'AA-3',  'AA-3', 'AA-3', 'AA-3', 'AA-2'],
  17: [     _,  'AA-5', 'AA-4', 'AA-4', 'AA-4', 'AA-4', 'AA-4', 'AA-4', 'AA-4',  'AA-4', 'AA-4', 'AA-4', 'AR-5'],
  18: [     _,  'AA-2',      _,      _,      _,      _,      _,      _,      _,       _,      _,      _, 'AA-2'],
  19: [     _,  'AA-1', 'AA-8',      _, 'AA-8', 'AA-8', 'AA-8', 'AA-8', 'AA-8',  'AA-8', 'AA-8', 'AA-8', 'AA-7'],
};

/** @returns undefined when Table 9-10 has an empty cell there. */
export const actionFor = (state: State, event: Event): Action | undefined => transitionTable[event][state - 1];
