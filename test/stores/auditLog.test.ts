import assert from 'node:assert/strict';
import { auditKey, auditPrefix, indexNames, unindexedAuditPrefix } from '../../domain/keys.ts';
import { createAuditLog, type RebuildableAuditLog } from '../../stores/auditLog.ts';
import { createOpenSearch } from '../../stores/opensearch/openSearch.ts';
import { MemoryAuditLog } from '../../stores/memory/memoryStores.ts';
import { listKeys, readObject } from '../../stores/s3/s3Objects.ts';
import { aTenant } from '../support/aStudy.ts';
import { sharedStores, type SharedStores } from '../support/sharedStores.ts';
import { anEvent, auditLogSuite } from './auditLog.suite.ts';

auditLogSuite('memory', async () => new MemoryAuditLog());
auditLogSuite('S3 and OpenSearch', async (context) => {
  const { bucket, client } = await sharedStores(context);
  return createAuditLog({ ...bucket, client, refresh: true });
});

describe('AuditLog on real servers', () => {
  let shared: SharedStores;
  let audit: RebuildableAuditLog;
  before(async function start() {
    shared = await sharedStores(this);
    audit = createAuditLog({ ...shared.bucket, client: shared.client, refresh: true });
  });

  it('writes one object of one line for an event, and no second one for a repeat', async () => {
    const event = anEvent({ tenantId: aTenant(), eventId: 't/study/1.2-parked' });

    await audit.record([event]);
    await audit.record([{ ...event, at: '2024-05-03T10:00:00.000Z' }]);

    assert.deepEqual(await Array.fromAsync(listKeys(shared.bucket, auditPrefix(event.tenantId))), [auditKey(event.tenantId, event)]);
    const object = await readObject(shared.bucket, auditKey(event.tenantId, event));
    assert.equal(object?.body.toString(), `${JSON.stringify(event)}\n`);
  });

  it('records while the index is away, and catches up when it is back', async () => {
    const nobody = createOpenSearch({ url: 'http://127.0.0.1:9' });
    const away = createAuditLog({ ...shared.bucket, client: nobody });
    const events = [1, 2, 3].map((second) => anEvent({ tenantId: aTenant(), at: `2024-05-01T10:00:0${second}.000Z` }));
    const { tenantId } = events[0]!;
    const ofOne = events.map((event) => ({ ...event, tenantId }));

    await away.record(ofOne.slice(0, 2));
    await audit.record(ofOne.slice(1));
    const before = await audit.history(tenantId, '1.2', { limit: 10, offset: 0 });
    const caughtUp = [await audit.catchUp(tenantId), await audit.catchUp(tenantId)];
    await nobody.close();

    assert.deepEqual([before.total, caughtUp], [2, [2, 0]]);
    assert.equal((await audit.history(tenantId, '1.2', { limit: 10, offset: 0 })).total, 3);
    assert.deepEqual(await Array.fromAsync(listKeys(shared.bucket, unindexedAuditPrefix(tenantId))), []);
  });

  it('rebuilds its index from S3 alone, with the same answers', async () => {
    const tenantId = aTenant();
    await audit.record(Array.from({ length: 12 }, (_, number) => anEvent({ tenantId, at: `2024-05-01T10:00:${number + 10}.000Z` })));
    const before = await audit.history(tenantId, '1.2', { limit: 100, offset: 0 });
    const ids = before.events.map(({ eventId }) => `${tenantId}|${eventId}`);
    await shared.client.bulk({ refresh: true, body: ids.map((_id) => ({ delete: { _index: indexNames.audit, _id } })) });
    assert.equal((await audit.history(tenantId, '1.2', { limit: 1, offset: 0 })).total, 0);

    const count = await audit.rebuild(tenantId);

    assert.equal(count, 12);
    assert.deepEqual(await audit.history(tenantId, '1.2', { limit: 100, offset: 0 }), before);
  });
});
