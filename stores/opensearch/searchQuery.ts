import { indexNames } from '../../domain/keys.ts';
import type { QueryLevel, SearchRequest } from '../ports.ts';
import { clausesOf, type Alternative, type Clause } from './searchClauses.ts';
import type { Query, SortedSearch } from './sortedSearch.ts';

/** The one place where a search is bound to its tenant: every query of stores/ starts here (DESIGN.md, promise 7). */
export const filtersOf = (tenantId: string, ...filters: readonly Query[]): readonly Query[] => [{ term: { tenantId } }, ...filters];

export const indexOf: Readonly<Record<QueryLevel, string>> = {
  studies: indexNames.studies, series: indexNames.series, instances: indexNames.instances,
};

/**
 * Total orders, so that a page is the same however often it is asked for: the newest study first, then its UID; series
 * and instances by number, then UID. What has no date or number comes last. Offsets count from the newest; a reader
 * who pages in turn is not moved by what arrives meanwhile (stores/pageWalks.ts).
 */
export const orderOf: Readonly<Record<QueryLevel, SortedSearch['sort']>> = {
  studies: [descending('studyDate'), descending('studyTime'), { studyInstanceUID: 'asc' }],
  series: [ascending('seriesNumber'), { seriesInstanceUID: 'asc' }, { studyInstanceUID: 'asc' }],
  instances: [ascending('instanceNumber'), { sopInstanceUID: 'asc' }, { studyInstanceUID: 'asc' }],
};

function ascending(field: string): Query { return { [field]: { order: 'asc', missing: '_last' } }; }
function descending(field: string): Query { return { [field]: { order: 'desc', missing: '_last' } }; }

/** @throws UnsupportedMatch */
export function searchOf(request: Omit<SearchRequest, 'limit' | 'offset'>): SortedSearch {
  const { tenantId, level, studyInstanceUID, seriesInstanceUID } = request;
  const { own, bySequence } = clausesOf(level, request.match, request.options);
  return {
    index: indexOf[level], sort: orderOf[level], fields: ['attributes'],
    filters: filtersOf(tenantId,
      ...(studyInstanceUID === undefined ? [] : [{ term: { studyInstanceUID } }]),
      ...(seriesInstanceUID === undefined || level === 'studies' ? [] : [{ term: { seriesInstanceUID } }]),
      ...own.map((clause) => queryOf('terms', clause)),
      ...[...bySequence].map(([path, clauses]) => inOneItem(path, clauses))),
  };
}

const inOneItem = (path: string, clauses: readonly Clause[]): Query => ({
  nested: { path: 'items', query: { bool: { filter: [{ term: { 'items.path': path } }, ...clauses.map((clause) => queryOf('items.terms', clause))] } } },
});

/** Many exact values, as in a list of UIDs, are one query: OpenSearch allows 1,024 clauses, but 65,536 values. */
function queryOf(field: string, clause: Clause): Query {
  const exact = clause.flatMap((alternative) => ('equals' in alternative ? [alternative.equals] : []));
  const others = clause.flatMap((alternative) => ('equals' in alternative ? [] : [alternativeQuery(field, alternative)]));
  if (others.length === 0) return { terms: { [field]: exact } };
  return { bool: { minimum_should_match: 1, should: [...(exact.length > 0 ? [{ terms: { [field]: exact } }] : []), ...others] } };
}

function alternativeQuery(field: string, alternative: Exclude<Alternative, { readonly equals: string }>): Query {
  if ('all' in alternative) return { bool: { filter: alternative.all.map((clause) => queryOf(field, clause)) } };
  if ('absent' in alternative) return { bool: { must_not: alternative.absent.map((prefix) => ({ prefix: { [field]: prefix } })) } };
  if ('pattern' in alternative) return { wildcard: { [field]: { value: alternative.prefix + escaped(alternative.pattern) } } };
  return { range: { [field]: { gte: alternative.from, lte: alternative.to } } };
}

/** In OpenSearch's pattern the backslash escapes; in DICOM's it is a character like others. */
const escaped = (pattern: string): string => pattern.replaceAll('\\', '\\\\');
