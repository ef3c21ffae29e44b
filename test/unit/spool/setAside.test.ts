import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GivenUp, SpooledPack } from '../../../domain/pack.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { openPack, releasePack, setAsidePack } from '../../../edge-gateway/spool/reader.ts';
import { waitingPacks } from '../../../edge-gateway/spool/record.ts';
import { aDataSet, aSpool, anAssociation, ctImageStorage, filesIn, removeFolders, type SpoolFixture } from './support.ts';

const why: GivenUp = { kind: 'reject', by: 'Ada', why: 'sent again\nby the modality', at: '2026-01-02T03:04:05.678Z' };
const asideTar = (pack: SpooledPack): string => `${pack.packId}.aside.tar`;
const asideNote = (pack: SpooledPack): string => `${pack.packId}.aside.txt`;

/** An association that has ended and left these many packs of one instance each, and whose end was told. */
async function packsOf(count: number): Promise<SpoolFixture & { readonly packs: readonly SpooledPack[]; readonly folder: string }> {
  const fixture = await aSpool();
  const info = anAssociation();
  const session = fixture.spool.open(info);
  for (let series = 0; series < count; series++) {
    const sopInstanceUID = `1.2.3.${series}.1`;
    const seriesInstanceUID = `1.2.3.${series}`;
    const identity = { sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian };
    const incoming = session.receive(identity);
    await incoming.push(Buffer.concat([encodeFileMeta(identity), aDataSet({ sopInstanceUID, seriesInstanceUID })]));
    await incoming.place({ studyInstanceUID: '1.2.3', seriesInstanceUID });
    await incoming.commit();
  }
  await session.end('released');
  const record = fixture.told.at(-1)!;
  await fixture.spool.markEndTold(record);
  return { ...fixture, packs: [...record.packs.values()].map(({ pack }) => pack), folder: join(fixture.spoolDir, info.associationId) };
}

