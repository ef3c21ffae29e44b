import { withHeartbeat } from '../heartbeat.ts';

/** Makes the searchable history of a tenant from its events in the archive. Safe to repeat: an event is indexed once. */
export const createRebuildAudit = (deps: { readonly audit: { rebuild(tenantId: string): Promise<number> } }) =>
  async function rebuildAudit({ tenantId }: { readonly tenantId: string }): Promise<{ readonly eventCount: number }> {
    return withHeartbeat(async () => ({ eventCount: await deps.audit.rebuild(tenantId) }));
  };
