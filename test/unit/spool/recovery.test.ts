import assert from 'node:assert/strict';
import { copyFile, cp, mkdir, open, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { openPack, releasePack } from '../../../edge-gateway/spool/reader.ts';
import { recoverFolder } from '../../../edge-gateway/spool/recovery.ts';
import type { SpoolSession } from '../../../edge-gateway/spool/spool.ts';
import { FakeClock, aDataSet, aFolder, aSpool, anAssociation, ctImageStorage, filesIn, removeFolders, sha256, until } from './support.ts';

const series = { studyInstanceUID: '1.2.3', seriesInstanceUID: '1.2.3.1' };
const identityOf = (sopInstanceUID: string) => ({ sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian });
const fileOf = (uid: string, pixelBytes: number): Buffer =>
  Buffer.concat([encodeFileMeta(identityOf(uid)), aDataSet({ sopInstanceUID: uid, pixelBytes })]);

async function store(session: SpoolSession, uid: string, bytes: Buffer): Promise<void> {
  const incoming = session.receive(identityOf(uid));
  await incoming.push(bytes);
  await incoming.place(series);
  await incoming.commit();
}

const files = [fileOf('1.2.1', 300), fileOf('1.2.2', 1000), fileOf('1.2.3', 10)];

/** A spool folder as a process that was killed leaves it: three acknowledged instances, nothing closed. */
async function aKilledSpool() {
  const { spool, spoolDir } = await aSpool();
  const info = anAssociation();
  const session = spool.open(info);
  for (const [index, bytes] of files.entries()) await store(session, `1.2.${index + 1}`, bytes);
  const folder = join(await aFolder(), info.associationId);
  await until(async () => (await readFile(join(spoolDir, info.associationId, 'journal.jsonl'), 'utf8')).split('"instance"').length === 4);
  await cp(join(spoolDir, info.associationId), folder, { recursive: true });
  await session.end('released');
  return { info, folder, tar: join(folder, 'open-0.tar'), journal: join(folder, 'journal.jsonl') };
}

/** A copy of it, so that one folder can be broken in many ways. */
async function copyOf(folder: string, associationId: string): Promise<{ readonly spoolDir: string; readonly folder: string; readonly tar: string; readonly journal: string }> {
  const spoolDir = await aFolder();
  const copy = join(spoolDir, associationId);
  await cp(folder, copy, { recursive: true });
  return { spoolDir, folder: copy, tar: join(copy, 'open-0.tar'), journal: join(copy, 'journal.jsonl') };
}

const recover = (spoolDir: string, associationId: string) =>
  recoverFolder({ spoolDir, tenantId: 'demo', gatewayId: 'gw1', clock: new FakeClock() }, associationId);

/** Digests of the instances in every pack of the folder, each checked against its bytes. */
async function kept(spoolDir: string, associationId: string): Promise<string[]> {
  const { record } = await recover(spoolDir, associationId);
  const digests: string[] = [];
  for (const { pack } of record?.packs.values() ?? []) {
    const file = (await openPack(spoolDir, pack))!;
    for (const instance of file.instances) {
      assert.equal(sha256(await file.read(instance.offsetBytes, instance.lengthBytes)), instance.sha256);
      digests.push(instance.sha256);
    }
    assert.equal(file.instances.length, pack.instanceCount);
    await file.close();
  }
  return digests;
}

const digestsOf = (count: number): string[] => files.slice(0, count).map(sha256);

describe('spool: recovery', () => {
  after(removeFolders);

  it('closes what was open and tells of an association that was lost, with every instance', async () => {
    const { info, folder } = await aKilledSpool();
    const { spoolDir } = await copyOf(folder, info.associationId);

    const { told, spool } = await aSpool(spoolDir);

    const [record] = told;
    assert.deepEqual(record!.end, { how: 'lost', packCount: 1, instanceCount: 3, at: record!.end!.at });
    assert.equal(record!.origin.callingAETitle, 'CT1');
    assert.equal([...record!.packs.values()][0]!.pack.seriesInstanceUID, '1.2.3.1');
    assert.equal(spool.totals().waitingInstances, 3);
    assert.deepEqual(await kept(spoolDir, info.associationId), digestsOf(3));
  });

  it('gives the pack that the process would have closed itself', async () => {
    const { info, folder } = await aKilledSpool();
    const { spoolDir } = await copyOf(folder, info.associationId);
    const { spool, told } = await aSpool();
    const session = spool.open(anAssociation());
    for (const [index, bytes] of files.entries()) await store(session, `1.2.${index + 1}`, bytes);
    await session.end('released');

    const { record } = await recover(spoolDir, info.associationId);

    assert.deepEqual([...record!.packs.keys()], [...told.at(-1)!.packs.keys()]);
    const [mine, theirs] = [[...record!.packs.values()][0]!.pack, [...told.at(-1)!.packs.values()][0]!.pack];
    assert.equal(mine.lengthBytes, theirs.lengthBytes);
  });

  it('keeps every whole entry and no half one, wherever the tar was cut off', async () => {
    const { info, folder, tar } = await aKilledSpool();
    const { size } = await stat(tar);
    const ends = files.reduce<number[]>((all, file) => [...all, (all.at(-1) ?? 0) + 1536 + Math.ceil(file.length / 512) * 512], []);
    const dataEnds = files.map((file, index) => (index === 0 ? 0 : ends[index - 1]!) + 1536 + file.length);
    const cuts = [...new Set([0, 1, 511, 512, 1535, 1536, ...ends.flatMap((end) => [end - 1, end, end + 1, end + 1536]), ...dataEnds.flatMap((end) => [end - 1, end])])].filter((cut) => cut <= size);
    for (const cut of cuts) {
      const copy = await copyOf(folder, info.associationId);
      await truncate(copy.tar, cut);

      const whole = dataEnds.filter((end) => end <= cut).length;
      assert.deepEqual(await kept(copy.spoolDir, info.associationId), digestsOf(whole), `cut at ${cut}`);
    }
  });

  it('keeps the other entries when any block of one is garbled, and says what was lost', async () => {
    const { info, folder, tar } = await aKilledSpool();
    const blocks = (await readFile(tar)).length / 512;
    for (let block = 0; block < blocks; block++) {
      const copy = await copyOf(folder, info.associationId);
      const file = await open(copy.tar, 'r+');
      await file.write(Buffer.alloc(16, 0xa5), 0, 16, block * 512 + 130);
      await file.close();
      const { lost } = await recover(copy.spoolDir, info.associationId);
      const digests = await kept(copy.spoolDir, info.associationId);

      assert.equal(digests.length + lost.length, 3, `block ${block}`);
      assert.ok(digests.length >= 2, `block ${block}`);
    }
  });

  it('keeps the other entries when the journal is lost as well', async () => {
    const { info, folder } = await aKilledSpool();
    const copy = await copyOf(folder, info.associationId);
    await unlink(copy.journal);

    const { record } = await recover(copy.spoolDir, info.associationId);

    assert.deepEqual(await kept(copy.spoolDir, info.associationId), digestsOf(3));
    const { pack } = [...record!.packs.values()][0]!;
    assert.deepEqual([pack.tenantId, pack.gatewayId, pack.studyInstanceUID, pack.seriesInstanceUID], ['demo', 'gw1', '1.2.3', '1.2.3.1']);
    assert.ok(Math.abs(Date.parse(record!.origin.receivedAt) - Date.now()) < 60_000);
  });

  it('reads the journal past torn lines, wherever it was cut off', async () => {
    const { info, folder, journal } = await aKilledSpool();
    const { length } = await readFile(journal);
    for (let cut = 0; cut <= length; cut += 37) {
      const copy = await copyOf(folder, info.associationId);
      await truncate(copy.journal, cut);

      assert.deepEqual(await kept(copy.spoolDir, info.associationId), digestsOf(3), `cut at ${cut}`);
    }
  });

  it('comes to the same when it is killed between any two steps', async () => {
    const { info, folder } = await aKilledSpool();
    const done = await copyOf(folder, info.associationId);
    const { record } = await recover(done.spoolDir, info.associationId);
    const [packId] = [...record!.packs.keys()];
    const tarName = `${packId}.tar`;
    const lines = (await readFile(done.journal, 'utf8')).split('\n').filter(Boolean);
    const halfWay: readonly ((copy: { folder: string; tar: string; journal: string }) => Promise<void>)[] = [
      async ({ tar }) => copyFile(join(done.folder, tarName), tar),
      async ({ tar, journal }) => { await copyFile(join(done.folder, tarName), tar); await writeFile(journal, `${lines.slice(0, -1).join('\n')}\n`); },
      async ({ folder: to, tar, journal }) => { await copyFile(join(done.folder, tarName), join(to, tarName)); await unlink(tar); await writeFile(journal, `${lines.slice(0, -1).join('\n')}\n`); },
      async ({ folder: to }) => copyFile(join(done.folder, tarName), join(to, tarName)),
      async ({ tar }) => copyFile(tar, `${tar}.part`),
      async ({ folder: to }) => writeFile(join(to, 'side-1.part'), 'half'),
    ];
    for (const [step, leaveHalf] of halfWay.entries()) {
      const copy = await copyOf(folder, info.associationId);
      await leaveHalf(copy);

      const again = await recover(copy.spoolDir, info.associationId);

      assert.deepEqual([...again.record!.packs.keys()], [packId], `step ${step}`);
      assert.equal(again.record!.end!.packCount, 1);
      assert.deepEqual(again.lost, []);
      assert.deepEqual(await filesIn(copy.folder), [tarName, 'journal.jsonl'].sort(), `step ${step}`);
      assert.deepEqual(await kept(copy.spoolDir, info.associationId), digestsOf(3));
    }
  });

  it('does not bring back a pack that the cloud has released', async () => {
    const { info, folder } = await aKilledSpool();
    const { spoolDir } = await copyOf(folder, info.associationId);
    const first = await aSpool(spoolDir);
    const [record] = first.told;
    await releasePack(spoolDir, [...record!.packs.values()][0]!.pack);

    const second = await first.restarted();
    assert.equal(second.told[0]!.packs.values().next().value!.released, true);
    await second.spool.markEndTold(second.told[0]!);

    assert.deepEqual(await filesIn(spoolDir), []);
  });

  it('remembers that the workflow was told, and that it was started again', async () => {
    const { info, folder } = await aKilledSpool();
    const { spoolDir } = await copyOf(folder, info.associationId);
    const first = await aSpool(spoolDir);
    await first.spool.markEndTold(first.told[0]!);

    const second = await first.restarted();
    assert.equal(second.told[0]!.endTold, true);
    await second.spool.markReopened(second.told[0]!);

    const third = await second.restarted();
    assert.equal(third.told[0]!.endTold, false);
    assert.deepEqual(third.told[0]!.releasedBefore, { packCount: 0, instanceCount: 0 });
  });

  it('removes a folder that holds nothing, and leaves alone what it did not make', async () => {
    const spoolDir = await aFolder();
    await mkdir(join(spoolDir, anAssociation().associationId));
    await mkdir(join(spoolDir, 'lost+found'));

    await aSpool(spoolDir);

    assert.deepEqual(await filesIn(spoolDir), ['lost+found']);
  });

  it('goes on with the other associations when one cannot be recovered, and tries that one again', async () => {
    const { info, folder } = await aKilledSpool();
    const { spoolDir } = await copyOf(folder, info.associationId);
    const stuck = anAssociation().associationId;
    await mkdir(join(spoolDir, stuck, 'journal.jsonl'), { recursive: true });

    const { spool, told } = await aSpool(spoolDir);
    assert.deepEqual(told.map((record) => record.associationId), [info.associationId]);
    assert.ok((await filesIn(spoolDir)).includes(stuck));
    await rm(join(spoolDir, stuck, 'journal.jsonl'), { recursive: true });
    await spool.sweep();

    assert.deepEqual(await filesIn(spoolDir), [info.associationId]);
  });
});
