import { cancellationSignal } from '@temporalio/activity';
import type { StudyIndex } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

/** Removes a tenant's documents, which the archive gives again. Safe to repeat; an attempt that was given up stops at its next page. */
export const createDropIndex = (deps: { readonly index: Pick<StudyIndex, 'forgetTenant'> }) =>
  async function dropIndex({ tenantId }: { readonly tenantId: string }): Promise<{ readonly removedCount: number }> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => ({ removedCount: await deps.index.forgetTenant(tenantId, signal) }));
  };
