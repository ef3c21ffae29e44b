import type { DicomJson } from '../../dicom/json.ts';
import type { StudyDocuments, StudySummary } from '../../domain/documents.ts';
import { countedTags } from '../../domain/indexedAttributes.ts';
import { indexNames } from '../../domain/keys.ts';
import { chunksOf } from '../concurrently.ts';
import { inContext, statusOf } from '../errors.ts';
import { getDocument, removeDocuments, writeDocuments, type OpenSearchClient, type Refresh } from './openSearch.ts';
import { PageWalks } from '../pageWalks.ts';
import { UnsupportedMatch, type InstanceHolder, type InstanceLocation, type StudyIndex } from '../ports.ts';
import { filtersOf, searchOf } from './searchQuery.ts';
import { searchAll, searchPage, type SortValues } from './sortedSearch.ts';
import { compareStudy, listIndexedStudies, removeOthers, removeStudy } from './studyComparison.ts';
import { documentWrites, instanceId, locationFields, locationOf, seriesId, studyId, type InstanceSource } from './studyDocuments.ts';

export interface StudyIndexValues {
  readonly client: OpenSearchClient;
  /** When a search sees the study's own document. Default `false`: within 1 s, the indices' refresh interval. */
  readonly refresh?: Refresh;
}

type Scope = Parameters<StudyIndex['locate']>[1];
const uidsPerQuery = 1_000;
const forgetPage = 2_000;

/**
 * Study, series and instance documents in OpenSearch. Versions are external (`external_gte`): an older write is dropped, an
 * equal one writes the same again. Searches see a write within two seconds; `version` and locations at once.
 */
export function createStudyIndex({ client, refresh = false }: StudyIndexValues): StudyIndex {
  const walks = new PageWalks<SortValues>();
  return {
    write: (documents, version, visible = 'together') => inContext('Indexing a study', about(documents.tenantId, documents.studyInstanceUID), () =>
      visible === 'together' ? writeStudy(client, documents, version, refresh)
        : writeDocuments(client, documents.tenantId, documentWrites(documents, version), refresh)),

    replace: (documents, version, signal) => inContext('Replacing a study\'s documents', about(documents.tenantId, documents.studyInstanceUID), async () => {
      if (documents.study.summary.instanceCount > 0) await writeStudy(client, documents, version, refresh);
      return { removedCount: await removeOthers(client, documents, version, refresh, signal) };
    }),

    compare: (tenantId, studyInstanceUID, documents, version, signal) => inContext('Comparing a study', about(tenantId, studyInstanceUID), () =>
      compareStudy(client, { tenantId, studyInstanceUID }, documents, version, signal)),

    listStudies: (tenantId, page) => inContext('Listing indexed studies', { tenantId, key: 'all studies' }, () => listIndexedStudies(client, tenantId, page)),

    forgetStudy: (tenantId, studyInstanceUID, signal) => inContext('Forgetting a study', about(tenantId, studyInstanceUID), () =>
      removeStudy(client, { tenantId, studyInstanceUID }, signal)),

    forgetTenant: (tenantId, signal) => inContext('Forgetting a tenant\'s documents', { tenantId, key: 'all studies' }, async () => {
      let count = 0;
      for (const index of [indexNames.studies, indexNames.series, indexNames.instances]) count += await forget(client, tenantId, index, signal);
      return count;
    }),

    version: (tenantId, studyInstanceUID) => inContext('Reading a study\'s version', about(tenantId, studyInstanceUID), async () =>
      (await getDocument(client, indexNames.studies, studyId(tenantId, studyInstanceUID), ['tenantId']))?.version ?? 0),

    async search(request) {
      const search = searchOf(request);
      return inContext('Searching', { tenantId: request.tenantId, key: search.index }, async () => {
        const { hits, total, last } = await searchPage<{ readonly attributes: DicomJson }>(client, search, request.offset, request.limit, walks.before(request)).catch(throwIfTooComplex);
        walks.gave(request, hits.length, last);
        return { matches: hits.map(({ attributes }) => attributes), total: hits.length < request.limit && hits.length > 0 ? request.offset + hits.length : total };
      });
    },

    async* stream(request) {
      const search = searchOf(request);
      const pages = searchAll<{ readonly attributes: DicomJson }>(client, search)[Symbol.asyncIterator]();
      for (;;) {
        const next = await inContext('Searching', { tenantId: request.tenantId, key: search.index }, () => pages.next().catch(throwIfTooComplex));
        if (next.done) return;
        yield next.value.attributes;
      }
    },

    countsOf: (tenantId, series) => inContext('Reading what series and their studies hold', { tenantId, key: indexNames.series }, async () => {
      if (series.length === 0) return new Map();
      const { body } = await client.mget({ index: indexNames.series, _source_includes: countedTags.map((tag) => `attributes.${tag}`),
        body: { ids: series.map(({ studyInstanceUID, seriesInstanceUID }) => seriesId(tenantId, studyInstanceUID, seriesInstanceUID)) } } as never);
      const docs = (body as unknown as { readonly docs: readonly { readonly _source?: { readonly attributes?: DicomJson } }[] }).docs;
      return new Map(series.flatMap(({ seriesInstanceUID }, at) => (docs[at]?._source?.attributes ? [[seriesInstanceUID, docs[at]._source.attributes] as const] : [])));
    }),

    locate: (tenantId, scope) => locate(client, tenantId, scope),

    findHolders: (tenantId, sopInstanceUIDs, sees) => inContext('Looking for the holders of instances', { tenantId, key: 'all studies' }, async () => {
      if (sees === 'everything') await client.indices.refresh({ index: indexNames.instances });
      const holders: InstanceHolder[] = [];
      for (const uids of chunksOf(sopInstanceUIDs, uidsPerQuery)) {
        for await (const { sopInstanceUID, studyInstanceUID, packId, committedAt } of searchAll<InstanceSource>(client, {
          index: indexNames.instances, filters: filtersOf(tenantId, { terms: { sopInstanceUID: uids } }), fields: ['sopInstanceUID', 'studyInstanceUID', 'packId', 'committedAt'],
          sort: [{ committedAt: 'asc' }, { packId: 'asc' }, { sopInstanceUID: 'asc' }, { studyInstanceUID: 'asc' }],
        })) holders.push({ sopInstanceUID, studyInstanceUID, packId, committedAt });
      }
      return holders;
    }),
  };
}

