import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { packKey } from '../../domain/keys.ts';
import { isOrphan, removableUntil, removalEndsInMs } from '../../domain/removal.ts';
import { MemoryOrphans } from '../../stores/memory/memoryOrphans.ts';
import { MemoryArchive } from '../../stores/memory/memoryStores.ts';
import type { ArchiveStore, OrphanStore } from '../../stores/ports.ts';
import { createArchiveStore } from '../../stores/s3/archiveStore.ts';
import { createOrphanStore } from '../../stores/s3/orphanStore.ts';
import { aPackIndex, aTenant } from '../support/aStudy.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { aPack, fileOf } from './archiveStore.suite.ts';

/** What every OrphanStore does, with the ArchiveStore of the same place. */
function orphanStoreSuite(name: string, make: (context: Mocha.Context) => Promise<{ readonly archive: ArchiveStore; readonly orphans: OrphanStore }>): void {
  describe(`OrphanStore: ${name}`, () => {
    let archive: ArchiveStore;
    let orphans: OrphanStore;
    before(async function start() { ({ archive, orphans } = await make(this)); });

    it('shows what has no commit, page by page, and looks at a pack whole', async () => {
      const tenantId = aTenant();
      const [lonely, committed] = [aPack(tenantId), aPackIndex({ tenantId })];
      for (const pack of [lonely, committed]) {
        await archive.putPack(pack, fileOf(randomBytes(100)));
        await archive.putHeaders(pack, []);
      }
      await archive.commitIndex(committed);

      const found = new Set<string>();
      for (let cursor: string | undefined, more = true; more;) {
        const page = await orphans.listOrphans(tenantId, { cursor, limit: 2 });
        for (const pack of page.packs) if (isOrphan(await archive.look(pack), 0)) found.add(pack.packId);
        cursor = page.next;
        more = cursor !== undefined;
      }
      const { at, tar, headers, index, warrants } = await archive.look(lonely);

      assert.deepEqual([...found], [lonely.packId]);
      assert.deepEqual([tar?.lengthBytes, typeof headers?.lengthBytes, index, warrants], [100, 'number', undefined, []]);
      assert.ok(Math.abs(at.getTime() - tar!.writtenAt.getTime()) < 60_000);
      assert.ok((await archive.look(committed)).index);
    });

    it('shows a warrant to those who look, and takes it away', async () => {
      const pack = aPack();
      await archive.putPack(pack, fileOf(randomBytes(100)));
      const warrant = { id: randomUUID(), windowMs: 60_000 };

      await orphans.putWarrant(pack, warrant);
      const during = await archive.look(pack);
      await orphans.removeWarrant(pack, warrant);

      assert.ok(removalEndsInMs(during) > 60_000);
      assert.ok(removableUntil(during, warrant.id, 0)! > during.at);
      assert.equal(removalEndsInMs(await archive.look(pack)), 0);
    });

    it('deletes in time, again too, and not a moment later', async () => {
      const pack = aPack();
      await archive.putPack(pack, fileOf(randomBytes(100)));
      await archive.putHeaders(pack, []);
      const { at } = await archive.look(pack);

      const inTime = [await orphans.removePart(pack, 'headers', at, new Date(at.getTime() + 60_000)), await orphans.removePart(pack, 'headers', at, new Date(at.getTime() + 60_000))];
      await sleep(3_100);
      const late = await orphans.removePart(pack, 'tar', at, new Date(at.getTime() + 2_000));
      const { tar, headers } = await archive.look(pack);

      assert.deepEqual([...inTime, late], [true, true, false]);
      assert.deepEqual([tar?.lengthBytes, headers], [100, undefined]);
    });
  });
}

orphanStoreSuite('memory', async () => {
  const archive = new MemoryArchive();
  return { archive, orphans: new MemoryOrphans(archive) };
});
orphanStoreSuite('S3', async (context) => {
  const { bucket } = await sharedStores(context);
  return { archive: createArchiveStore(bucket), orphans: createOrphanStore(bucket) };
});

describe('OrphanStore on a real S3 server', () => {
  it('finds uploads that nobody completed and aborts them, once', async function abort() {
    const { bucket } = await sharedStores(this);
    const orphans = createOrphanStore(bucket);
    const [pack, other] = [aPack(), aPack()];
    for (const { key, parts } of [{ key: packKey(pack, 'tar'), parts: 2 }, { key: packKey(other, 'tar'), parts: 0 }]) {
      const { UploadId } = await bucket.s3.send(new CreateMultipartUploadCommand({ Bucket: bucket.bucket, Key: key }));
      for (let part = 1; part <= parts; part++) await bucket.s3.send(new UploadPartCommand({ Bucket: bucket.bucket, Key: key, UploadId, PartNumber: part, Body: randomBytes(5 * 1024 * 1024) }));
    }

    const found = await Array.fromAsync(orphans.listUploads(pack.tenantId));
    const bytes = [await orphans.abortUpload(pack.tenantId, found[0]!), await orphans.abortUpload(pack.tenantId, found[0]!)];

    assert.deepEqual(found.map(({ key }) => key), [packKey(pack, 'tar')]);
    assert.ok(found[0]!.ageMs >= 0 && found[0]!.ageMs < 60_000, `${found[0]!.ageMs}`);
    assert.deepEqual(bytes, [10 * 1024 * 1024, 0]);
    assert.deepEqual(await Array.fromAsync(orphans.listUploads(pack.tenantId)), []);
  });
});