describe('spool: packs that a person gave up', () => {
  after(removeFolders);

  for (const times of [1, 2]) {
    it(`keeps the pack under another name beside a note, and tells it no more, when it is set aside ${times === 1 ? 'once' : 'twice'}`, async () => {
      const { spool, spoolDir, packs, folder, told } = await packsOf(2);
      const [given, other] = packs;
      const bytes = await readFile(join(folder, `${given!.packId}.tar`));

      for (let time = 0; time < times; time++) await setAsidePack(spoolDir, given!, why);
      await spool.sweep();

      assert.deepEqual(await readFile(join(folder, asideTar(given!))), bytes);
      assert.match(await readFile(join(folder, asideNote(given!)), 'utf8'), /who: Ada\nwhy: sent again by the modality\nhow: reject, 2026-01-02/);
      assert.equal(await openPack(spoolDir, given!), undefined);
      assert.deepEqual(waitingPacks(told.at(-1)!), [other]);
      assert.deepEqual(spool.setAside(), [given]);
    });
  }

  it('counts it against the limit of the spool, and as set aside, not as waiting', async () => {
    const { spool, spoolDir, packs } = await packsOf(2);
    const { bytes } = spool.totals();

    await setAsidePack(spoolDir, packs[0]!, why);
    await spool.sweep();

    const totals = spool.totals();
    assert.deepEqual([totals.bytes, totals.waitingPacks, totals.setAsidePacks, totals.setAsideInstances], [bytes, 1, 1, 1]);
  });

  it('keeps it when all others are released, when the gateway starts again, and when its journal is lost', async () => {
    const { spool, spoolDir, packs, folder, restarted } = await packsOf(2);
    await setAsidePack(spoolDir, packs[0]!, why);
    await releasePack(spoolDir, packs[1]!);
    await spool.sweep();

    assert.deepEqual((await restarted()).spool.setAside(), packs.slice(0, 1));
    await rm(join(folder, 'journal.jsonl'));
    assert.deepEqual((await restarted()).spool.setAside().map(({ packId, lengthBytes }) => [packId, lengthBytes]), [[packs[0]!.packId, packs[0]!.lengthBytes]]);
    assert.ok((await filesIn(folder)).includes(asideTar(packs[0]!)));
  });

  it('goes on where it was killed: the note is there and the pack still waits', async () => {
    const { spool, spoolDir, packs, folder, restarted, told } = await packsOf(1);
    await writeFile(join(folder, asideNote(packs[0]!)), 'half a no');
    await spool.sweep();
    assert.equal(waitingPacks(told.at(-1)!).length, 1);
    assert.equal((await restarted()).spool.totals().waitingPacks, 1);

    await setAsidePack(spoolDir, packs[0]!, why);

    assert.match(await readFile(join(folder, asideNote(packs[0]!)), 'utf8'), /^This pack was given up/);
    assert.deepEqual((await restarted()).spool.setAside(), packs);
  });

  it('goes on where it was killed: the pack has its new name', async () => {
    const { spoolDir, packs, folder, restarted } = await packsOf(1);
    await setAsidePack(spoolDir, packs[0]!, why);
    const note = await readFile(join(folder, asideNote(packs[0]!)), 'utf8');

    await setAsidePack(spoolDir, packs[0]!, { ...why, by: 'somebody else' });

    assert.equal(await readFile(join(folder, asideNote(packs[0]!)), 'utf8'), note);
    assert.deepEqual((await restarted()).spool.setAside(), packs);
  });

  it('leaves alone what was released, and what is gone', async () => {
    const { spool, spoolDir, packs, folder } = await packsOf(2);
    await releasePack(spoolDir, packs[0]!);

    await setAsidePack(spoolDir, packs[0]!, why);
    assert.deepEqual((await filesIn(folder)).filter((name) => name.includes('aside')), []);
    await releasePack(spoolDir, packs[1]!);
    await spool.sweep();
    await setAsidePack(spoolDir, packs[0]!, why);

    assert.deepEqual(await filesIn(spoolDir), []);
  });

  it('tells it again when an admin renames it back, and forgets the folder when it is released then', async () => {
    const { spool, spoolDir, packs, folder, told } = await packsOf(1);
    await setAsidePack(spoolDir, packs[0]!, why);
    await spool.sweep();
    const before = told.length;

    await rename(join(folder, asideTar(packs[0]!)), join(folder, `${packs[0]!.packId}.tar`));
    await spool.sweep();
    await spool.sweep();

    assert.equal(told.length, before + 1);
    assert.deepEqual(waitingPacks(told.at(-1)!), packs);
    await releasePack(spoolDir, packs[0]!);
    await spool.sweep();
    assert.deepEqual(await filesIn(spoolDir), []);
  });

  it('counts it as no business of the flow that is started again for another pack', async () => {
    const { spool, spoolDir, packs, told } = await packsOf(3);
    await setAsidePack(spoolDir, packs[0]!, why);
    await releasePack(spoolDir, packs[1]!);
    await spool.sweep();

    await spool.markReopened(told.at(-1)!);

    assert.deepEqual(told.at(-1)!.releasedBefore, { packCount: 2, instanceCount: 2 });
  });

  it('does not take a name that a sender could choose', async () => {
    const { spoolDir, packs } = await packsOf(1);
    await mkdir(join(spoolDir, 'x'));

    await assert.rejects(setAsidePack(spoolDir, { ...packs[0]!, packId: '../x' }, why), RangeError);
    await assert.rejects(setAsidePack(spoolDir, { ...packs[0]!, associationId: '../x' }, why), RangeError);
  });
});

describe('spool: recovery of what was closed before', () => {
  after(removeFolders);

  for (const [how, dispose] of [['released', releasePack], ['set aside', (dir: string, pack: SpooledPack) => setAsidePack(dir, pack, why)]] as const) {
    it(`does not tell a pack again that is ${how} when the same content was open once more at the end`, async () => {
      const { spoolDir, packs, folder, restarted } = await packsOf(2);
      await rename(join(folder, `${packs[0]!.packId}.tar`), join(folder, 'open-9.tar'));
      await writeFile(join(folder, `${packs[0]!.packId}.tar`), await readFile(join(folder, 'open-9.tar')));
      await dispose(spoolDir, packs[0]!);

      const { told } = await restarted();

      assert.deepEqual(waitingPacks(told[0]!), [packs[1]]);
      assert.ok(!(await filesIn(folder)).includes('open-9.tar'));
    });
  }
});
