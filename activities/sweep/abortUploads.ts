import { cancellationSignal } from '@temporalio/activity';
import type { OrphanStore } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

/** Uploads in parts that were begun and not completed. */
export interface AbortedUploads {
  readonly abortedCount: number;
  /** What their parts took. */
  readonly abortedBytes: number;
}

/**
 * Aborts a tenant's uploads that were begun longer ago than `ageMs`. One that is still under way begins anew, so nothing is lost by it.
 * Heartbeat: what was aborted so far.
 */
export const createAbortUploads = (deps: { readonly orphans: Pick<OrphanStore, 'listUploads' | 'abortUpload'> }) =>
  async function abortUploads({ tenantId, ageMs }: { readonly tenantId: string; readonly ageMs: number }): Promise<AbortedUploads> {
    const signal = cancellationSignal();
    return withHeartbeat<AbortedUploads, AbortedUploads>(async (resume, beat) => {
      let aborted: AbortedUploads = resume ?? { abortedCount: 0, abortedBytes: 0 };
      for await (const upload of deps.orphans.listUploads(tenantId, signal)) {
        if (upload.ageMs < ageMs) continue;
        const lengthBytes = await deps.orphans.abortUpload(tenantId, upload, signal);
        aborted = { abortedCount: aborted.abortedCount + 1, abortedBytes: aborted.abortedBytes + lengthBytes };
        beat(aborted);
      }
      return aborted;
    });
  };
