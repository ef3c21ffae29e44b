/** Stands in for workflows/waits.ts. */
export const offlineWaits = ['1 second'] as const;

export const moveWaits = { awayMs: 2_000, busyMs: 60_000 } as const;
export const healWait = '1 second';