/**
 * Each index refreshes at its own time. So the study's own document is written when searches see its series and instances, after up
 * to a second: whoever finds a study finds what it counts (docs/decisions/020-search-order.md).
 */
async function writeStudy(client: OpenSearchClient, documents: StudyDocuments, version: number, refresh: Refresh): Promise<void> {
  const { studies = [], below = [] } = Object.groupBy(documentWrites(documents, version), ({ index }) => (index === indexNames.studies ? 'studies' : 'below'));
  await writeDocuments(client, documents.tenantId, below, refresh || 'wait_for');
  await writeDocuments(client, documents.tenantId, studies, refresh);
}

/** OpenSearch gives up on wild cards that allow too many ways, as `*1` before twenty `?`. That is the asker's to mend. */
function throwIfTooComplex(error: unknown): never {
  if (statusOf(error) === 400 && error instanceof Error && error.message.includes('Determinizing automaton')) {
    throw new UnsupportedMatch('The wild cards of the query are too many to be searched by; make it more exact.');
  }
  throw error;
}

/** Removes a tenant's documents of one index, a page at a time, until a search finds none. */
async function forget(client: OpenSearchClient, tenantId: string, index: string, signal?: AbortSignal): Promise<number> {
  for (let count = 0; ;) {
    signal?.throwIfAborted();
    await client.indices.refresh({ index });
    const answer = await client.search({ index, body: { query: { bool: { filter: filtersOf(tenantId) } }, size: forgetPage, version: true, _source: false } as never });
    const hits = answer.body.hits.hits as readonly { readonly _id?: string; readonly _version?: number }[];
    if (hits.length === 0) return count;
    await removeDocuments(client, tenantId, hits.map(({ _id = '', _version = 0 }) => ({ index, id: _id, version: _version })));
    count += hits.length;
  }
}

const about = (tenantId: string, studyInstanceUID: string) => ({ tenantId, key: `study ${studyInstanceUID}` });

async function* locate(client: OpenSearchClient, tenantId: string, scope: Scope): AsyncIterable<InstanceLocation> {
  const context = about(tenantId, scope.studyInstanceUID);
  if (scope.sopInstanceUID !== undefined) {
    const one = await inContext('Locating an instance', context, () => locateOne(client, tenantId, { ...scope, sopInstanceUID: scope.sopInstanceUID! }));
    if (one) yield one;
    return;
  }
  await inContext('Locating instances', context, () => seeAllInstances(client, tenantId, scope.studyInstanceUID));
  const pages = searchAll<InstanceSource>(client, {
    index: indexNames.instances, fields: locationFields,
    filters: filtersOf(tenantId, { term: { studyInstanceUID: scope.studyInstanceUID } },
      ...(scope.seriesInstanceUID === undefined ? [] : [{ term: { seriesInstanceUID: scope.seriesInstanceUID } }])),
    sort: [{ seriesInstanceUID: 'asc' }, { instanceNumber: { order: 'asc', missing: '_last' } }, { sopInstanceUID: 'asc' }],
  })[Symbol.asyncIterator]();
  for (;;) {
    const next = await inContext('Locating instances', context, () => pages.next());
    if (next.done) return;
    yield locationOf(next.value);
  }
}

/**
 * The indices refresh each at its own time: a study that searches see, or whose version was read, may have instances that they
 * do not see yet. A retrieval in that moment would lack them, so it makes them seen.
 */
async function seeAllInstances(client: OpenSearchClient, tenantId: string, studyInstanceUID: string): Promise<void> {
  const index = indexNames.instances;
  const [study, { body }] = await Promise.all([
    getDocument<{ readonly summary: StudySummary }>(client, indexNames.studies, studyId(tenantId, studyInstanceUID), ['summary']),
    client.count({ index, body: { query: { bool: { filter: filtersOf(tenantId, { term: { studyInstanceUID } }) } } } as never }),
  ]);
  if (study && body.count < study.source.summary.instanceCount) await client.indices.refresh({ index });
}

/** By document ID, in real time: an instance is found as soon as it is written. */
async function locateOne(client: OpenSearchClient, tenantId: string, scope: Scope & { readonly sopInstanceUID: string }): Promise<InstanceLocation | undefined> {
  const found = await getDocument<InstanceSource>(client, indexNames.instances, instanceId(tenantId, scope.studyInstanceUID, scope.sopInstanceUID), locationFields);
  if (!found) return undefined;
  const location = locationOf(found.source);
  const asked = { tenantId, ...scope };
  const fits = (Object.keys(asked) as (keyof typeof asked)[]).every((name) => asked[name] === undefined || asked[name] === location[name]);
  return fits ? location : undefined;
}
