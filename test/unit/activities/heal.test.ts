import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createPutBackPack } from '../../../activities/edge/putBackPack.ts';
import { createExaminePack } from '../../../activities/sweep/examinePack.ts';
import { createMendPack } from '../../../activities/sweep/mendPack.ts';
import { packKey } from '../../../domain/keys.ts';
import { MemoryArchive } from '../../../stores/memory/memoryStores.ts';
import { aTenant, aUID } from '../../support/aStudy.ts';
import { aTar, flipped } from '../../support/aTar.ts';
import { MemorySpool, everyCrash, run } from './support.ts';

type Made = ReturnType<typeof aTar>;
const damages: Readonly<Record<string, (tar: Buffer) => Buffer | undefined>> = {
  'with a bit that is another': (tar) => flipped(tar, 1_536 + 5), 'that ends early': (tar) => tar.subarray(0, 1_700), 'that is gone': () => undefined,
};

/** An archive with these packs committed, the first of them as `damage` leaves it. */
async function world(damage: (tar: Buffer) => Buffer | undefined, first: Made, ...others: readonly Made[]) {
  const archive = new MemoryArchive();
  for (const { index, tar } of [first, ...others]) {
    archive.packs.set(packKey(index, 'tar'), tar);
    await archive.commitIndex(index);
  }
  const key = packKey(first.index, 'tar');
  const bad = damage(first.tar);
  if (bad) archive.packs.set(key, bad);
  else archive.packs.delete(key);
  const spool = new MemorySpool();
  return { archive, spool, now: () => archive.packs.get(key), putBack: createPutBackPack({ spool, archive }), mend: createMendPack({ archive }), examine: createExaminePack({ archive, bytesPerSecond: 1e9 }) };
}

describe('putBackPack', () => {
  for (const [what, damage] of Object.entries(damages)) {
    it(`puts a pack back from the gateway's disk in the place of one ${what}, once and again`, async () => {
      const made = aTar({ instances: [{}, {}] });
      const { spool, now, putBack } = await world(damage, made);
      spool.kept.set(made.index.packId, made.tar);

      for (let time = 0; time < 2; time++) {
        assert.deepEqual(await run(putBack, made.index), { healed: true });
        assert.deepEqual(now(), made.tar);
      }
      assert.equal(spool.openFiles, 0);
    });
  }

  it('says so when the disk does not have it, or nothing tells of the pack', async () => {
    const made = aTar();
    const { spool, now, putBack } = await world(damages['that is gone']!, made);

    assert.deepEqual(await run(putBack, made.index), { healed: false, why: 'does not have it any more' });
    spool.kept.set('a'.repeat(64), made.tar);
    assert.deepEqual(await run(putBack, { ...made.index, packId: 'a'.repeat(64) }), { healed: false, why: 'does not have it any more' });
    assert.equal(now(), undefined);
  });

  it('leaves what is there when the disk lost or changed bytes of its copy, too', async () => {
    const made = aTar({ instances: [{}, {}] });
    for (const copy of [flipped(made.tar, 3_000), made.tar.subarray(0, 2_000), Buffer.alloc(0)]) {
      const { spool, now, putBack } = await world(damages['with a bit that is another']!, made);
      const before = now();
      spool.kept.set(made.index.packId, copy);

      const attempt = await run(putBack, made.index);

      assert.match(attempt.healed ? '' : attempt.why, /^has a copy that is damaged, too/);
      assert.deepEqual([now(), spool.openFiles], [before, 0]);
    }
  });

  it('leaves the damaged or the healed pack, whatever call it dies at, and heals when it is run again', async () => {
    const made = aTar({ instances: [{}, {}] });
    const worlds: Awaited<ReturnType<typeof world>>[] = [];
    for (let number = 0; number < 20; number++) worlds.push(await world(damages['with a bit that is another']!, made));
    const calls = await everyCrash(() => {
      const { archive, spool, now } = worlds.pop()!;
      spool.kept.set(made.index.packId, made.tar);
      return {
        run: async (crash) => {
          await run(createPutBackPack({ spool: crash.wrap(spool), archive: crash.wrap(archive) }), made.index).catch(() => undefined);
          assert.ok([made.tar, flipped(made.tar, 1_541)].some((whole) => whole.equals(now()!)), 'never nothing, never half');
        },
        end: now,
      };
    }, (end, whole, at) => assert.deepEqual(end, whole, at));

    assert.ok(calls >= 3);
  });
});

