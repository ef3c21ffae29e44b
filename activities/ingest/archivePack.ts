import { cancellationSignal } from '@temporalio/activity';
import { duplicateReason, resolveStudy, type CurrentInstance } from '../../domain/documents.ts';
import { pickIndexed } from '../../domain/indexedAttributes.ts';
import type { IndexedInstance, InstanceHeader } from '../../domain/instance.ts';
import { outcomeOf, type ArchivedPack, type PackIndex, type PackOrigin, type StagedPack } from '../../domain/pack.ts';
import { ingestEvents } from '../../domain/ingestEvents.ts';
import { judgeInstance } from '../../domain/validation.ts';
import type { ArchiveStore, AuditLog } from '../../stores/ports.ts';
import { packName, permanent } from '../failure.ts';
import { requireStaged } from './requireStaged.ts';

export interface ArchivePackDeps {
  readonly archive: ArchiveStore;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly now: () => Date;
}

/**
 * Commits a staged pack: checks what lies in the archive against the manifest and writes the pack's index with
 * the verdict for every instance. Idempotent: the first commit stands, and a second attempt returns it. A pack that holds
 * nothing but instances the study already has is not committed, so a resend leaves one copy; its tar is an orphan
 * that the sweep removes. The archive is looked at after the commit too: only then does no sweep remove the pack any more (domain/removal.ts). Asks the archive alone, so that images are kept while the index is away: whether another study holds
 * an instance is settled before the study is indexed (settleHolders).
 *
 * @throws `PackCorrupt` when the tar in the archive has another length than the gateway's; `PackUnstaged` when it has to be staged again;
 *   `PackBeingRemoved`, to be tried again.
 */
export const createArchivePack = (deps: ArchivePackDeps) =>
  async function archivePack(pack: StagedPack, origin: PackOrigin): Promise<ArchivedPack> {
    const signal = cancellationSignal();
    const committed = await deps.archive.getIndex(pack, signal) ?? await commit(deps, pack, origin, signal);
    const isCommitted = committed.instances.some(({ verdict }) => verdict !== 'duplicate');
    if (isCommitted) await requireStaged(deps.archive, pack, signal);
    const again = committed.origin.associationId !== origin.associationId;
    const instances = again ? committed.instances.map(asDuplicate) : committed.instances;
    await deps.audit.record(ingestEvents({ ...committed, instances, origin }, deps.now().toISOString()));
    const { tenantId, studyInstanceUID, seriesInstanceUID, packId } = pack;
    return { tenantId, studyInstanceUID, seriesInstanceUID, packId, outcome: outcomeOf(instances), committed: isCommitted };
  };

async function commit(deps: ArchivePackDeps, pack: StagedPack, origin: PackOrigin, signal: AbortSignal): Promise<PackIndex> {
  const headers = await deps.archive.getHeaders(pack, signal);
  if (!headers) throw permanent('PackUnstaged', packName(pack));
  if (headers.length !== pack.instanceCount) throw permanent('PackCorrupt', packName(pack));
  const instances = await judge(deps, pack, headers, signal);
  const index: PackIndex = { formatVersion: 1, tenantId: pack.tenantId, studyInstanceUID: pack.studyInstanceUID,
    seriesInstanceUID: pack.seriesInstanceUID, packId: pack.packId, origin, committedAt: deps.now().toISOString(),
    lengthBytes: pack.lengthBytes, instances };
  if (instances.every(({ verdict }) => verdict === 'duplicate')) return index;
  await requireStaged(deps.archive, pack, signal);
  return deps.archive.commitIndex(index, signal);
}

/** Verdicts as this commit sees them; within the study resolveStudy has the last word. */
async function judge(deps: ArchivePackDeps, pack: StagedPack, headers: readonly InstanceHeader[], signal: AbortSignal): Promise<readonly IndexedInstance[]> {
  const earlier = await deps.archive.listIndexes(pack.tenantId, pack.studyInstanceUID, signal);
  const here = new Map(resolveStudy(earlier).current.map((instance) => [instance.sopInstanceUID, instance]));
  return headers.map((header) => {
    const { header: dataSet, unreadable: _, pixelData: __, ...instance } = header;
    const judgement = judgeInstance(header, pack);
    if (judgement.verdict === 'quarantined') return { ...instance, verdict: 'quarantined', reason: judgement.reason, attributes: {} };
    const known = here.get(header.sopInstanceUID);
    const attributes = pickIndexed(dataSet);
    if (known) return { ...instance, ...beside(known, header, pack), attributes };
    here.set(header.sopInstanceUID, { ...instance, seriesInstanceUID: pack.seriesInstanceUID, packId: pack.packId, committedAt: '', attributes });
    return { ...instance, verdict: 'accepted', attributes };
  });
}

type Beside = Pick<IndexedInstance, 'verdict' | 'reason' | 'conflictsWith'>;

function beside(known: CurrentInstance, instance: InstanceHeader, pack: StagedPack): Beside {
  if (known.seriesInstanceUID === pack.seriesInstanceUID && known.sha256 === instance.sha256) return { verdict: 'duplicate', reason: duplicateReason };
  return known.seriesInstanceUID === pack.seriesInstanceUID
    ? { verdict: 'conflict', reason: 'Other bytes were archived before under this SOP Instance UID; the first stays current.' }
    : { verdict: 'conflict', conflictsWith: { studyInstanceUID: pack.studyInstanceUID, seriesInstanceUID: known.seriesInstanceUID },
      reason: `This SOP Instance UID was archived before in series ${known.seriesInstanceUID}; the first stays current.` };
}

const asDuplicate = (instance: IndexedInstance): IndexedInstance =>
  instance.verdict === 'accepted' ? { ...instance, verdict: 'duplicate', reason: duplicateReason } : instance;
