import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal } from '@temporalio/activity';
import { endedWarrants, isOrphan, removableUntil, settleMs, windowMs, type PackStanding, type Warrant } from '../../domain/removal.ts';
import type { ArchiveStore, AuditLog, OrphanStore } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface RemoveOrphansInput {
  readonly tenantId: string;
  readonly flowId: string;
  /** The `next` of the page before. */
  readonly cursor?: string;
  /** Objects of a page. */
  readonly limit: number;
  /** What was written later than so long ago, by S3's clock, may be on its way to its commit. */
  readonly ageMs: number;
}

/** Packs that were staged and never committed. */
export interface RemovedOrphans {
  readonly removedCount: number;
  readonly removedBytes: number;
}

export interface RemoveOrphansDeps {
  readonly archive: Pick<ArchiveStore, 'look'>;
  readonly orphans: Pick<OrphanStore, 'listOrphans' | 'putWarrant' | 'removeWarrant' | 'removePart'>;
  readonly audit: Pick<AuditLog, 'record'>;
  /** Between warrants and looks. */
  readonly settleMs?: number;
}

/** Packs that one window is enough for. */
const groupSize = 50;

/**
 * Removes the packs of a page of a tenant's objects that were staged and never committed: left behind by an ingest that was given up, or
 * holding nothing but duplicates. Never one that a commit names: see domain/removal.ts. Safe to repeat, and to run twice at once.
 *
 * Heartbeat: what was removed so far. An attempt that was interrupted reads its page again and finds the rest.
 */
export const createRemoveOrphans = (deps: RemoveOrphansDeps) =>
  async function removeOrphans({ tenantId, flowId, cursor, limit, ageMs }: RemoveOrphansInput): Promise<RemovedOrphans & { readonly next?: string }> {
    const signal = cancellationSignal();
    return withHeartbeat<RemovedOrphans, RemovedOrphans & { readonly next?: string }>(async (resume, beat) => {
      let removed: RemovedOrphans = resume ?? { removedCount: 0, removedBytes: 0 };
      const { packs, next } = await deps.orphans.listOrphans(tenantId, { cursor, limit }, signal);
      for (const pack of packs) for (const warrant of endedWarrants(pack)) await deps.orphans.removeWarrant(pack, warrant, signal);
      const aged = packs.filter((pack) => isOrphan(pack, ageMs));
      for (let from = 0; from < aged.length; from += groupSize) {
        const group: { readonly pack: PackStanding; readonly warrant: Warrant }[] = [];
        for (const pack of aged.slice(from, from + groupSize)) {
          const warrant = { id: randomUUID(), windowMs };
          await deps.orphans.putWarrant(pack, warrant, signal);
          group.push({ pack, warrant });
        }
        await sleep(deps.settleMs ?? settleMs, undefined, { signal });
        for (const { pack, warrant } of group) {
          const lengthBytes = await removePack(deps, pack, warrant, ageMs, signal);
          if (lengthBytes === undefined) continue;
          await recordRemoval(deps, pack, warrant, flowId, lengthBytes);
          removed = { removedCount: removed.removedCount + 1, removedBytes: removed.removedBytes + lengthBytes };
          beat(removed);
        }
      }
      return { ...removed, ...(next === undefined ? {} : { next }) };
    });
  };

/** @returns the bytes removed; undefined when the pack is committed, was staged again, or could not be removed in time */
export async function removePack(deps: Pick<RemoveOrphansDeps, 'archive' | 'orphans'>, pack: PackStanding, warrant: Warrant, ageMs: number, signal: AbortSignal): Promise<number | undefined> {
  const standing = await deps.archive.look(pack, signal);
  const until = removableUntil(standing, warrant.id, ageMs);
  if (!until) return undefined;
  // The tar goes first: what is left of a removal that stops here is small, and an orphan still.
  for (const part of ['tar', 'headers'] as const) {
    if (standing[part] && !await deps.orphans.removePart(pack, part, standing.at, until, signal)) return undefined;
  }
  return (standing.tar?.lengthBytes ?? 0) + (standing.headers?.lengthBytes ?? 0);
}

const recordRemoval = ({ audit }: RemoveOrphansDeps, { tenantId, studyInstanceUID, seriesInstanceUID, packId, at }: PackStanding, { id }: Warrant, flowId: string, lengthBytes: number) =>
  audit.record([{ tenantId, studyInstanceUID, seriesInstanceUID, packId, flowId, eventId: `${id}-removed`, at: at.toISOString(), actor: 'sweep', action: 'pack.removed',
    counts: { lengthBytes }, detail: `Pack ${packId.slice(0, 12)} was staged and never committed; it is removed.` }]);
