import { cancellationSignal } from '@temporalio/activity';
import type { InstanceHeader, PackedInstance } from '../../domain/instance.ts';
import type { SpooledPack, StagedPack } from '../../domain/pack.ts';
import type { ArchiveStore, PackFile, PackSpool, UploadProgress } from '../../stores/ports.ts';
import { packName, permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface StagePackDeps {
  readonly spool: PackSpool;
  readonly archive: ArchiveStore;
  /** Parses each instance's header out of the pack file (stores/packs/packHeaders.ts). */
  readonly readHeaders: (file: PackFile, instances: readonly PackedInstance[]) => AsyncIterable<InstanceHeader>;
}

/**
 * Uploads a closed pack to its final key and its header file beside it. Idempotent: the keys follow from the content,
 * and equal bytes there count as done. Heartbeat: upload ID and parts finished, where the next attempt resumes.
 *
 * @throws `SpoolMissing` when neither this gateway's disk nor the archive has the pack, `SpoolUnreadable` when the disk has
 *   something else, `PackCorrupt` when the archive has other bytes under the pack's key.
 */
export const createStagePack = (deps: StagePackDeps) =>
  async function stagePack(pack: SpooledPack): Promise<StagedPack> {
    const signal = cancellationSignal();
    const file = await deps.spool.open(pack).catch((error: unknown) => {
      throw permanently(error, pack);
    });
    if (!file) return stagedBefore(deps.archive, pack, signal);
    try {
      await withHeartbeat<UploadProgress, void>(async (resume, onProgress) => {
        await deps.archive.putPack(pack, file, { resume, onProgress, signal });
        await deps.archive.putHeaders(pack, await Array.fromAsync(deps.readHeaders(file, file.instances)), signal);
      });
      return asStaged(pack);
    } catch (error) {
      throw permanently(error, pack);
    } finally {
      await file.close();
    }
  };

/** The disk forgot the pack after an earlier attempt staged it: the archive answers for it. */
async function stagedBefore(archive: ArchiveStore, pack: SpooledPack, signal: AbortSignal): Promise<StagedPack> {
  const [lengthBytes, headers] = await Promise.all([archive.packLengthBytes(pack, signal), archive.getHeaders(pack, signal)]);
  if (lengthBytes !== pack.lengthBytes || !headers) throw permanent('SpoolMissing', packName(pack));
  return asStaged(pack);
}

/** What the disk and the archive say of the pack's bytes stays so, however often it is tried; all else is retried as it came. */
function permanently(error: unknown, pack: SpooledPack): unknown {
  const name = error instanceof Error ? error.name : '';
  if (name === 'PackUnreadable') return permanent('SpoolUnreadable', packName(pack));
  return name === 'ContentMismatch' ? permanent('PackCorrupt', packName(pack)) : error;
}

const asStaged = ({ tenantId, studyInstanceUID, seriesInstanceUID, packId, gatewayId, associationId, lengthBytes, instanceCount }: SpooledPack): StagedPack =>
  ({ tenantId, studyInstanceUID, seriesInstanceUID, packId, gatewayId, associationId, lengthBytes, instanceCount });
