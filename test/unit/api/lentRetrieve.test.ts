import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryArchive } from '../../../stores/memory/memoryStores.ts';
import { cachedReads } from '../../../stores/packs/packCache.ts';
import type { ArchiveStore } from '../../../stores/ports.ts';
import { sha256 } from '../../support/pacsClient.ts';
import { eventually } from '../../support/stack.ts';
import { implicitLE } from '../dicom/dataSetBytes.ts';
import { aFile, anApi, aToken, partsOf, stow, type Api } from './support.ts';

const asStored = 'multipart/related; type="application/dicom"; transfer-syntax=*';

/** An archive whose packs are kept on disk, and lent from there. */
class KeepingArchive extends MemoryArchive {
  readonly folder: string;
  lends = 0;
  openCount = 0;
  lendRange: NonNullable<ArchiveStore['lendRange']>;

  constructor(folder: string) {
    super();
    this.folder = folder;
    const { readRange, lendRange } = cachedReads({ readRange: this.readRange.bind(this), getIndex: this.getIndex.bind(this) }, { folder, maxBytes: 1e9 });
    this.readRange = readRange as MemoryArchive['readRange'];
    this.lendRange = async (...range) => {
      const lent = await lendRange(...range);
      if (!lent) return undefined;
      this.lends++;
      this.openCount++;
      const close = lent.close.bind(lent);
      return Object.assign(lent, { close: () => close().then(() => { this.openCount--; }) });
    };
  }

  /** Reads every pack once. */
  async keepAll(): Promise<void> {
    const indexes = [...this.indexes.values()];
    for (const index of indexes) for await (const _ of await this.readRange(index, 0, index.lengthBytes));
    await eventually('the packs are kept', async () => (await readdir(this.folder, { recursive: true })).filter((name) => name.endsWith('.tar')).length === indexes.length);
  }
}

describe('api: retrieve of kept packs, in buffers that are used again', () => {
  let folder: string;
  let api: Api;
  let archive: KeepingArchive;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'packs-'));
    archive = new KeepingArchive(folder);
    api = await anApi({ archive });
  });
  afterEach(async () => {
    await api.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('gives slow clients, side by side with others that go away, the bytes of their own instance', async () => {
    const files = await keptFiles(6, 10 * 1024 * 1024);
    const headers = { Authorization: `Bearer ${await aToken({ roles: ['viewer'] })}`, Accept: 'application/dicom; transfer-syntax=*' };
    const open = (at: number): Promise<IncomingMessage> => new Promise((resolve, reject) => {
      get(`${api.url}/tenants/demo/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.${at + 1}`, { headers, agent: false }, resolve).on('error', reject);
    });
    const readers = Array.from({ length: 24 }, async (_, reader) => {
      const response = await open(reader % files.length);
      const [hash, goesAway] = [createHash('sha256'), reader % 4 === 3];
      let read = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        hash.update(chunk);
        const pauses = Math.floor((read + chunk.length) / 1e6) > Math.floor(read / 1e6);
        read += chunk.length;
        if (goesAway && read > 2e6) return undefined;
        if (pauses) await sleep((reader % 6) * 8);
      }
      return hash.digest('hex');
    });

    const digests = await Promise.all(readers);

    assert.deepEqual(digests, digests.map((_, reader) => (reader % 4 === 3 ? undefined : sha256(files[reader % files.length]!))));
    assert.equal(archive.lends, 24);
    await eventually('every file is closed', async () => archive.openCount === 0);
  });

  it('gives a study whose packs are partly kept, as stored and re-encoded', async () => {
    const files = await keptFiles(5, 1_500_000, implicitLE);
    const late = aFile({ series: '1.2.3.2', instance: '1.2.3.2.1', pixels: randomBytes(1_500_000) });
    await stow(api, [late]);
    const study = (accept: string) => api.call('/dicom-web/studies/1.2.3', { headers: { Accept: accept }, roles: ['viewer'] }).then(partsOf);

    const stored = await study(asStored);
    const explicit = await study('multipart/related; type="application/dicom"');

    assert.deepEqual(stored.map(({ body }) => sha256(body)), [...files, late].map(sha256));
    assert.deepEqual(explicit.map(({ body }) => sha256(body.subarray(-1_500_000))), [...files, late].map((file) => sha256(file.subarray(-1_500_000))));
    assert.ok(archive.lends >= 2);
    assert.equal(archive.openCount, 0);
  });

  async function keptFiles(count: number, pixelBytes: number, transferSyntaxUID?: string): Promise<readonly Buffer[]> {
    const files = Array.from({ length: count }, (_, at) => aFile({ instance: `1.2.3.1.${at + 1}`, instanceNumber: String(at + 1), pixels: randomBytes(pixelBytes), ...(transferSyntaxUID ? { transferSyntaxUID } : {}) }));
    await stow(api, files);
    await archive.keepAll();
    return files;
  }
});
