import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { createIndexStudy } from '../../../activities/index/indexStudy.ts';
import { createSweepPage, type SweepPageInput } from '../../../activities/sweep/sweepPage.ts';
import { createVerifyPack } from '../../../activities/sweep/verifyPack.ts';
import { buildStudyDocuments } from '../../../domain/documents.ts';
import { isInShare, rightfulHolder, shareOfDay } from '../../../domain/sweep.ts';
import { packKey } from '../../../domain/keys.ts';
import { entryHeaderBytes } from '../../../domain/packTar.ts';
import { MemoryArchive, MemoryAuditLog } from '../../../stores/memory/memoryStores.ts';
import { MemoryStudyIndex } from '../../../stores/memory/memoryStudyIndex.ts';
import { aTenant, aUID } from '../../support/aStudy.ts';
import { aTar as aTarOf, flipped, type TarOptions } from '../../support/aTar.ts';
import { run, unsettled } from './support.ts';

const tenantId = aTenant();

const aTar = (options: Omit<TarOptions, 'tenantId'> = {}): ReturnType<typeof aTarOf> => aTarOf({ ...options, tenantId });

async function world(...packs: readonly ReturnType<typeof aTar>[]) {
  const [archive, index, audit] = [new MemoryArchive(), new MemoryStudyIndex(), new MemoryAuditLog()];
  for (const { index: pack, tar } of packs) {
    archive.packs.set(packKey(pack, 'tar'), tar);
    await archive.commitIndex(pack);
  }
  const rewrite = (study: { readonly tenantId: string; readonly studyInstanceUID: string }) => run(createIndexStudy({ ...unsettled(), archive, index }), study).then(() => undefined);
  for (const { index: pack } of packs) await index.write(buildStudyDocuments(await archive.listIndexes(tenantId, pack.studyInstanceUID)), 1);
  const page = createSweepPage({ archive, index, audit, rewrite, bytesPerSecond: 1e9, now: () => new Date() });
  const input: SweepPageInput = { tenantId, flowId: `${tenantId}/sweep/1`, side: 'archive', limit: 10, share: { of: 1, number: 0 }, settledBefore: '2025-01-01T00:00:00.000Z' };
  return { archive, index, audit, sweep: (given: Partial<SweepPageInput> = {}) => run(page, { ...input, ...given }), verify: createVerifyPack({ archive, bytesPerSecond: 1e9 }) };
}
const differing = ({ counts: { missingCount, staleCount, foreignCount, rewrittenCount } }: Awaited<ReturnType<Awaited<ReturnType<typeof world>>['sweep']>>) => [missingCount, staleCount, foreignCount, rewrittenCount];

