/** How long a task may wait for the gateway before the flow shows EDGE_OFFLINE; the last is repeated. */
export const offlineWaits = ['2 minutes', '30 minutes', '30 minutes', '6 hours'] as const;
