import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { SpooledPack } from '../../../domain/pack.ts';
import { KeptPacks } from '../../../edge-gateway/spool/kept.ts';
import { keptFolder, keptPath } from '../../../edge-gateway/spool/paths.ts';
import { findPack, openPack, releasePack, setAsidePack } from '../../../edge-gateway/spool/reader.ts';
import { isDone, waitingPacks } from '../../../edge-gateway/spool/record.ts';
import { Watermark } from '../../../edge-gateway/spool/watermark.ts';
import { FakeClock, aDataSet, aFolder, aSpool, anAssociation, ctImageStorage, filesIn, quiet, removeFolders, storeBytes, until, type SpoolFixture } from './support.ts';

const keep = { keep: true };
const hour = 3_600_000;

interface Closed extends SpoolFixture { readonly packs: readonly SpooledPack[]; readonly tars: readonly Buffer[]; readonly folder: string }

/** An association that has ended with so many packs, and whose end was told. */
async function packsOf(count: number, spoolDir?: string): Promise<Closed> {
  const fixture = await aSpool(spoolDir);
  const info = anAssociation();
  const session = fixture.spool.open(info);
  for (let series = 1; series <= count; series++) {
    const identity = { sopClassUID: ctImageStorage, sopInstanceUID: `1.2.3.${series}.1`, transferSyntaxUID: explicitVRLittleEndian };
    const names = { studyInstanceUID: '1.2.3', seriesInstanceUID: `1.2.3.${series}` };
    await storeBytes(session, identity.sopInstanceUID, Buffer.concat([encodeFileMeta(identity), aDataSet({ ...identity, ...names, pixelBytes: 1000 * series })]), names);
  }
  await session.end('released');
  const record = fixture.told.at(-1)!;
  await fixture.spool.markEndTold(record);
  const folder = join(fixture.spoolDir, info.associationId);
  const packs = [...record.packs.values()].map(({ pack }) => pack).toSorted((a, b) => a.lengthBytes - b.lengthBytes);
  return { ...fixture, packs, folder, tars: await Promise.all(packs.map(({ packId }) => readFile(join(folder, `${packId}.tar`)))) };
}

async function bytesOf(spoolDir: string, pack: SpooledPack): Promise<Buffer | undefined> {
  const file = await findPack(spoolDir, pack);
  try {
    return await file?.read(0, file.lengthBytes);
  } finally {
    await file?.close();
  }
}

/** Packs kept one hour after the other. */
async function keptOf(count: number, keepMs = 24 * hour) {
  const closed = await packsOf(count);
  const clock = new FakeClock();
  for (const [number, pack] of closed.packs.entries()) {
    await releasePack(closed.spoolDir, pack, keep);
    const at = clock.now() / 1000 + number * 3600;
    await utimes(keptPath(closed.spoolDir, pack.packId), at, at);
  }
  clock.pass((count - 1) * hour);
  const kept = new KeptPacks({ spoolDir: closed.spoolDir, keepMs, clock, log: quiet });
  await kept.look();
  const there = async (): Promise<readonly number[]> => (await Promise.all(closed.packs.map((pack) => bytesOf(closed.spoolDir, pack)))).flatMap((bytes, number) => (bytes ? [number] : []));
  return { ...closed, clock, kept, there };
}

