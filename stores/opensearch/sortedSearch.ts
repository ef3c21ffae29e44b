import type { OpenSearchClient } from './openSearch.ts';

export type Query = Readonly<Record<string, unknown>>;
export type SortValues = readonly (string | number | null)[];

/** A search whose order is total: the last sort field is unique among what the filters leave. */
export interface SortedSearch {
  readonly index: string;
  readonly filters: readonly Query[];
  readonly sort: readonly Readonly<Record<string, unknown>>[];
  readonly fields: readonly string[];
}

export interface Hit<S> { readonly source: S; readonly sort: SortValues }

/** Of OpenSearch, for `from` + `size` (index.max_result_window). */
const resultWindow = 10_000;
const pageSize = 1_000;

/** `last` is undefined when there are no hits. */
export interface FoundPage<S> { readonly hits: readonly S[]; readonly total: number; readonly last: SortValues | undefined }

/**
 * One page of a search and how many match in all. Memory: the page. Beyond the first 10,000 results the way to the page is
 * walked by sort values, 10,000 a request, so that no offset is refused.
 *
 * @param after the last result before the page, where that is known; the offset does not count then
 */
export async function searchPage<S>(client: OpenSearchClient, search: SortedSearch, offset: number, limit: number, after?: SortValues): Promise<FoundPage<S>> {
  const start = after ? { search_after: after } : offset + Math.min(limit, pageSize) > resultWindow ? await walk(client, search, offset) : { from: offset };
  if (start === undefined || limit <= 0) return { hits: [], total: await countMatches(client, search), last: undefined };
  const first = await request<S>(client, search, { ...start, size: Math.min(limit, pageSize), track_total_hits: true });
  const hits = [...first.hits];
  let page = first.hits;
  while (page.length === pageSize && hits.length < limit) {
    ({ hits: page } = await request<S>(client, search, { search_after: page.at(-1)!.sort, size: Math.min(pageSize, limit - hits.length) }));
    hits.push(...page);
  }
  return { hits: hits.map(({ source }) => source), total: first.total, last: hits.at(-1)?.sort };
}

/** Everything a search finds, page by page. Sorted by unique values, so documents written meanwhile neither repeat nor hide others. */
export async function* searchAll<S>(client: OpenSearchClient, search: SortedSearch): AsyncIterable<S> {
  let after: SortValues | undefined;
  for (;;) {
    const { hits } = await request<S>(client, search, { size: pageSize, ...(after ? { search_after: after } : {}) });
    for (const { source } of hits) yield source;
    if (hits.length < pageSize) return;
    after = hits.at(-1)!.sort;
  }
}

async function countMatches(client: OpenSearchClient, { index, filters }: SortedSearch): Promise<number> {
  const { body } = await client.count({ index, body: { query: { bool: { filter: filters } } } as never });
  return body.count;
}

/** @returns where the page starts; undefined when the results end before it */
async function walk(client: OpenSearchClient, search: SortedSearch, offset: number): Promise<{ readonly search_after: SortValues } | undefined> {
  if (offset >= await countMatches(client, search)) return undefined;
  let after: SortValues | undefined;
  for (let remaining = offset; remaining > 0;) {
    const size = Math.min(remaining, resultWindow);
    const { hits } = await request(client, { ...search, fields: [] }, { size, ...(after ? { search_after: after } : {}) });
    if (hits.length < size) return undefined;
    after = hits.at(-1)!.sort;
    remaining -= size;
  }
  return after && { search_after: after };
}

async function request<S>(client: OpenSearchClient, { index, filters, sort, fields }: SortedSearch, page: object): Promise<{ readonly hits: readonly Hit<S>[]; readonly total: number }> {
  const body = { query: { bool: { filter: filters } }, sort, _source: fields.length > 0 ? fields : false, track_total_hits: false, ...page };
  const answer = await client.search({ index, body: body as never });
  const total = answer.body.hits.total;
  return {
    hits: answer.body.hits.hits.map((hit) => ({ source: hit._source as S, sort: (hit.sort ?? []) as SortValues })),
    total: typeof total === 'number' ? total : total?.value ?? 0,
  };
}
