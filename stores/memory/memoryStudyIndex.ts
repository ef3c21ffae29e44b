import { isDeepStrictEqual } from 'node:util';
import { matches, type QueryAttribute } from '../../dicom/matching.ts';
import { vrOfTag } from '../../dicom/tags.ts';
import type { DicomJson } from '../../dicom/json.ts';
import type { IndexDifferences } from '../../domain/sweep.ts';
import type { StudyDocuments } from '../../domain/documents.ts';
import { countedTags, numberOf, textOf } from '../../domain/indexedAttributes.ts';
import type { InstanceHolder, InstanceLocation, MatchKey, QueryLevel, SearchRequest, SearchResult, StudyIndex, StudyPage } from '../ports.ts';
import { PageWalks } from '../pageWalks.ts';
import { clausesOf } from '../opensearch/searchClauses.ts';
import { documentIds, instanceId, locationOf, seriesId, studyId } from '../opensearch/studyDocuments.ts';

interface Stored {
  readonly version: number;
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID?: string;
  readonly attributes: DicomJson;
  readonly location?: InstanceLocation & { readonly committedAt: string };
}

/**
 * The study index in memory, for tests. It matches by dicom/matching.ts, not by terms, so that the suite both pass compares
 * the two readings of PS3.4 C.2.2.2.
 */
export class MemoryStudyIndex implements StudyIndex {
  readonly #walks = new PageWalks<Stored>();
  readonly documents: Readonly<Record<QueryLevel, Map<string, Stored>>> = { studies: new Map(), series: new Map(), instances: new Map() };

  async write(documents: StudyDocuments, version: number): Promise<void> {
    const { tenantId, studyInstanceUID, study, series, instances } = documents;
    const common = { tenantId, studyInstanceUID, version };
    for (const { attributes, ...place } of instances) {
      const { sopInstanceUID, sopClassUID, transferSyntaxUID, offsetBytes, lengthBytes, sha256, ...where } = place;
      const location = locationOf({ tenantId, studyInstanceUID, sopInstanceUID, ...where, location: { sopClassUID, transferSyntaxUID, offsetBytes, lengthBytes, sha256 } });
      this.#put('instances', instanceId(tenantId, studyInstanceUID, sopInstanceUID),
        { ...common, seriesInstanceUID: place.seriesInstanceUID, attributes, location: { ...location, committedAt: place.committedAt } });
    }
    for (const { seriesInstanceUID, attributes } of series) {
      this.#put('series', seriesId(tenantId, studyInstanceUID, seriesInstanceUID), { ...common, seriesInstanceUID, attributes });
    }
    this.#put('studies', studyId(tenantId, studyInstanceUID), { ...common, attributes: study.attributes });
  }

  async replace(documents: StudyDocuments, version: number): Promise<{ readonly removedCount: number }> {
    if (documents.study.summary.instanceCount > 0) await this.write(documents, version);
    const kept = new Set(documentIds(documents));
    const others = Object.values(this.documents).flatMap((level) => [...level].filter(([id, stored]) => stored.tenantId === documents.tenantId
      && stored.studyInstanceUID === documents.studyInstanceUID && stored.version <= version && !kept.has(id)).map(([id]) => ({ level, id })));
    for (const { level, id } of others) level.delete(id);
    return { removedCount: others.length };
  }

  async compare(tenantId: string, studyInstanceUID: string, documents: StudyDocuments | undefined, version: number): Promise<IndexDifferences> {
    const wanted = new MemoryStudyIndex();
    if (documents && documents.study.summary.instanceCount > 0) await wanted.write(documents, version);
    const counts = { missingCount: 0, staleCount: 0, foreignCount: 0 };
    for (const level of Object.keys(this.documents) as QueryLevel[]) {
      const own = new Map([...this.documents[level]].filter(([, stored]) => stored.tenantId === tenantId && stored.studyInstanceUID === studyInstanceUID));
      for (const [id, { version: has, ...content }] of own) {
        const { version: _, ...expected } = wanted.documents[level].get(id) ?? { version: 0 };
        if (!wanted.documents[level].has(id)) counts.foreignCount++;
        else if ((level === 'studies' && has !== version) || !isDeepStrictEqual(content, expected)) counts.staleCount++;
      }
      counts.missingCount += [...wanted.documents[level].keys()].filter((id) => !own.has(id)).length;
    }
    return counts;
  }

  async listStudies(tenantId: string, { cursor = '', limit }: { readonly cursor?: string | undefined; readonly limit: number }): Promise<StudyPage> {
    const all = Object.values(this.documents).flatMap((level) => [...level.values()]).filter((stored) => stored.tenantId === tenantId).map((stored) => stored.studyInstanceUID);
    const rest = [...new Set(all)].toSorted().filter((uid) => uid > cursor);
    return { studyInstanceUIDs: rest.slice(0, limit), next: rest.length > limit ? rest[limit - 1] : undefined };
  }

  async forgetStudy(tenantId: string, studyInstanceUID: string): Promise<void> {
    for (const level of Object.values(this.documents)) {
      for (const [id, stored] of [...level]) if (stored.tenantId === tenantId && stored.studyInstanceUID === studyInstanceUID) level.delete(id);
    }
  }

  async forgetTenant(tenantId: string): Promise<number> {
    const own = Object.values(this.documents).flatMap((level) => [...level].filter(([, stored]) => stored.tenantId === tenantId).map(([id]) => ({ level, id })));
    for (const { level, id } of own) level.delete(id);
    return own.length;
  }

  async version(tenantId: string, studyInstanceUID: string): Promise<number> {
    return this.documents.studies.get(studyId(tenantId, studyInstanceUID))?.version ?? 0;
  }

  async search(asked: SearchRequest): Promise<SearchResult> {
    const { limit, offset, ...request } = asked;
    const found = this.#found(request);
    const before = this.#walks.before(asked);
    const rest = before ? found.filter((each) => orders[request.level](each, before) > 0) : found.slice(offset);
    const page = rest.slice(0, limit);
    this.#walks.gave(asked, page.length, page.at(-1));
    return { matches: page.map(({ attributes }) => structuredClone(attributes)), total: page.length < limit && page.length > 0 ? offset + page.length : found.length };
  }

  async countsOf(tenantId: string, series: Parameters<StudyIndex['countsOf']>[1]): Promise<ReadonlyMap<string, DicomJson>> {
    return new Map(series.flatMap(({ studyInstanceUID, seriesInstanceUID }) => {
      const stored = this.documents.series.get(seriesId(tenantId, studyInstanceUID, seriesInstanceUID));
      return stored ? [[seriesInstanceUID, Object.fromEntries(Object.entries(stored.attributes).filter(([tag]) => countedTags.includes(tag)))] as const] : [];
    }));
  }

  async* stream(request: Omit<SearchRequest, 'limit' | 'offset'>): AsyncIterable<DicomJson> {
    for (const { attributes } of this.#found(request)) yield structuredClone(attributes);
  }

  #found({ tenantId, level, studyInstanceUID, seriesInstanceUID, match, options }: Omit<SearchRequest, 'limit' | 'offset'>): readonly Stored[] {
    clausesOf(level, match, options);
    const query = queryOf(match);
    return [...this.documents[level].values()].filter((stored) => stored.tenantId === tenantId
      && (studyInstanceUID === undefined || stored.studyInstanceUID === studyInstanceUID)
      && (seriesInstanceUID === undefined || level === 'studies' || stored.seriesInstanceUID === seriesInstanceUID)
      && matches(query, stored.attributes, options)).toSorted(orders[level]);
  }

  async* locate(tenantId: string, scope: Parameters<StudyIndex['locate']>[1]): AsyncIterable<InstanceLocation> {
    const asked = Object.entries({ tenantId, ...scope }).filter(([, uid]) => uid !== undefined);
    const found = this.#instances((location) => asked.every(([name, uid]) => location[name as keyof InstanceLocation] === uid));
    for (const { location } of found.toSorted((a, b) => compare(a.seriesInstanceUID!, b.seriesInstanceUID!) || orders.instances(a, b))) yield located(location);
  }

  async findHolders(tenantId: string, sopInstanceUIDs: readonly string[], _sees: Parameters<StudyIndex['findHolders']>[2]): Promise<readonly InstanceHolder[]> {
    return this.#instances((location) => location.tenantId === tenantId && sopInstanceUIDs.includes(location.sopInstanceUID))
      .map(({ location: { sopInstanceUID, studyInstanceUID, packId, committedAt } }) => ({ sopInstanceUID, studyInstanceUID, packId, committedAt }))
      .toSorted((a, b) => compare(a.committedAt, b.committedAt) || compare(a.packId, b.packId));
  }

  #put(level: QueryLevel, id: string, document: Stored): void {
    if ((this.documents[level].get(id)?.version ?? 0) <= document.version) this.documents[level].set(id, structuredClone(document));
  }

  #instances(wanted: (location: InstanceLocation) => boolean): readonly (Stored & { readonly location: InstanceLocation & { readonly committedAt: string } })[] {
    return [...this.documents.instances.values()].filter((stored) => stored.location && wanted(stored.location)) as never;
  }
}