describe('spool: packs kept after their release', () => {
  after(removeFolders);

  for (const times of [1, 2]) {
    it(`keeps the bytes and lets the association go when a pack is released ${times === 1 ? 'once' : 'twice'}`, async () => {
      const { spool, spoolDir, packs, tars } = await packsOf(2);

      for (const pack of packs) for (let time = 0; time < times; time++) await releasePack(spoolDir, pack, keep);
      await spool.sweep();

      assert.deepEqual(await filesIn(spoolDir), ['kept']);
      assert.deepEqual(await Promise.all(packs.map((pack) => bytesOf(spoolDir, pack))), tars);
      assert.deepEqual([[...spool.records()], spool.totals().bytes, spool.totals().waitingPacks], [[], 0, 0]);
      for (const pack of packs) await releasePack(spoolDir, pack, keep);
      assert.equal(await openPack(spoolDir, packs[0]!), undefined);
    });
  }

  it('never tells them again: not after a restart, not when the journal is lost, not while others wait', async () => {
    const { spoolDir, packs, tars, folder, restarted } = await packsOf(2);
    await releasePack(spoolDir, packs[0]!, keep);

    assert.deepEqual(waitingPacks((await restarted()).told[0]!), [packs[1]]);
    await rm(join(folder, 'journal.jsonl'));
    assert.deepEqual(waitingPacks((await restarted()).told[0]!).map(({ packId }) => packId), [packs[1]!.packId]);
    await releasePack(spoolDir, packs[1]!, keep);
    assert.deepEqual((await restarted()).told.filter((record) => waitingPacks(record).length > 0), []);
    assert.deepEqual(await Promise.all(packs.map((pack) => bytesOf(spoolDir, pack))), tars);
  });

  it('goes on where it was killed: the mark is made and the tar has not moved, so the pack waits still', async () => {
    const { spool, spoolDir, packs, tars, folder, told, restarted } = await packsOf(1);
    await writeFile(join(folder, `${packs[0]!.packId}.released`), '');
    await spool.sweep();
    assert.deepEqual(waitingPacks(told.at(-1)!), packs);
    const again = await restarted();
    assert.deepEqual(waitingPacks(again.told[0]!), packs);
    assert.deepEqual(await bytesOf(spoolDir, packs[0]!), tars[0]);

    await releasePack(spoolDir, packs[0]!, keep);
    await again.spool.sweep();

    assert.deepEqual(await filesIn(spoolDir), ['kept']);
    assert.deepEqual(await bytesOf(spoolDir, packs[0]!), tars[0]);
  });

  it('goes on where it was killed: the tar has moved, so nothing waits', async () => {
    const { spoolDir, packs, tars, folder, restarted } = await packsOf(1);
    await releasePack(spoolDir, packs[0]!, keep);
    assert.deepEqual(await filesIn(folder), [`${packs[0]!.packId}.released`, 'journal.jsonl'].toSorted());

    const { told } = await restarted();

    assert.deepEqual(told, []);
    assert.deepEqual(await filesIn(spoolDir), ['kept']);
    assert.deepEqual(await bytesOf(spoolDir, packs[0]!), tars[0]);
  });

  it('leaves a pack set aside whose release was cut short, and tells it when it comes back', async () => {
    const { spool, spoolDir, packs, folder, told, restarted } = await packsOf(1);
    const { packId } = packs[0]!;
    await writeFile(join(folder, `${packId}.released`), '');
    await setAsidePack(spoolDir, packs[0]!, { kind: 'skip', by: 'Ada', why: 'x', at: '2026-01-02T03:04:05.678Z' });
    await spool.sweep();
    assert.deepEqual([spool.setAside(), isDone(told.at(-1)!)], [packs, false]);
    const again = await restarted();
    assert.deepEqual(again.spool.setAside(), packs);

    await rename(join(folder, `${packId}.aside.tar`), join(folder, `${packId}.tar`));
    await again.spool.sweep();

    assert.deepEqual(waitingPacks(again.told.at(-1)!), packs);
  });

  it('is one file for the same pack of two associations', async () => {
    const { spoolDir, packs, tars } = await packsOf(1);
    await releasePack(spoolDir, packs[0]!, keep);
    const again = await packsOf(1, spoolDir);

    await releasePack(spoolDir, again.packs[0]!, keep);

    assert.equal(again.packs[0]!.packId, packs[0]!.packId);
    assert.deepEqual(await filesIn(keptFolder(spoolDir)), [`${packs[0]!.packId}.tar`]);
    assert.deepEqual(await bytesOf(spoolDir, again.packs[0]!), tars[0]);
  });

  it('finds a pack that was not released yet, or was set aside', async () => {
    const { spoolDir, packs, tars } = await packsOf(2);
    await setAsidePack(spoolDir, packs[1]!, { kind: 'skip', by: 'Ada', why: 'x', at: '2026-01-02T03:04:05.678Z' });

    assert.deepEqual(await Promise.all(packs.map((pack) => bytesOf(spoolDir, pack))), tars);
    await assert.rejects(findPack(spoolDir, { ...packs[0]!, packId: '../x' }), RangeError);
  });

  it('forgets the pack at once where the disk has no room for another name', async function () {
    const folder = await aFolder();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,nr_inodes=12', 'tmpfs', folder], { stdio: 'ignore' });
    } catch {
      return this.skip();
    }
    try {
      const { spool, spoolDir, packs } = await packsOf(1, folder);
      const error = await until(async () => writeFile(join(folder, `filler-${Math.random()}`), '').then(() => false, () => true)).catch((failed: unknown) => failed);
      assert.equal(error, undefined);

      await releasePack(spoolDir, packs[0]!, keep);
      await spool.sweep();

      assert.equal(await findPack(spoolDir, packs[0]!), undefined);
      assert.deepEqual((await filesIn(spoolDir)).filter((name) => !name.startsWith('filler')), []);
    } finally {
      execFileSync('umount', [folder]);
    }
  });

  it('goes when it is old, and not before', async () => {
    const { kept, clock, there, spoolDir, packs } = await keptOf(3);
    assert.deepEqual([kept.count, kept.bytes], [3, packs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)]);

    clock.pass(22 * hour - 1);
    await kept.look();
    assert.deepEqual(await there(), [0, 1, 2]);
    clock.pass(hour + 1);
    await kept.look();

    assert.deepEqual([await there(), kept.count, kept.bytes], [[2], 1, packs[2]!.lengthBytes]);
    const restarted = new KeptPacks({ spoolDir, keepMs: 24 * hour, clock, log: quiet });
    await restarted.look();
    assert.deepEqual([restarted.count, restarted.bytes], [1, packs[2]!.lengthBytes]);
  });

  it('goes whole when keeping is turned off', async () => {
    const { kept, there } = await keptOf(2, 0);

    assert.deepEqual([await there(), kept.count, kept.bytes], [[], 0, 0]);
  });

  it('goes oldest first when room is needed, and no more of it than is needed', async () => {
    const { kept, there, packs } = await keptOf(4);

    const freed = await kept.free(packs[0]!.lengthBytes + 1);

    assert.deepEqual([freed, await there(), kept.count], [packs[0]!.lengthBytes + packs[1]!.lengthBytes, [2, 3], 2]);
    assert.equal(await kept.free(Infinity), packs[2]!.lengthBytes + packs[3]!.lengthBytes);
    assert.deepEqual([await there(), kept.bytes], [[], 0]);
  });

  it('sees what came since, and what somebody else removed', async () => {
    const { kept, spoolDir, packs } = await keptOf(2);
    const later = await packsOf(3, spoolDir);
    await rm(keptPath(spoolDir, packs[0]!.packId));
    await releasePack(spoolDir, later.packs[2]!, keep);

    await kept.look();

    assert.equal(kept.bytes, packs[1]!.lengthBytes + later.packs[2]!.lengthBytes);
    await rm(keptFolder(spoolDir), { recursive: true });
    await kept.look();
    assert.deepEqual([kept.count, kept.bytes], [0, 0]);
  });

  it('is read as far as it reaches: a file that was cut off says so', async () => {
    const { spoolDir, packs } = await keptOf(1);
    const file = (await findPack(spoolDir, packs[0]!))!;
    await truncate(keptPath(spoolDir, packs[0]!.packId), 700);

    await assert.rejects(file.read(0, file.lengthBytes), { name: 'PackUnreadable' });
    await file.close();
    assert.equal((await stat(keptPath(spoolDir, packs[0]!.packId))).size, 700);
  });
});

