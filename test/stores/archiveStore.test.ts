import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { packKey } from '../../domain/keys.ts';
import { createArchiveStore } from '../../stores/s3/archiveStore.ts';
import { MemoryArchive } from '../../stores/memory/memoryStores.ts';
import type { ArchiveStore } from '../../stores/ports.ts';
import type { Bucket } from '../../stores/s3/s3.ts';
import { writeObject } from '../../stores/s3/s3Objects.ts';
import { aPackIndex } from '../support/aStudy.ts';
import { aTar, flipped } from '../support/aTar.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { aPack, archiveStoreSuite, fileOf } from './archiveStore.suite.ts';

archiveStoreSuite('memory', async () => new MemoryArchive());
archiveStoreSuite('S3', async (context) => createArchiveStore((await sharedStores(context)).bucket));

describe('ArchiveStore on a real S3 server', () => {
  let bucket: Bucket;
  let archive: ArchiveStore;
  before(async function start() {
    ({ bucket } = await sharedStores(this));
    archive = createArchiveStore(bucket);
  });
  const large = randomBytes(33 * 1024 * 1024);
  const uploadsOf = async (key: string): Promise<number> =>
    (await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket, Prefix: key }))).Uploads?.length ?? 0;

  it('takes several uploads of a pack at once as one', async () => {
    const pack = aPack();

    const results = await Promise.all([1, 2, 3].map(() => archive.putPack(pack, fileOf(large))));

    assert.ok(results.some(({ existed }) => !existed));
    assert.deepEqual(await buffer(await archive.readRange(pack, 0, large.length)), large);
    assert.equal(await uploadsOf(packKey(pack, 'tar')), 0);
  });

  it('lets one of several commits of a pack at once be the first, and all get it', async () => {
    const index = aPackIndex();
    const commits = Array.from({ length: 10 }, (_, number) => ({ ...index, committedAt: `2024-05-01T10:00:0${number}.000Z` }));

    const results = await Promise.all(commits.map((one) => createArchiveStore(bucket).commitIndex(one)));

    assert.equal(new Set(results.map(({ committedAt }) => committedAt)).size, 1);
  });

  it('keeps no object whose checksum does not fit', async () => {
    const pack = aPack();
    const key = packKey(pack, 'tar');

    const put = bucket.s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: key, Body: Buffer.from('abc'), ChecksumCRC32: 'AAAAAA==' }));

    await assert.rejects(put, { name: 'BadDigest' });
    assert.equal(await archive.packLengthBytes(pack), undefined);
  });

  it('keeps what lies there when a copy changes between its proof and its way', async () => {
    for (const lengthBytes of [1_000, 20 * 1024 * 1024]) {
      const { index, tar } = aTar({ contents: [randomBytes(lengthBytes)] });
      await archive.commitIndex(index);
      const damaged = flipped(tar, 1_700);
      await archive.putPack(index, fileOf(damaged));
      let readBytes = 0;
      const changing = { ...fileOf(tar), read: async (offset: number, length: number) => {
        const proven = readBytes >= tar.length;
        readBytes += length;
        return (proven ? flipped(tar, 1_800) : tar).subarray(offset, offset + length);
      } };

      await assert.rejects(archive.replacePack(index, changing), /BadDigest/);

      assert.ok((await buffer(await archive.readRange(index, 0, tar.length))).equals(damaged));
      const upload = (await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket, Prefix: packKey(index, 'tar') }))).Uploads?.[0];
      if (upload) await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket: bucket.bucket, Key: upload.Key, UploadId: upload.UploadId }));
    }
  });

  it('goes on with a replacement that was interrupted, and what lay there stays until its end', async () => {
    const { index, tar } = aTar({ contents: [randomBytes(40 * 1024 * 1024)] });
    await archive.commitIndex(index);
    const damaged = flipped(tar, 20_000_000);
    await archive.putPack(index, fileOf(damaged));
    const stop = new AbortController();
    let progress: { readonly uploadId: string; readonly partsDone: number } | undefined;
    const first = archive.replacePack(index, fileOf(tar), { signal: stop.signal, onProgress: (made) => {
      progress = made;
      if (made.partsDone === 1) stop.abort();
    } });
    await assert.rejects(first, { name: 'AbortError' });
    assert.ok((await buffer(await archive.readRange(index, 0, tar.length))).equals(damaged));

    await archive.replacePack(index, fileOf(tar), { resume: progress });

    assert.ok((await buffer(await archive.readRange(index, 0, tar.length))).equals(tar));
    assert.equal(await uploadsOf(packKey(index, 'tar')), 0);
  });

  it('aborts the upload of a file that is shorter than it was said to be', async () => {
    const pack = aPack();

    const put = archive.putPack(pack, { ...fileOf(large), lengthBytes: large.length + 1 });

    await assert.rejects(put, { name: 'ContentMismatch' });
    assert.equal(await uploadsOf(packKey(pack, 'tar')), 0);
  });

  it('leaves a cancelled upload for the next attempt and throws an AbortError', async () => {
    const pack = aPack();
    const controller = new AbortController();

    const put = archive.putPack(pack, fileOf(large), { signal: controller.signal, onProgress: ({ partsDone }) => { if (partsDone > 0) controller.abort(); } });

    await assert.rejects(put, { name: 'AbortError' });
    assert.equal(await uploadsOf(packKey(pack, 'tar')), 1);
  });

  it('stops a read when its stream is destroyed or its signal fires', async () => {
    const pack = aPack();
    await archive.putPack(pack, fileOf(large));
    const controller = new AbortController();
    const stream = await archive.readRange(pack, 0, large.length, controller.signal);
    await once(stream, 'readable');

    controller.abort();

    await assert.rejects(async () => { for await (const _ of stream); }, { name: 'AbortError' });
  });

  it('names tenant and key when the server is not there, and keeps the cause', async () => {
    const { createS3 } = await import('../../stores/s3/s3.ts');
    const away = createS3({ endpoint: 'http://127.0.0.1:9', region: 'us-east-1', bucket: 'pacs', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
    const pack = aPack();

    await assert.rejects(createArchiveStore(away).getIndex(pack), (error: Error & { tenantId: string; key: string }) => {
      assert.equal(error.name, 'StoreError');
      assert.equal(error.tenantId, pack.tenantId);
      assert.equal(error.key, packKey(pack, 'index'));
      assert.ok(error.cause instanceof Error);
      return true;
    });
  });

  it('replaces an object only over the ETag that was read', async () => {
    const key = `tenants/${aPack().tenantId}/config/tenant.json`;
    const write = (text: string, condition: Parameters<typeof writeObject>[3]) => writeObject(bucket, key, Buffer.from(text), condition, { contentType: 'text/plain' });
    const first = await write('1', 'new');

    const races = await Promise.all(Array.from({ length: 10 }, (_, number) => write(`2 ${number}`, { etag: first! })));

    assert.equal(races.filter((etag) => etag !== undefined).length, 1);
    assert.equal(await write('3', { etag: first! }), undefined);
    assert.equal(await write('4', 'new'), undefined);
  });
});
