import { cancellationSignal } from '@temporalio/activity';
import type { PackIdentity } from '../../domain/pack.ts';
import type { HealAttempt } from '../../domain/sweep.ts';
import type { ArchiveStore, PackSpool, UploadProgress } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

/**
 * Puts a damaged pack of the archive back from this gateway's disk, where that still has it. What the archive has stays until all of the
 * copy is there and was compared with the pack's index. Idempotent. Heartbeat: where an interrupted upload goes on.
 */
export const createPutBackPack = ({ spool, archive }: { readonly spool: Pick<PackSpool, 'find'>; readonly archive: Pick<ArchiveStore, 'getIndex' | 'replacePack'> }) =>
  async function putBackPack(pack: PackIdentity): Promise<HealAttempt> {
    const signal = cancellationSignal();
    const index = await archive.getIndex(pack, signal);
    const file = index && await spool.find({ packId: pack.packId, associationId: index.origin.associationId });
    if (!file) return { healed: false, why: 'does not have it any more' };
    try {
      await withHeartbeat<UploadProgress, void>((resume, onProgress) => archive.replacePack(index, file, { resume, onProgress, signal }));
      return { healed: true };
    } catch (error) {
      if (error instanceof Error && error.name === 'ContentMismatch') return { healed: false, why: `has a copy that is damaged, too (${error.message})` };
      throw error;
    } finally {
      await file.close();
    }
  };
