import { cancellationSignal } from '@temporalio/activity';
import { buildStudyDocuments } from '../../domain/documents.ts';
import type { ArchiveStore, StudyIndex } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface RebuildPageInput {
  readonly tenantId: string;
  /** The last study of the page before. */
  readonly after?: string;
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
 * running ingest: an older version changes nothing.
 */
export const createRebuildPage = (deps: { readonly archive: ArchiveStore; readonly index: StudyIndex }) =>
  async function rebuildPage({ tenantId, after, limit }: RebuildPageInput): Promise<RebuiltPage> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => {
      const studies = await deps.archive.listStudies(tenantId, { after, limit }, signal);
      let [studyCount, instanceCount] = [0, 0];
      for (const studyInstanceUID of studies) {
        const packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
        const documents = packs.length > 0 ? buildStudyDocuments(packs) : undefined;
        if (!documents?.instances.length) continue;
        await deps.index.write(documents, packs.length);
        studyCount++;
        instanceCount += documents.instances.length;
      }
      const next = studies.length === limit ? studies.at(-1) : undefined;
      return { studyCount, instanceCount, ...(next === undefined ? {} : { next }) };
    });
  };