/** Keys into one sequence stand in one item. */
function queryOf(match: readonly MatchKey[]): readonly QueryAttribute[] {
  const own = match.filter(({ path }) => path.length === 1).map(({ path, values }) => attributeOf(path[0]!, values));
  const nested = Map.groupBy(match.filter(({ path }) => path.length === 2), ({ path }) => path[0]!);
  return [...own, ...[...nested].map(([tag, keys]): QueryAttribute =>
    ({ tag, vr: 'SQ', values: [], item: keys.map(({ path, values }) => attributeOf(path[1]!, values)) }))];
}

/** One universal value makes the whole list universal. */
function attributeOf(tag: string, values: readonly string[]): QueryAttribute {
  return { tag, vr: vrOfTag(tag) ?? 'UN', values };
}

type Order = (a: Stored, b: Stored) => number;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const uid = (tag: string): Order => (a, b) => compare(textOf(a.attributes, tag) ?? '', textOf(b.attributes, tag) ?? '');
const newest = (tag: string): Order => (a, b) => compare(textOf(b.attributes, tag) ?? '', textOf(a.attributes, tag) ?? '');
const number = (tag: string): Order => (a, b) => (numberOf(a.attributes, tag) ?? 1e300) - (numberOf(b.attributes, tag) ?? 1e300);
const inTurn = (...steps: readonly Order[]): Order => (a, b) => steps.reduce((result, step) => result || step(a, b), 0);
const orders: Readonly<Record<QueryLevel, Order>> = {
  studies: inTurn(newest('00080020'), newest('00080030'), uid('0020000D')),
  series: inTurn(number('00200011'), uid('0020000E'), uid('0020000D')),
  instances: inTurn(number('00200013'), uid('00080018'), uid('0020000D')),
};

const located = ({ committedAt: _, ...location }: InstanceLocation & { readonly committedAt: string }): InstanceLocation => structuredClone(location);
