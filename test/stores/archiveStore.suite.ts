import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { studyVersion } from '../../domain/choice.ts';
import type { InstanceHeader } from '../../domain/instance.ts';
import type { PackIdentity } from '../../domain/pack.ts';
import type { ArchiveStore, PackFile } from '../../stores/ports.ts';
import { aPackIndex, aTenant, aUID } from '../support/aStudy.ts';
import { aTar, flipped } from '../support/aTar.ts';

export const fileOf = (bytes: Buffer): PackFile => ({
  lengthBytes: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
  close: async () => undefined,
});

export const aPack = (tenantId = aTenant()): PackIdentity =>
  ({ tenantId, studyInstanceUID: aUID(), seriesInstanceUID: aUID(), packId: randomBytes(32).toString('hex') });

/** What every ArchiveStore does. */
export function archiveStoreSuite(name: string, make: (context: Mocha.Context) => Promise<ArchiveStore>): void {
  describe(`ArchiveStore: ${name}`, () => {
    let archive: ArchiveStore;
    before(async function start() { archive = await make(this); });

    it('numbers the choices of a study, writes an equal decision once and lays the latest over its indexes', async () => {
      const index = aPackIndex({ instances: [{}, {}] });
      const { tenantId, studyInstanceUID, packId } = index;
      const [{ sopInstanceUID, sha256 }] = index.instances as [typeof index.instances[0] & object];
      const draft = { tenantId, studyInstanceUID, sopInstanceUID, by: 'Ada', why: 'better', at: '2024-05-01T11:00:00.000Z' };
      await archive.commitIndex(index);

      const choices = [];
      for (const decision of [{ heldBy: '1.2.9' }, { heldBy: '1.2.9' }, { packId, sha256 }]) choices.push(await archive.addChoice({ ...draft, decision }));
      const [read] = await archive.listIndexes(tenantId, studyInstanceUID);

      assert.deepEqual(choices.map(({ number }) => number), [1, 1, 2]);
      assert.deepEqual(read!.instances.map(({ choice }) => choice), [choices[2], undefined]);
      assert.deepEqual((await archive.getIndex(index))!.instances.map(({ choice }) => choice), [undefined, undefined]);
      assert.equal(studyVersion([read!]), 3);
    });

    it('gives choices made at the same moment a number each', async () => {
      const index = aPackIndex({ instances: [{}, {}, {}] });
      const { tenantId, studyInstanceUID } = index;

      const choices = await Promise.all(index.instances.map(({ sopInstanceUID }) => archive.addChoice({ tenantId, studyInstanceUID, sopInstanceUID,
        decision: { heldBy: '1.2.9' }, by: 'Ada', why: 'x', at: '2024-05-01T11:00:00.000Z' })));

      assert.deepEqual(choices.map(({ number }) => number).toSorted(), [1, 2, 3]);
    });

    it('stores a pack once and says so the second time', async () => {
      const pack = aPack();
      const bytes = randomBytes(5_000);

      const first = await archive.putPack(pack, fileOf(bytes));
      const second = await archive.putPack(pack, fileOf(bytes));

      assert.deepEqual([first, second], [{ existed: false }, { existed: true }]);
      assert.equal(await archive.packLengthBytes(pack), 5_000);
    });

    it('refuses other bytes under the same key and keeps the first', async () => {
      const pack = aPack();
      const bytes = randomBytes(2_000);
      await archive.putPack(pack, fileOf(bytes));

      await assert.rejects(archive.putPack(pack, fileOf(randomBytes(3_000))), { name: 'ContentMismatch' });

      assert.deepEqual(await buffer(await archive.readRange(pack, 0, 2_000)), bytes);
    });

    describe('replacing a damaged pack', () => {
      const committed = async (contents: readonly Buffer[] = []) => {
        const made = aTar({ instances: [{}, {}], contents });
        await archive.commitIndex(made.index);
        return made;
      };
      const stored = async ({ index }: ReturnType<typeof aTar>): Promise<Buffer> => buffer(await archive.readRange(index, 0, (await archive.packLengthBytes(index))!));

      for (const [what, damage] of Object.entries({
        'with a bit that is another': (tar: Buffer) => flipped(tar, 2_000), 'that ends early': (tar: Buffer) => tar.subarray(0, 2_600), 'that is gone': () => undefined,
      })) {
        it(`puts a whole one in the place of one ${what}, once and again`, async () => {
          const made = await committed();
          const bad = damage(made.tar);
          if (bad) await archive.putPack(made.index, fileOf(bad));

          for (let time = 0; time < 2; time++) {
            await archive.replacePack(made.index, fileOf(made.tar));
            assert.deepEqual(await stored(made), made.tar);
          }
        });
      }

      it('does so for one of several parts, also when two do it at once', async () => {
        const made = await committed([randomBytes(20 * 1024 * 1024), randomBytes(13 * 1024 * 1024)]);
        await archive.putPack(made.index, fileOf(flipped(made.tar, 18_000_000)));

        await Promise.all([1, 2].map(() => archive.replacePack(made.index, fileOf(made.tar))));

        assert.ok((await stored(made)).equals(made.tar));
      });

      it('changes nothing for a copy that differs anywhere', async () => {
        const made = await committed();
        const { tar, index } = made;
        const lies = flipped(tar, 1_600);
        await archive.putPack(index, fileOf(lies));
        const places = { 'an entry header': 5, 'an instance': 1_536 + 3, 'the last byte of an instance': 1_536 + 699, 'zeros behind it': 1_536 + 705, 'the end': tar.length - 1 };

        for (const [what, at] of Object.entries(places)) await assert.rejects(archive.replacePack(index, fileOf(flipped(tar, at))), { name: 'ContentMismatch' }, what);
        for (const copy of [tar.subarray(0, -512), Buffer.concat([tar, Buffer.alloc(512)]), aTar({ instances: [{}, {}] }).tar]) await assert.rejects(archive.replacePack(index, fileOf(copy)), { name: 'ContentMismatch' });

        assert.deepEqual(await stored(made), lies);
      });

      it('changes nothing when it is cancelled', async () => {
        const made = await committed();
        const lies = flipped(made.tar, 1_600);
        await archive.putPack(made.index, fileOf(lies));

        await assert.rejects(archive.replacePack(made.index, fileOf(made.tar), { signal: AbortSignal.abort() }), { name: 'AbortError' });

        assert.deepEqual(await stored(made), lies);
      });
    });

    it('lists the studies of a tenant page by page, each once, those inside the UID of another too', async () => {
      const tenantId = aTenant();
      const uids = ['1.2', '1.2.3', '1.2.3.4', '1.2.30', '1.20', '2.25.7', '2.25.71'];
      for (const studyInstanceUID of uids) await archive.commitIndex(aPackIndex({ tenantId, studyInstanceUID }));
      await archive.commitIndex(aPackIndex({ studyInstanceUID: '9.9' }));
      const found: string[] = [];

      let cursor: string | undefined;
      do {
        const page = await archive.listStudies(tenantId, { cursor, limit: 2 });
        found.push(...page.studyInstanceUIDs);
        cursor = page.next;
      } while (cursor !== undefined);

      assert.deepEqual(found.toSorted(), uids.toSorted());
    });

    it('reads any range of a pack, an empty one too', async () => {
      const pack = aPack();
      const bytes = randomBytes(100_000);
      await archive.putPack(pack, fileOf(bytes));

      const middle = await buffer(await archive.readRange(pack, 40_000, 20_000));
      const nothing = await buffer(await archive.readRange(pack, 40_000, 0));

      assert.deepEqual(middle, bytes.subarray(40_000, 60_000));
      assert.equal(nothing.length, 0);
    });

    it('fails on a range that the pack does not have, and on a pack that is not there', async () => {
      const pack = aPack();
      await archive.putPack(pack, fileOf(randomBytes(1_000)));

      await assert.rejects(archive.readRange(pack, 900, 200), { name: 'StoreError', tenantId: pack.tenantId });
      await assert.rejects(archive.readRange(aPack(), 0, 10), { name: 'StoreError' });
    });

    it('knows nothing of a pack that was never stored', async () => {
      const pack = aPack();

      assert.equal(await archive.packLengthBytes(pack), undefined);
      assert.equal(await archive.getHeaders(pack), undefined);
      assert.equal(await archive.getIndex(pack), undefined);
      assert.deepEqual(await archive.listIndexes(pack.tenantId, pack.studyInstanceUID), []);
    });

    it('gives headers back in their order, whatever their text', async () => {
      const pack = aPack();
      const headers = ['Müller^Jürgen', '山田^太郎', 'line\nbreak', '\u2028'].map((name, index): InstanceHeader => ({
        sopInstanceUID: `1.2.${index}`, sopClassUID: '1.2', transferSyntaxUID: '1.2.840.10008.1.2.1', offsetBytes: index, lengthBytes: 1,
        sha256: 'ab', header: { '00100010': { vr: 'PN', Value: [{ Alphabetic: name }] } },
      }));

      await archive.putHeaders(pack, headers);
      await archive.putHeaders(pack, headers);

      assert.deepEqual(await archive.getHeaders(pack), headers);
    });

    it('lets the first commit of a pack stand', async () => {
      const index = aPackIndex();
      const later = { ...index, committedAt: '2030-01-01T00:00:00.000Z' };

      const first = await archive.commitIndex(index);
      const second = await archive.commitIndex(later);

      assert.deepEqual([first, second, await archive.getIndex(index)], [index, index, index]);
    });

    it('lists the committed packs of one study of one tenant in commit order', async () => {
      const tenantId = aTenant();
      const studyInstanceUID = aUID();
      const at = (committedAt: string) => aPackIndex({ tenantId, studyInstanceUID, committedAt });
      const packs = [at('2024-05-03T00:00:00.000Z'), at('2024-05-01T00:00:00.000Z'), at('2024-05-02T00:00:00.000Z')];
      await Promise.all([...packs, aPackIndex({ tenantId }), aPackIndex({ studyInstanceUID }), aPackIndex({ tenantId, studyInstanceUID: `${studyInstanceUID}1` })]
        .map((index) => archive.commitIndex(index)));
      await archive.putPack(aPack(tenantId), fileOf(randomBytes(10)));

      const listed = await archive.listIndexes(tenantId, studyInstanceUID);

      assert.deepEqual(listed.map(({ committedAt }) => committedAt.slice(8, 10)), ['01', '02', '03']);
    });

    it('goes on with an upload where an interrupted one stopped', async () => {
      const pack = aPack();
      const bytes = randomBytes(40 * 1024 * 1024);
      const progress: { uploadId: string; partsDone: number }[] = [];
      const failing = { ...fileOf(bytes), read: async (offset: number, length: number) => {
        if (offset >= 32 * 1024 * 1024) throw new Error('the disk is away');
        return bytes.subarray(offset, offset + length);
      } };
      await assert.rejects(archive.putPack(pack, failing, { onProgress: (step) => progress.push({ ...step }) }));

      const again: number[] = [];
      const result = await archive.putPack(pack, fileOf(bytes), { resume: progress.at(-1), onProgress: ({ partsDone }) => again.push(partsDone) });

      assert.deepEqual(result, { existed: false });
      assert.deepEqual(again, [3]);
      assert.deepEqual(await buffer(await archive.readRange(pack, 0, bytes.length)), bytes);
    });

    it('begins anew when the upload to go on with is gone', async () => {
      const pack = aPack();

      const result = await archive.putPack(pack, fileOf(randomBytes(20 * 1024 * 1024)), { resume: { uploadId: 'gone', partsDone: 1 } });

      assert.deepEqual(result, { existed: false });
    });
  });
}
