/** How long a task may wait for the gateway before the flow shows EDGE_OFFLINE; the last is repeated. */
export const offlineWaits = ['2 minutes', '30 minutes', '30 minutes', '6 hours'] as const;

/** How long a C-MOVE, whose requestor waits, waits for its turn at a destination that is away, and at one that is busy. */
export const moveWaits = { awayMs: 30_000, busyMs: 60 * 60 * 1000 } as const;

/** How long a gateway is waited for that may have a copy of a damaged pack. */
export const healWait = '10 minutes';
