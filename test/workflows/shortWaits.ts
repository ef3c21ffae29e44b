/** Stands in for workflows/waits.ts. */
export const offlineWaits = ['1 second'] as const;
