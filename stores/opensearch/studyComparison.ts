import { isDeepStrictEqual } from 'node:util';
import type { StudyDocuments } from '../../domain/documents.ts';
import { indexNames } from '../../domain/keys.ts';
import type { IndexDifferences } from '../../domain/sweep.ts';
import { removeDocuments, type OpenSearchClient, type Refresh } from './openSearch.ts';
import type { StudyPage } from '../ports.ts';
import { filtersOf } from './searchQuery.ts';
import { documentIds, documentWrites } from './studyDocuments.ts';

interface StudyName { readonly tenantId: string; readonly studyInstanceUID: string }
interface Hit { readonly id: string; readonly version: number; readonly source: unknown }

const pageSize = 1_000;
/** Each index, and the field that no two of a study's documents in it share. */
const levels = [[indexNames.studies, 'studyInstanceUID'], [indexNames.series, 'seriesInstanceUID'], [indexNames.instances, 'sopInstanceUID']] as const;

/** Compares by content; the study's own document also by its version. */
export async function compareStudy(client: OpenSearchClient, study: StudyName, documents: StudyDocuments | undefined, version: number, signal?: AbortSignal): Promise<IndexDifferences> {
  const hasDocuments = documents !== undefined && documents.study.summary.instanceCount > 0;
  const expected = new Map([...(hasDocuments ? documentWrites(documents, version) : [])].map(({ index, id, body }) => [`${index} ${id}`, JSON.parse(JSON.stringify(body)) as unknown]));
  let [staleCount, foreignCount] = [0, 0];
  for await (const { index, hits } of documentsOf(client, study, true, signal)) {
    for (const { id, version: has, source } of hits) {
      const key = `${index} ${id}`;
      if (!expected.has(key)) foreignCount++;
      else if ((index === indexNames.studies && has !== version) || !isDeepStrictEqual(source, expected.get(key))) staleCount++;
      expected.delete(key);
    }
  }
  return { missingCount: expected.size, staleCount, foreignCount };
}

/** Removes what the index has of a study beside its documents, unless it was written at a later version. */
export async function removeOthers(client: OpenSearchClient, documents: StudyDocuments, version: number, refresh: Refresh, signal?: AbortSignal): Promise<number> {
  const kept = new Set(documentIds(documents));
  let count = 0;
  for await (const { index, hits } of documentsOf(client, documents, false, signal)) {
    const others = hits.filter((hit) => !kept.has(hit.id) && hit.version <= version);
    await removeDocuments(client, documents.tenantId, others.map(({ id }) => ({ index, id, version })), refresh);
    count += others.length;
  }
  return count;
}

/** Removes all documents of a study, each at the version it was seen at. */
export async function removeStudy(client: OpenSearchClient, study: StudyName, signal?: AbortSignal): Promise<void> {
  for await (const { index, hits } of documentsOf(client, study, false, signal)) {
    await removeDocuments(client, study.tenantId, hits.map(({ id, version }) => ({ index, id, version })), true);
  }
}

/** Whatever names a study in any of the three indices, in the order of the UIDs. */
export async function listIndexedStudies(client: OpenSearchClient, tenantId: string, { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number }): Promise<StudyPage> {
  const composite = { size: limit, sources: [{ study: { terms: { field: 'studyInstanceUID' } } }], ...(cursor === undefined ? {} : { after: { study: cursor } }) };
  const { body } = await client.search({ index: levels.map(([index]) => index).join(','), body: { size: 0, query: { bool: { filter: filtersOf(tenantId) } }, aggs: { studies: { composite } } } as never });
  const { buckets, after_key: next } = (body.aggregations as unknown as { readonly studies: { readonly buckets: readonly { readonly key: { readonly study: string } }[]; readonly after_key?: { readonly study: string } } }).studies;
  return { studyInstanceUIDs: buckets.map(({ key }) => key.study), next: buckets.length === limit ? next?.study : undefined };
}

/** A study's documents, index by index and a page at a time, after a refresh. */
async function* documentsOf(client: OpenSearchClient, { tenantId, studyInstanceUID }: StudyName, withSource: boolean, signal?: AbortSignal): AsyncGenerator<{ readonly index: string; readonly hits: readonly Hit[] }> {
  for (const [index, key] of levels) {
    await client.indices.refresh({ index });
    for (let after: readonly unknown[] | undefined, more = true; more;) {
      signal?.throwIfAborted();
      const answer = await client.search({ index, body: { query: { bool: { filter: filtersOf(tenantId, { term: { studyInstanceUID } }) } },
        sort: [{ [key]: 'asc' }], size: pageSize, version: true, _source: withSource, ...(after ? { search_after: after } : {}) } as never });
      const hits = answer.body.hits.hits as readonly { readonly _id?: string; readonly _version?: number; readonly _source?: unknown; readonly sort?: readonly unknown[] }[];
      if (hits.length > 0) yield { index, hits: hits.map(({ _id = '', _version = 0, _source }) => ({ id: _id, version: _version, source: _source })) };
      more = hits.length === pageSize;
      after = hits.at(-1)?.sort;
    }
  }
}
