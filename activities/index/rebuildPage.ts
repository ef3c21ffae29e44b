import { cancellationSignal } from '@temporalio/activity';
import { studyVersion } from '../../domain/choice.ts';
import { buildStudyDocuments } from '../../domain/documents.ts';
import type { ArchiveStore, StudyIndex } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface RebuildPageInput {
  readonly tenantId: string;
  /** The `next` of the page before. */
  readonly cursor?: string;
  readonly limit: number;
}

export interface RebuiltPage {
  readonly studyCount: number;
  readonly instanceCount: number;
  /** Where the next page begins; absent on the last one. */
  readonly next?: string;
}

/**
 * Writes the documents of a page of studies from the archive alone, at the versions that ingest gives them. Safe to repeat, and beside a
 * running ingest: an older version changes nothing. Until the next refresh a search may see a study before its series.
 */
export const createRebuildPage = (deps: { readonly archive: ArchiveStore; readonly index: StudyIndex }) =>
  async function rebuildPage({ tenantId, cursor, limit }: RebuildPageInput): Promise<RebuiltPage> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => {
      const { studyInstanceUIDs, next } = await deps.archive.listStudies(tenantId, { cursor, limit }, signal);
      let [studyCount, instanceCount] = [0, 0];
      for (const studyInstanceUID of studyInstanceUIDs) {
        const packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
        const documents = packs.length > 0 ? buildStudyDocuments(packs) : undefined;
        if (!documents?.instances.length) continue;
        await deps.index.write(documents, studyVersion(packs), 'apart');
        studyCount++;
        instanceCount += documents.instances.length;
      }
      return { studyCount, instanceCount, ...(next === undefined ? {} : { next }) };
    });
  };