describe('mendPack', () => {
  const tenantId = aTenant();
  const study = () => ({ tenantId, studyInstanceUID: aUID(), seriesInstanceUID: aUID() });

  it('makes a pack whole again whose tar is damaged beside its instances', async () => {
    const made = aTar({ instances: [{}, {}] });
    for (const at of [10, 1_536 + 705, made.tar.length - 3]) {
      const { now, mend } = await world((tar) => flipped(tar, at), made);

      assert.deepEqual(await run(mend, made.index), { healed: true });
      assert.deepEqual(now(), made.tar);
    }
  });

  for (const [what, damage] of Object.entries(damages)) {
    it(`takes from other packs of the study what a pack ${what} lacks, instance by instance`, async () => {
      const [names, uids, contents] = [study(), [aUID(), aUID(), aUID()], [randomBytes(700), randomBytes(1_400), randomBytes(512)]] as const;
      const pick = (...numbers: readonly number[]) => ({ ...names, instances: numbers.map((number) => ({ sopInstanceUID: uids[number]! })), contents: numbers.map((number) => contents[number]!) });
      const [made, resent, more] = [aTar(pick(0, 1, 2)), aTar(pick(1, 0)), aTar(pick(2))];
      const { archive, now, mend, examine } = await world(damage, made, resent, more);

      assert.deepEqual(await run(mend, made.index), { healed: true });

      assert.deepEqual(now(), made.tar);
      assert.deepEqual(await run(examine, made.index), { gatewayId: 'gw1' });
      assert.deepEqual(archive.packs.get(packKey(resent.index, 'tar')), resent.tar);
    });
  }

  it('takes no bytes that are not the same, and none that are damaged, too', async () => {
    const [names, sopInstanceUID, content] = [study(), aUID(), randomBytes(700)] as const;
    const made = aTar({ ...names, instances: [{ sopInstanceUID }, {}], contents: [content, randomBytes(100)] });
    const other = aTar({ ...names, instances: [{ sopInstanceUID }] });
    const damaged = aTar({ ...names, instances: [{}, { sopInstanceUID }], contents: [randomBytes(10), content] });
    const { archive, now, mend } = await world(damages['with a bit that is another']!, made, other, damaged);
    archive.packs.set(packKey(damaged.index, 'tar'), flipped(damaged.tar, damaged.index.instances[1]!.offsetBytes + 9));
    const before = now();

    assert.deepEqual(await run(mend, made.index), { healed: false, why: `has no intact copy of 1 of its 2 instances (${sopInstanceUID})` });
    assert.deepEqual(now(), before);
  });

  it('takes bytes that cannot be read for damaged, and waits for a server that is away', async () => {
    const made = aTar();
    const { archive, mend } = await world((tar) => tar, made);
    archive.readRange = async () => { throw new Error('HTTP 500'); };
    const attempt = await run(mend, made.index);
    assert.match(attempt.healed ? '' : attempt.why, /^has no intact copy of 1 of its 1 instances/);

    archive.packLengthBytes = async () => { throw new Error('connect ECONNREFUSED'); };
    await assert.rejects(run(mend, made.index), /ECONNREFUSED/);
  });
});

describe('examinePack', () => {
  it('says what is wrong and who took the pack', async () => {
    const made = aTar({ instances: [{}, {}] });
    const { examine } = await world(damages['that ends early']!, made);
    const stow = aTar();
    const upload: Made = { ...stow, index: { ...stow.index, origin: { ...stow.index.origin, kind: 'stow' } } };
    const uploaded = await world((tar) => tar, upload);

    assert.deepEqual(await run(examine, made.index), { damage: `its tar has 1700 bytes instead of ${made.tar.length}`, gatewayId: 'gw1' });
    assert.deepEqual(await run(examine, { ...made.index, packId: 'a'.repeat(64) }), { damage: 'its index is gone' });
    assert.deepEqual(await run(uploaded.examine, upload.index), {});
  });
});