describe('spool: room for what arrives, before what is kept', () => {
  after(removeFolders);
  const MB = 1_000_000;

  function aKeeper(bytes: number) {
    const keeper = { bytes, removed: 0, free: async (wanted: number) => {
      const freed = Math.min(keeper.bytes, Math.ceil(wanted / MB) * MB);
      keeper.bytes -= freed;
      keeper.removed += freed;
      return freed;
    } };
    return keeper;
  }

  it('counts kept packs as free, and removes them before the disk is full', async () => {
    const kept = aKeeper(50 * MB);
    const watermark = new Watermark({ limits: { minFreeBytes: 10 * MB, maxSpoolBytes: undefined }, readSpace: async () => ({ freeBytes: 20 * MB, totalBytes: 100 * MB }), spoolBytes: () => 0, kept });
    await watermark.poll();
    assert.equal(watermark.makeRoom(), undefined);

    for (let written = 0; written < 55 * MB; written += MB) {
      await watermark.makeRoom();
      assert.equal(watermark.noRoom(), undefined, `after ${written} bytes`);
      assert.ok(watermark.freeBytes >= 10 * MB, 'the disk itself has room for what arrives');
      watermark.wrote(MB);
    }

    assert.ok(kept.removed <= 51 * MB && kept.bytes <= MB, `${kept.removed}`);
    for (let more = 0; more < 10; more++) watermark.wrote(MB);
    await watermark.makeRoom();
    assert.deepEqual([kept.bytes, watermark.noRoom()], [0, 'diskFull']);
  });

  it('lets the spool and what is kept never be more than is allowed', async () => {
    const kept = aKeeper(40 * MB);
    const watermark = new Watermark({ limits: { minFreeBytes: 0, maxSpoolBytes: 60 * MB }, readSpace: async () => ({ freeBytes: 900 * MB, totalBytes: 1000 * MB }), spoolBytes: () => 20 * MB, kept });
    await watermark.poll();

    watermark.wrote(30 * MB);
    await watermark.makeRoom();

    assert.deepEqual([kept.bytes, watermark.noRoom()], [10 * MB, undefined]);
    watermark.wrote(10 * MB);
    await watermark.makeRoom();
    assert.deepEqual([kept.bytes, watermark.noRoom()], [0, 'spoolFull']);
  });

  it('removes once for many that ask at the same time', async () => {
    const kept = aKeeper(50 * MB);
    const watermark = new Watermark({ limits: { minFreeBytes: 10 * MB, maxSpoolBytes: undefined }, readSpace: async () => ({ freeBytes: 5 * MB, totalBytes: 100 * MB }), spoolBytes: () => 0, kept });
    await watermark.poll();

    await Promise.all([1, 2, 3, 4].map(() => watermark.makeRoom()));

    assert.equal(kept.removed, 10 * MB);
  });
});
