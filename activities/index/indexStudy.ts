import { cancellationSignal } from '@temporalio/activity';
import { studyVersion } from '../../domain/choice.ts';
import { buildStudyDocuments, type StudySummary } from '../../domain/documents.ts';
import type { ArchiveStore, AuditLog, StudyIndex } from '../../stores/ports.ts';
import { settleHolders, type SettleHoldersDeps } from './settleHolders.ts';

export interface IndexStudyInput {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  /** The packs whose instances to write; absent writes those of all packs and removes documents that are not the study's any more. */
  readonly packIds?: readonly string[];
}

export interface IndexedStudy extends StudySummary {
  /** Committed packs of the study: the version its documents were written at. */
  readonly packCount: number;
}

export interface IndexStudyDeps extends SettleHoldersDeps {
  readonly archive: ArchiveStore;
  readonly index: StudyIndex;
  readonly audit: Pick<AuditLog, 'record' | 'catchUp'>;
}

/**
 * Writes the documents of a study from its pack indexes: those of the study and its series always, instance documents of
 * the packs named. What another study holds already is settled first: a commit asks the archive alone. The version is the number of committed packs and choices, so an attempt that was overtaken changes nothing, and
 * running twice writes the same again.
 */
export const createIndexStudy = (deps: IndexStudyDeps) =>
  async function indexStudy({ tenantId, studyInstanceUID, packIds }: IndexStudyInput): Promise<IndexedStudy> {
    const signal = cancellationSignal();
    let packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
    if (packs.length === 0) {
      if (packIds === undefined) await deps.index.forgetStudy(tenantId, studyInstanceUID, signal);
      return { packCount: 0, ...nothing };
    }
    const named = packIds && new Set(packIds);
    const { own } = await settleHolders(deps, { tenantId, studyInstanceUID }, { packs, among: named, sees: 'searchable', by: 'flow' }, signal);
    if (own > 0) packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
    const documents = buildStudyDocuments(packs);
    const version = studyVersion(packs);
    // A study with nothing but quarantined instances has no document: a reader would find it empty.
    if (!named) await deps.index.replace(documents, version, signal);
    else if (documents.study.summary.instanceCount > 0) {
      await deps.index.write({ ...documents, instances: documents.instances.filter(({ packId }) => named.has(packId)) }, version);
    }
    // The index takes writes: what history it missed comes now. A failure leaves that to the next write, or to a sweep.
    await deps.audit.catchUp(tenantId).catch(() => undefined);
    return { packCount: packs.length, ...documents.study.summary };
  };

const nothing: StudySummary = { seriesCount: 0, instanceCount: 0, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 };