describe('sweepPage', () => {
  it('finds nothing where nothing is wrong, and has what differs written again', async () => {
    const { index, sweep } = await world(aTar({ instances: [{}, {}] }), aTar());
    const whole = structuredClone(index.documents);
    const first = await sweep();
    const [instance, ...rest] = [...index.documents.instances.keys()];
    const [study] = [...index.documents.studies.entries()];
    index.documents.instances.set(`${instance}.1`, index.documents.instances.get(instance!)!);
    index.documents.instances.delete(rest[0]!);
    index.documents.studies.set(study![0], { ...study![1], attributes: {} });

    const second = await sweep();

    assert.deepEqual([first.counts.studyCount, first.counts.packCount, first.counts.verifiedCount, differing(first)], [2, 2, 2, [0, 0, 0, 0]]);
    assert.deepEqual(differing(second).slice(0, 3), [1, 1, 1]);
    assert.deepEqual(index.documents, whole);
    assert.deepEqual(differing(await sweep()), [0, 0, 0, 0]);
  });

  it('removes what the index has of studies that the archive has not, and no other', async () => {
    const { archive, index, sweep } = await world(aTar(), aTar());
    const [gone] = [...archive.indexes.keys()];
    archive.indexes.delete(gone!);

    const fromArchive = await sweep();
    const fromIndex = await sweep({ side: 'index' });

    assert.deepEqual([differing(fromArchive), differing(fromIndex)], [[0, 0, 0, 0], [0, 0, 3, 1]]);
    assert.equal(index.documents.studies.size, 1);
  });

  it('leaves to their flows the studies that have just been committed to', async () => {
    const { index, sweep } = await world(aTar());
    index.documents.studies.clear();

    assert.equal((await sweep({ settledBefore: '2024-01-01T00:00:00.000Z' })).counts.studyCount, 0);
    assert.equal(index.documents.studies.size, 0);
  });

  it('lets the first commit hold an instance that two studies committed at once, in whatever order they are swept', async () => {
    const sopInstanceUID = aUID();
    const [late, early] = ['12', '11'].map((hour) => aTar({ committedAt: `2024-05-01T${hour}:00:00.000Z`, instances: [{ sopInstanceUID }] })) as [ReturnType<typeof aTar>, ReturnType<typeof aTar>];
    for (const packs of [[late, early], [early, late]]) {
      const { archive, index, sweep } = await world(...packs);

      const { counts } = await sweep();

      assert.equal(counts.doublyHeldCount, 1);
      assert.deepEqual((await index.findHolders(tenantId, [sopInstanceUID], 'everything')).map(({ studyInstanceUID }) => studyInstanceUID), [early.index.studyInstanceUID]);
      assert.deepEqual([...archive.choices.values()].map(({ studyInstanceUID, by, decision }) => [studyInstanceUID, by, decision]), [[late.index.studyInstanceUID, 'sweep', { heldBy: early.index.studyInstanceUID }]]);
      assert.equal((await sweep()).counts.doublyHeldCount, 0);
    }
  });

  const damages: Readonly<Record<string, (tar: Buffer) => Buffer | undefined>> = {
    'a bit of an instance': (tar) => flipped(tar, entryHeaderBytes + 5),
    'a bit of an entry header': (tar) => flipped(tar, 10),
    'a bit of the end': (tar) => flipped(tar, tar.length - 3),
    'the last block': (tar) => tar.subarray(0, tar.length - 512),
    'the whole tar': () => undefined,
  };
  for (const [what, damage] of Object.entries(damages)) {
    it(`reports a pack that lost ${what}, and takes it when it is back`, async () => {
      const pack = aTar({ instances: [{}, {}] });
      const { archive, audit, sweep, verify } = await world(pack);
      const bad = damage(pack.tar);
      if (bad) archive.packs.set(packKey(pack.index, 'tar'), bad);
      else archive.packs.delete(packKey(pack.index, 'tar'));

      const { damaged, counts } = await sweep();

      assert.deepEqual([damaged.map(({ packId, gatewayId }) => [packId, gatewayId]), counts.damagedCount], [[[pack.index.packId, 'gw1']], 1]);
      assert.ok(damaged[0]!.damage);
      assert.deepEqual([...audit.events.values()].map(({ action }) => action), ['pack.damaged']);
      await assert.rejects(run(verify, damaged[0]!), { type: 'PackDamaged', nonRetryable: true });
      archive.packs.set(packKey(pack.index, 'tar'), pack.tar);
      await run(verify, damaged[0]!);
    });
  }
});

describe('findDamage', () => {
  it('takes bytes that the server has and never gives for damaged, and waits for a server that is away', async () => {
    const { archive } = await world(aTar());
    const [index] = [...archive.indexes.values()];
    let reads = 0;
    const breaksOff = async function* () {
      yield Buffer.alloc(10);
      throw new Error('socket hang up');
    };
    archive.readRange = async () => {
      if (reads++ === 0) return Readable.from(breaksOff(), { objectMode: false });
      throw new Error('HTTP 500');
    };
    const verify = createVerifyPack({ archive, bytesPerSecond: 1e9, pauseMs: 1 });

    await assert.rejects(run(verify, index!), { type: 'PackDamaged', message: /cannot be read: the server that keeps it answers with an error/ });
    assert.equal(reads, 2, 'what breaks off is read again');
    archive.packLengthBytes = async () => { throw new Error('connect ECONNREFUSED'); };
    await assert.rejects(run(verify, index!), /ECONNREFUSED/);
  });
});

describe('sweep rules', () => {
  it('give every pack to exactly one of the days of a round', () => {
    const days = Array.from({ length: 7 }, (_, day) => shareOfDay(new Date(Date.UTC(2024, 4, 1 + day)), 7));
    for (let round = 0; round < 200; round++) {
      const pack = { packId: randomBytes(32).toString('hex') };
      assert.equal(days.filter((share) => isInShare(pack, share)).length, 1);
    }
  });

  it('prefer the latest choice, then the first commit', () => {
    const [a, b] = [{ studyInstanceUID: '1', packId: 'b', committedAt: '2024-05-01' }, { studyInstanceUID: '2', packId: 'a', committedAt: '2024-05-01' }];
    assert.deepEqual([rightfulHolder([a, b]), rightfulHolder([{ ...a, chosenAt: '2024-06-01' }, b]).studyInstanceUID, rightfulHolder([{ ...a, chosenAt: '2024-06-01' }, { ...b, chosenAt: '2024-06-02' }]).studyInstanceUID], [b, '1', '2']);
  });
});
