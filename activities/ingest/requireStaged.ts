import { ApplicationFailure } from '@temporalio/common';
import type { StagedPack } from '../../domain/pack.ts';
import { removalEndsInMs } from '../../domain/removal.ts';
import type { ArchiveStore } from '../../stores/ports.ts';
import { packName, permanent } from '../failure.ts';

/**
 * Makes sure that the archive has a pack's tar and headers. When no sweep may be removing them, what a commit names is there for good.
 *
 * @throws `PackBeingRemoved`, to be tried again, while a sweep may be; `PackUnstaged` when they are gone; `PackCorrupt` when the tar has
 *   another length than the gateway's
 */
export async function requireStaged(archive: Pick<ArchiveStore, 'look'>, pack: StagedPack, signal: AbortSignal): Promise<void> {
  const standing = await archive.look(pack, signal);
  const waitMs = removalEndsInMs(standing);
  if (waitMs > 0) {
    throw ApplicationFailure.create({ type: 'PackBeingRemoved', nextRetryDelay: waitMs + 1000,
      message: `${packName(pack)} was staged long ago, and a sweep may be removing it at this moment. It is looked at again when that is over.` });
  }
  if (!standing.tar || !standing.headers) throw permanent('PackUnstaged', packName(pack));
  if (standing.tar.lengthBytes !== pack.lengthBytes) throw permanent('PackCorrupt', packName(pack));
}
