import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile, mkdir, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { PackIndex } from '../../../domain/pack.ts';
import { cachedReads, removePartials } from '../../../stores/packs/packCache.ts';
import type { ArchiveStore } from '../../../stores/ports.ts';
import { aPackIndex, aTenant } from '../../support/aStudy.ts';
import { sha256 } from '../../support/pacsClient.ts';
import { eventually } from '../../support/stack.ts';

describe('pack cache', () => {
  let folder: string;
  beforeEach(async () => { folder = await mkdtemp(path.join(tmpdir(), 'packs-')); });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const read = async (stream: Promise<Readable>): Promise<Buffer> => Buffer.concat(await (await stream).toArray() as Buffer[]);
  const kept = async (): Promise<readonly string[]> => (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.tar'));
  const files = async (): Promise<number> => (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length;
  const [offsetBytes, lengthBytes] = [512, 8000];

  it('reads a pack from the archive once, and afterwards from the disk', async () => {
    const archive = anArchive();
    const { readRange } = cachedReads(archive, { folder, maxBytes: 1e9 });
    const first = await read(readRange(archive.pack, offsetBytes, lengthBytes));
    await eventually('the pack is kept', async () => (await kept()).length === 1);

    const [again, part] = [await read(readRange(archive.pack, offsetBytes, lengthBytes)), await read(readRange(archive.pack, 3512, 700))];

    assert.ok(first.equals(archive.bytes.subarray(512, 8512)) && again.equals(first));
    assert.ok(part.equals(archive.bytes.subarray(3512, 4212)));
    assert.equal(archive.reads.length, 1);
  });

  it('never keeps bytes that have not the digest of their index', async () => {
    const archive = anArchive();
    archive.bytes[5000]! ^= 1;
    const { readRange } = cachedReads(archive, { folder, maxBytes: 1e9 });

    await read(readRange(archive.pack, offsetBytes, lengthBytes));
    await eventually('what was written is gone', async () => await files() === 0);
    await read(readRange(archive.pack, offsetBytes, lengthBytes));

    assert.equal(archive.reads.length, 2);
  });

  it('fetches the whole pack when parts of it are asked for again', async () => {
    const archive = anArchive();
    const { readRange } = cachedReads(archive, { folder, maxBytes: 1e9 });

    await read(readRange(archive.pack, 512, 100));
    assert.deepEqual(archive.reads, [[512, 100]]);
    await read(readRange(archive.pack, 612, 100));
    await eventually('the pack is kept', async () => (await kept()).length === 1);
    const part = await read(readRange(archive.pack, 712, 100));

    assert.ok(part.equals(archive.bytes.subarray(712, 812)));
    assert.deepEqual(archive.reads, [[512, 100], [612, 100], [offsetBytes, lengthBytes]]);
  });

  it('leaves nothing behind when its reader stops early, or the archive breaks off', async () => {
    // Larger than what is read ahead of the reader.
    const archive = anArchive(1000);
    const { readRange } = cachedReads(archive, { folder, maxBytes: 1e9 });
    for await (const _ of await readRange(archive.pack, 512_000, 8_000_000)) break;
    archive.breakAfterBytes = 3_000_000;
    await assert.rejects(read(readRange(archive.pack, 512_000, 8_000_000)), /broke off/);
    await eventually('nothing is left', async () => await files() === 0);

    archive.breakAfterBytes = Infinity;
    await read(readRange(archive.pack, 512_000, 8_000_000));

    await eventually('the pack is kept after all', async () => (await kept()).length === 1);
  });

  it('lets the least recently used packs go, and keeps none that is larger than it may be', async () => {
    const [a, b, c] = [anArchive(), anArchive(), anArchive()];
    const readOf = (archive: FakeArchive, maxBytes = 20_000) => cachedReads(archive, { folder, maxBytes }).readRange(archive.pack, offsetBytes, lengthBytes);
    for (const [at, archive] of [a, b].entries()) {
      await read(readOf(archive));
      await eventually('it is kept', async () => (await kept()).length === at + 1);
    }
    await utimes(path.join(folder, b.pack.tenantId, `${b.pack.packId}.tar`), 1, 1);

    await read(readOf(c));

    await eventually('one is gone', async () => !(await kept()).some((name) => name.includes(b.pack.packId)));
    await eventually('two are there', async () => (await kept()).length === 2);
    const tiny = anArchive();
    await read(readOf(tiny, 100));
    await read(readOf(tiny, 100));
    assert.equal(tiny.reads.length, 2);
  });

  it('lends of what it keeps, and of nothing else', async () => {
    const archive = anArchive();
    const { readRange, lendRange } = cachedReads(archive, { folder, maxBytes: 1e9 });
    assert.equal(await lendRange(archive.pack, 3512, 700), undefined);
    await read(readRange(archive.pack, offsetBytes, lengthBytes));
    await eventually('the pack is kept', async () => (await kept()).length === 1);

    const range = await lendRange(archive.pack, 3512, 700);

    assert.ok((await range!.next())!.copy().equals(archive.bytes.subarray(3512, 4212)));
    assert.equal(await range!.next(), undefined);
    await range!.close();
    assert.equal(archive.reads.length, 1);
  });

  it('gives tenants with the same pack each their own', async () => {
    const archive = anArchive();
    await read(cachedReads(archive, { folder, maxBytes: 1e9 }).readRange(archive.pack, offsetBytes, lengthBytes));
    await eventually('the pack is kept', async () => (await kept()).length === 1);
    const other = { ...archive, readRange: async () => { throw new Error('this tenant has no such pack'); } } as unknown as ArchiveStore;

    await assert.rejects(cachedReads(other, { folder, maxBytes: 1e9 }).readRange({ ...archive.pack, tenantId: aTenant() }, offsetBytes, lengthBytes), /no such pack/);
  });

  it('removes what a killed process left, and nothing of one that lives', async () => {
    await mkdir(path.join(folder, 't'));
    await writeFile(path.join(folder, 't', 'a.tar.partial-999999999-1'), 'x');
    await writeFile(path.join(folder, 't', `b.tar.partial-${process.pid}-1`), 'x');

    await removePartials(folder);

    assert.deepEqual(await readdir(path.join(folder, 't')), [`b.tar.partial-${process.pid}-1`]);
  });
});

interface FakeArchive extends Pick<ArchiveStore, 'readRange' | 'getIndex'> {
  readonly pack: PackIndex;
  readonly bytes: Buffer;
  readonly reads: (readonly [number, number])[];
  breakAfterBytes: number;
}

/** One pack of two instances from byte 512 to 8512, which come in pieces. */
function anArchive(scale = 1): FakeArchive {
  const bytes = randomBytes(10_240 * scale);
  const base = aPackIndex({ instances: [{}, {}] });
  const places = [{ offsetBytes: 512 * scale, lengthBytes: 3000 * scale }, { offsetBytes: 3512 * scale, lengthBytes: 5000 * scale }];
  const pack: PackIndex = { ...base, lengthBytes: bytes.length, instances: base.instances.map((instance, at) => {
    const place = places[at]!;
    return { ...instance, ...place, sha256: sha256(bytes.subarray(place.offsetBytes, place.offsetBytes + place.lengthBytes)) };
  }) };
  const archive: FakeArchive = {
    pack, bytes, reads: [], breakAfterBytes: Infinity,
    getIndex: async () => pack,
    readRange: async (_pack, offsetBytes, lengthBytes) => {
      archive.reads.push([offsetBytes, lengthBytes]);
      return Readable.from((function* () {
        for (let at = 0; at < lengthBytes; at += 1000 * scale) {
          if (at >= archive.breakAfterBytes) throw new Error('the archive broke off');
          yield bytes.subarray(offsetBytes + at, offsetBytes + Math.min(lengthBytes, at + 1000 * scale));
        }
      })(), { objectMode: false });
    },
  };
  return archive;
}
