import { Client } from '@opensearch-project/opensearch';
import { StoreError, statusOf } from '../errors.ts';

export type OpenSearchClient = Client;

export interface OpenSearchValues {
  readonly url: string;
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** A client with keep-alive that tries three times more when the server is away or overloaded (502, 503, 504, 429). */
export const createOpenSearch = ({ url, credentials }: OpenSearchValues): OpenSearchClient => new Client({
  node: url, ...(credentials ? { auth: credentials } : {}),
  maxRetries: 3, requestTimeout: 30_000, compression: 'gzip',
});

/** A document as it is sent: its `version` is external, and `create` writes only what is not there yet. */
export type DocumentWrite = { readonly index: string; readonly id: string; readonly body: object }
  & ({ readonly version: number } | { readonly create: true });

/** A document to remove: the version it was seen at, so that one written since stays. */
export type DocumentRemoval = { readonly index: string; readonly id: string; readonly version: number };

/** Removes documents by one bulk request. Those that are gone, or written since, are no failure. */
export async function removeDocuments(client: OpenSearchClient, tenantId: string, removals: readonly DocumentRemoval[], refresh: Refresh = false): Promise<void> {
  if (removals.length === 0) return;
  const body = removals.map(({ index, id, version }) => `${JSON.stringify({ delete: { _index: index, _id: id, version, version_type: 'external_gte' } })}\n`).join('');
  const answer = await client.bulk({ body: body as never, refresh });
  const failed = answer.body.items.map((item) => item.delete).find((item) => item !== undefined && item.status >= 300 && item.status !== 409 && item.status !== 404);
  if (failed) throw new StoreError(`OpenSearch did not remove a document: HTTP ${failed.status}`, { tenantId, key: `${failed._index}/${failed._id}` });
}

const maxChunkBytes = 5 * 1024 * 1024;

/**
 * Writes documents by bulk requests of 5 MB at most. A document that is there at a later version, or for `create` at
 * all, stays as it is, which is no failure. Anything else is one: then some documents may be written, and a repeat is safe.
 *
 * @param patience other than the client's own
 */
export async function writeDocuments(client: OpenSearchClient, tenantId: string, documents: Iterable<DocumentWrite>, refresh: Refresh,
  patience: { readonly requestTimeout?: number; readonly maxRetries?: number } = {}): Promise<void> {
  for (const body of chunks(documents)) {
    const answer = await client.bulk({ body: body as never, refresh }, patience);
    if (!answer.body.errors) continue;
    const failed = answer.body.items.map((item) => item.index ?? item.create)
      .find((item) => item !== undefined && item.status >= 300 && item.status !== 409);
    if (failed) {
      throw new StoreError(`OpenSearch did not take a document: HTTP ${failed.status}, ${failed.error?.type ?? 'no reason given'}`,
        { tenantId, key: `${failed._index}/${failed._id}` });
    }
  }
}

/** When a search sees what was written: `false` at the next refresh (1 s), `wait_for` before the write returns, `true` at once. */
export type Refresh = boolean | 'wait_for';

function* chunks(documents: Iterable<DocumentWrite>): Iterable<string> {
  let lines: string[] = [];
  let bytes = 0;
  for (const write of documents) {
    const { index, id, body } = write;
    const action = 'create' in write
      ? { create: { _index: index, _id: id } }
      : { index: { _index: index, _id: id, version: write.version, version_type: 'external_gte' } };
    const text = `${JSON.stringify(action)}\n${JSON.stringify(body)}\n`;
    const textBytes = Buffer.byteLength(text);
    if (bytes > 0 && bytes + textBytes > maxChunkBytes) {
      yield lines.join('');
      [lines, bytes] = [[], 0];
    }
    lines.push(text);
    bytes += textBytes;
  }
  if (bytes > 0) yield lines.join('');
}

export interface Found<S> {
  readonly source: S;
  readonly version: number;
}

/** A document by its ID, in real time: written is seen, refreshed or not. @returns undefined when it is not there */
export async function getDocument<S>(client: OpenSearchClient, index: string, id: string, fields: readonly string[]): Promise<Found<S> | undefined> {
  try {
    const { body } = await client.get({ index, id, _source: [...fields] });
    return { source: body._source as S, version: body._version ?? 0 };
  } catch (error) {
    if (statusOf(error) === 404 && !isIndexMissing(error)) return undefined;
    throw error;
  }
}

const isIndexMissing = (error: unknown): boolean =>
  (error as { readonly body?: { readonly error?: { readonly type?: string } } }).body?.error?.type === 'index_not_found_exception';
