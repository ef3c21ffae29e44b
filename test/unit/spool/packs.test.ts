import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packLimits } from '../../../domain/pack.ts';
import { openPack, releasePack } from '../../../edge-gateway/spool/reader.ts';
import { packIdOf } from '../../../edge-gateway/spool/openPack.ts';
import { PackUnreadable } from '../../../edge-gateway/spool/tarScan.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { aDataSet, aFolder, aSpool, anAssociation, ctImageStorage, filesIn, removeFolders, sha256, storeBytes as store, until } from './support.ts';

const run = promisify(execFile);
const aSeries = (seriesInstanceUID = '1.2.3.1') => ({ studyInstanceUID: '1.2.3', seriesInstanceUID });

describe('spool: packs', () => {
  after(removeFolders);

  it('writes a tar that GNU tar lists and extracts without a word, with the digests that sha256sum prints', async () => {
    const { spool, spoolDir, told } = await aSpool();
    const session = spool.open(anAssociation());
    const files = [Buffer.alloc(1), Buffer.alloc(512, 2), Buffer.alloc(70_001, 3), Buffer.alloc(2_500_000, 4)];
    const longUid = `1.2.${'3'.repeat(60)}`;
    for (const [index, bytes] of files.entries()) await store(session, index === 3 ? longUid : `1.2.${index}`, bytes);
    await session.end('released');
    const [state] = told.at(-1)!.packs.values();
    const { pack } = state!;
    const tar = join(spoolDir, pack.associationId, `${pack.packId}.tar`);
    const out = await aFolder();

    const listed = await run('tar', ['tvf', tar]);
    const extracted = await run('tar', ['xf', tar, '-C', out]);

    assert.equal(listed.stderr + extracted.stderr, '');
    const names = ['1.2.0.dcm', '1.2.1.dcm', '1.2.2.dcm', `${longUid}.dcm`];
    const digests = (await run('sha256sum', names, { cwd: out })).stdout.trim().split('\n').map((line) => line.slice(0, 64));
    assert.deepEqual(digests, files.map(sha256));
    assert.equal(pack.packId, packIdOf(digests.map((digest) => ({ sha256: digest }))));
    assert.equal((await stat(tar)).size, pack.lengthBytes);
    assert.equal(pack.instanceCount, 4);
  });

  it('makes the same tar of the same instances, whatever was refused or cut off between them', async () => {
    const { spool, spoolDir, told } = await aSpool();
    const [plain, disturbed] = [anAssociation(), anAssociation()];
    for (const info of [plain, disturbed]) {
      const session = spool.open(info);
      await store(session, '1.2.1', Buffer.alloc(5000, 1));
      if (info === disturbed) {
        const half = session.receive({ sopClassUID: ctImageStorage, sopInstanceUID: '1.2.9', transferSyntaxUID: explicitVRLittleEndian });
        await half.place(aSeries());
        for (let i = 0; i < 40; i++) await half.push(Buffer.alloc(65_536, 9));
        await half.discard();
      }
      await store(session, '1.2.2', Buffer.alloc(6000, 2));
      await session.end('released');
    }

    const [first, second] = await Promise.all([plain, disturbed].map(async ({ associationId }) => {
      const name = (await filesIn(join(spoolDir, associationId))).find((file) => file.endsWith('.tar'))!;
      return { name, bytes: await readFile(join(spoolDir, associationId, name)) };
    }));

    assert.equal(first!.name, second!.name);
    assert.ok(first!.bytes.equals(second!.bytes));
    assert.equal(told.length, 4);
  });

  it('keeps one open pack per Series and closes it at the limit of instances', async () => {
    const { spool, told } = await aSpool();
    const session = spool.open(anAssociation());
    for (let i = 0; i < packLimits.instanceCount + 1; i++) await store(session, `1.2.${i}`, Buffer.from(`${i}`));
    await store(session, '1.3.1', Buffer.from('other'), aSeries('1.2.3.2'));

    await until(() => told.length === 1);
    assert.equal(spool.totals().openPacks, 2);
    await session.end('released');

    assert.deepEqual([...told.at(-1)!.packs.values()].map(({ pack }) => pack.instanceCount).sort((a, b) => a - b), [1, 1, packLimits.instanceCount]);
    assert.deepEqual(told.at(-1)!.end, { how: 'released', packCount: 3, instanceCount: packLimits.instanceCount + 2, at: told.at(-1)!.end!.at });
  }).timeout(20_000);

  it('closes an idle pack after 5 s, then after ever longer times up to 60 s', async () => {
    const { spool, told, clock } = await aSpool();
    const session = spool.open(anAssociation());
    const idleMs: number[] = [];
    for (let i = 0; i < 6; i++) {
      await store(session, `1.2.${i}`, Buffer.from(`${i}`));
      const before = clock.now();
      while (spool.totals().openPacks > 0) clock.pass(1000);
      idleMs.push(clock.now() - before);
      await until(() => told.length === i + 1);
    }

    assert.deepEqual(idleMs, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    await session.end('released');
  });

  it('does not close a pack while an instance is being written to it', async () => {
    const { spool, clock } = await aSpool();
    const session = spool.open(anAssociation());
    await store(session, '1.2.1', Buffer.from('1'));
    const incoming = session.receive({ sopClassUID: ctImageStorage, sopInstanceUID: '1.2.2', transferSyntaxUID: explicitVRLittleEndian });
    await incoming.place(aSeries());

    clock.pass(3_600_000);

    assert.equal(spool.totals().openPacks, 1);
    await incoming.push(Buffer.from('2'));
    await incoming.commit();
    await session.end('released');
    assert.equal(spool.totals().waitingInstances, 2);
  });

  it('closes the least recently used pack when an association opens many Series', async () => {
    const { spool, told, clock } = await aSpool();
    const session = spool.open(anAssociation());
    for (let i = 0; i < 34; i++) {
      clock.pass(1);
      await store(session, `1.2.${i}`, Buffer.from(`${i}`), aSeries(`1.2.3.${i}`));
    }

    await until(() => told.length === 2);
    assert.deepEqual([...told[1]!.packs.values()].map(({ pack }) => pack.seriesInstanceUID), ['1.2.3.0', '1.2.3.1']);
    assert.equal(spool.totals().openPacks, 32);
    await session.end('released');
  });

  it('counts a pack once when an association sends the same content twice', async () => {
    const { spool, told, clock } = await aSpool();
    const session = spool.open(anAssociation());
    for (let i = 0; i < 2; i++) {
      await store(session, '1.2.1', Buffer.from('same'));
      clock.pass(60_000);
      await until(() => spool.totals().openPacks === 0);
    }
    await session.end('released');

    assert.equal(told.at(-1)!.packs.size, 1);
    assert.equal(told.at(-1)!.end!.packCount, 1);
    assert.equal(spool.totals().bytes, [...told.at(-1)!.packs.values()][0]!.pack.lengthBytes);
  });
});

describe('spool: reader', () => {
  after(removeFolders);

  const aClosedPack = async () => {
    const fixture = await aSpool();
    const session = fixture.spool.open(anAssociation());
    const identity = { sopClassUID: ctImageStorage, sopInstanceUID: '1.2.3.4', transferSyntaxUID: explicitVRLittleEndian };
    const bytes = Buffer.concat([encodeFileMeta(identity), aDataSet({})]);
    await store(session, '1.2.3.4', bytes);
    await session.end('released');
    const record = fixture.told.at(-1)!;
    return { ...fixture, record, pack: [...record.packs.values()][0]!.pack, bytes, identity };
  };

  it('gives the manifest and the bytes by range', async () => {
    const { spoolDir, pack, bytes, identity } = await aClosedPack();

    const file = (await openPack(spoolDir, pack))!;

    assert.deepEqual(file.instances, [{ ...identity, offsetBytes: 1536, lengthBytes: bytes.length, sha256: sha256(bytes) }]);
    assert.equal(file.lengthBytes, pack.lengthBytes);
    assert.ok((await file.read(1536 + 10, 50)).equals(bytes.subarray(10, 60)));
    await assert.rejects(file.read(pack.lengthBytes - 1, 2), PackUnreadable);
    await file.close();
  });

  it('knows no pack that never was, and refuses a name that is no pack', async () => {
    const { spoolDir, pack } = await aClosedPack();

    assert.equal(await openPack(spoolDir, { ...pack, packId: '0'.repeat(64) }), undefined);
    await assert.rejects(openPack(spoolDir, { ...pack, packId: '../x' }), RangeError);
    await assert.rejects(openPack(spoolDir, { ...pack, associationId: '..' }), RangeError);
  });

  it('refuses a pack that is shorter than it was', async () => {
    const { spoolDir, pack } = await aClosedPack();
    await truncate(join(spoolDir, pack.associationId, `${pack.packId}.tar`), 2048);

    await assert.rejects(openPack(spoolDir, pack), PackUnreadable);
  });

  it('releases a pack, once and again, and the gateway removes the folder when the end was told', async () => {
    const { spoolDir, spool, pack, record } = await aClosedPack();

    await releasePack(spoolDir, pack);
    await releasePack(spoolDir, pack);
    assert.equal(await openPack(spoolDir, pack), undefined);
    await spool.sweep();
    assert.deepEqual(await filesIn(spoolDir), [pack.associationId]);
    assert.equal(spool.totals().bytes, 0);
    await spool.markEndTold(record);

    assert.deepEqual(await filesIn(spoolDir), []);
    await releasePack(spoolDir, pack);
    assert.deepEqual([...spool.records()], []);
  });

  it('frees the room of a pack even when the mark was made and the process died before', async () => {
    const { spoolDir, pack } = await aClosedPack();
    const folder = join(spoolDir, pack.associationId);
    await rename(join(folder, `${pack.packId}.tar`), join(folder, `${pack.packId}.released`));

    await releasePack(spoolDir, pack);

    assert.equal((await stat(join(folder, `${pack.packId}.released`))).size, 0);
  });

  it('removes rubbish of a removal that was cut short', async () => {
    const { spoolDir, pack, restarted } = await aClosedPack();
    await mkdir(join(spoolDir, `trash-${anAssociation().associationId}`));

    await restarted();

    assert.deepEqual(await filesIn(spoolDir), [pack.associationId]);
  });
});
