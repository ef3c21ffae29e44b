import { randomUUID } from 'node:crypto';
import type { AuditEvent } from '../domain/audit.ts';
import { auditKey, auditPrefix, indexNames, unindexedAuditPrefix } from '../domain/keys.ts';
import { concurrently } from './concurrently.ts';
import { inContext } from './errors.ts';
import { writeDocuments, type DocumentWrite, type OpenSearchClient, type Refresh } from './opensearch/openSearch.ts';
import type { AuditLog } from './ports.ts';
import type { Bucket } from './s3/s3.ts';
import { listKeys, readObject, removeObject, writeObject } from './s3/s3Objects.ts';
import { filtersOf } from './opensearch/searchQuery.ts';
import { searchPage } from './opensearch/sortedSearch.ts';

export interface AuditLogValues extends Bucket {
  readonly client: OpenSearchClient;
  readonly refresh?: Refresh;
}

/** An audit log whose index can be made again from S3. */
export interface RebuildableAuditLog extends AuditLog {
  /** Indexes every event that S3 has of a tenant. Idempotent. @returns how many objects were read */
  rebuild(tenantId: string): Promise<number>;
}

/** An index that does not answer for so long counts as away; a flow writes its history in less than half a minute, or tries again. */
const impatient = { requestTimeout: 5_000, maxRetries: 1 } as const;
const inFlight = 8;
const rebuildPage = 500;

/**
 * Append-only history: each event is one object of one line, written once, and a document of the same content. An event
 * is taken once: one that the index knows by its ID is not written again, whatever time a repeat gives it. Only a failure
 * between the object and its document can leave two objects of one event; the first that is indexed counts. While the index does not
 * answer or takes no writes, events are kept for `catchUp` in an object beside: nobody who writes history waits for the index.
 */
export function createAuditLog({ client, refresh = false, ...bucket }: AuditLogValues): RebuildableAuditLog {
  const index = (tenantId: string, events: readonly AuditEvent[]): Promise<void> =>
    writeDocuments(client, tenantId, events.map(documentOf), refresh, impatient);
  return {
    async record(events) {
      for (const [tenantId, ofTenant] of Map.groupBy(events, (event) => event.tenantId)) {
        await inContext('Recording events', { tenantId, key: auditPrefix(tenantId) }, async () => {
          const fresh = await unknown(client, ofTenant).catch(() => undefined);
          const events = fresh ?? ofTenant;
          await concurrently(events, inFlight, (event) => writeObject(bucket, auditKey(tenantId, event), linesOf([event]), 'new', { contentType }));
          if (fresh && await index(tenantId, fresh).then(() => true, () => false)) return;
          await writeObject(bucket, `${unindexedAuditPrefix(tenantId)}${randomUUID()}.jsonl`, linesOf(events), 'new', { contentType });
        });
      }
    },
    catchUp: (tenantId) => inContext('Indexing events that waited', { tenantId, key: unindexedAuditPrefix(tenantId) }, async () => {
      let count = 0;
      for await (const key of listKeys(bucket, unindexedAuditPrefix(tenantId))) {
        const lines = (await readObject(bucket, key))?.body.toString('utf8').split('\n').filter(Boolean) ?? [];
        await index(tenantId, lines.map((line) => JSON.parse(line) as AuditEvent));
        await removeObject(bucket, key);
        count += lines.length;
      }
      return count;
    }),
    history: (tenantId, studyInstanceUID, { limit, offset }) => inContext('Reading a history', { tenantId, key: `study ${studyInstanceUID}` }, async () => {
      const { hits, total } = await searchPage<{ readonly event: AuditEvent }>(client, {
        index: indexNames.audit, fields: ['event'], sort: [{ at: 'asc' }, { eventId: 'asc' }],
        filters: filtersOf(tenantId, { term: { studyInstanceUID } }),
      }, offset, limit);
      return { events: hits.map(({ event }) => event), total };
    }),
    rebuild: (tenantId) => inContext('Rebuilding the audit index', { tenantId, key: auditPrefix(tenantId) }, async () => {
      let count = 0;
      for await (const keys of paged(listKeys(bucket, auditPrefix(tenantId)), rebuildPage)) {
        const objects = await concurrently(keys, inFlight, (key) => readObject(bucket, key));
        await index(tenantId, objects.flatMap((object) => (object ? [JSON.parse(object.body.toString('utf8')) as AuditEvent] : [])));
        count += keys.length;
      }
      return count;
    }),
  };
}

const contentType = 'application/json';
const linesOf = (events: readonly AuditEvent[]): Buffer => Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''));

const idOf = ({ tenantId, eventId }: AuditEvent): string => `${tenantId}|${eventId}`;

/** `at` is sorted as text: ISO 8601 UTC of one form. */
const documentOf = (event: AuditEvent): DocumentWrite => {
  const { tenantId, studyInstanceUID, eventId, at } = event;
  return { index: indexNames.audit, id: idOf(event), create: true, body: { tenantId, studyInstanceUID, eventId, at, event } };
};

/** Events that the index does not have, each once; in real time. */
async function unknown(client: OpenSearchClient, events: readonly AuditEvent[]): Promise<readonly AuditEvent[]> {
  const byId = new Map(events.toReversed().map((event) => [idOf(event), event]));
  const ids = [...byId.keys()].toReversed();
  if (ids.length === 0) return [];
  const { body } = await client.mget({ index: indexNames.audit, body: { ids } as never, _source: false as never }, impatient);
  const known = new Set((body.docs as readonly { readonly _id: string; readonly found?: boolean }[]).filter(({ found }) => found).map(({ _id }) => _id));
  return ids.filter((id) => !known.has(id)).map((id) => byId.get(id)!);
}

async function* paged<T>(items: AsyncIterable<T>, size: number): AsyncIterable<readonly T[]> {
  let page: T[] = [];
  for await (const item of items) {
    page.push(item);
    if (page.length === size) {
      yield page;
      page = [];
    }
  }
  if (page.length > 0) yield page;
}
