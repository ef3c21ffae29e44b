import assert from 'node:assert/strict';
import { createReleasePack } from '../../../activities/edge/releasePack.ts';
import { createSetAsidePack } from '../../../activities/edge/setAsidePack.ts';
import { createStagePack } from '../../../activities/edge/stagePack.ts';
import { createArchivePack } from '../../../activities/ingest/archivePack.ts';
import { createValidatePack } from '../../../activities/ingest/validatePack.ts';
import { createRecordAudit } from '../../../activities/recordAudit.ts';
import { MemoryArchive, MemoryAuditLog } from '../../../stores/memory/memoryStores.ts';
import type { ArchiveStore, PackSpool } from '../../../stores/ports.ts';
import { aUID } from '../../support/aStudy.ts';
import { aPack, CrashPoint, everyCrash, MemorySpool, run, runAs, type APack } from './support.ts';

/** One cloud, and clocks that stand still unless told. */
function aCloud() {
  const archive = new MemoryArchive();
  const audit = new MemoryAuditLog();
  let at = Date.parse('2024-05-01T12:00:00.000Z');
  const now = () => new Date(at);
  return {
    archive, audit, now, later: (ms: number) => (at += ms),
    stage: async ({ pack, headers, bytes }: APack) => {
      await archive.putPack(pack, { lengthBytes: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length), close: async () => undefined });
      await archive.putHeaders(pack, headers);
    },
    archivePack: (crash = new CrashPoint()) => createArchivePack({ archive: crash.wrap<ArchiveStore>(archive), audit: crash.wrap(audit), now }),
  };
}

describe('validatePack', () => {
  it('counts what is bad and names the rules, whenever it runs', async () => {
    const cloud = aCloud();
    const given = aPack({ instances: [{}, { header: {} }, { header: {} }] });
    await cloud.stage(given);
    const validatePack = createValidatePack(cloud);

    const verdicts = [await run(validatePack, given.pack), await run(validatePack, given.pack)];

    assert.deepEqual(verdicts, Array(2).fill({ acceptedCount: 1, quarantinedCount: 2, rules: ['uids-match'] }));
  });

  it('gives up on a pack whose headers are missing or of another number', async () => {
    const cloud = aCloud();
    const given = aPack();

    await assert.rejects(run(createValidatePack(cloud), given.pack), { type: 'PackUnstaged', nonRetryable: true });
    await cloud.stage(given);
    await assert.rejects(run(createValidatePack(cloud), { ...given.pack, instanceCount: 3 }), { type: 'PackCorrupt', nonRetryable: true });
  });
});

describe('archivePack', () => {
  it('ends alike wherever it is interrupted: one commit, one set of events', async () => {
    const given = aPack({ instances: [{}, { header: {} }] });

    const calls = await everyCrash(() => {
      const cloud = aCloud();
      return {
        run: async (crash) => {
          await cloud.stage(given);
          cloud.later(1_000);
          await run(cloud.archivePack(crash), given.pack, given.origin);
        },
        end: () => ({ verdicts: [...cloud.archive.indexes.values()].map(({ instances }) => instances.map(({ verdict }) => verdict)), events: [...cloud.audit.events.keys()].toSorted() }),
      };
    }, (end, whole, at) => assert.deepEqual(end, whole, at));

    assert.ok(calls >= 6);
  });

  it('answers as the first commit did, whatever the clock says by then', async () => {
    const cloud = aCloud();
    const given = aPack();
    await cloud.stage(given);

    const first = await run(cloud.archivePack(), given.pack, given.origin);
    cloud.later(-3_600_000);
    const second = await run(cloud.archivePack(), given.pack, given.origin);

    assert.deepEqual(second, first);
    assert.equal([...cloud.archive.indexes.values()][0]!.committedAt, '2024-05-01T12:00:00.000Z');
  });

  it('commits nothing of a resend, whether packed as before or otherwise', async () => {
    const cloud = aCloud();
    const first = aPack();
    const { tenantId, studyInstanceUID, seriesInstanceUID } = first.pack;
    const same = { ...first, origin: { ...first.origin, associationId: 'again' } };
    const half = aPack({ tenantId, studyInstanceUID, seriesInstanceUID, instances: [{ sopInstanceUID: first.instances[0]!.sopInstanceUID, bytes: first.bytes.subarray(0, 1_000) }] });
    for (const pack of [first, half]) await cloud.stage(pack);
    await run(cloud.archivePack(), first.pack, first.origin);

    const results = [await run(cloud.archivePack(), same.pack, same.origin), await run(cloud.archivePack(), half.pack, half.origin), await run(cloud.archivePack(), half.pack, half.origin)];

    assert.deepEqual(results.map(({ committed, outcome }) => [committed, outcome.duplicateCount, outcome.acceptedCount]), [[true, 2, 0], [false, 1, 0], [false, 1, 0]]);
    assert.equal(cloud.archive.indexes.size, 1);
  });

  it('keeps other bytes under a known UID beside the first, as conflicts: in the series, in another series; what other studies hold is not asked here', async () => {
    const cloud = aCloud();
    const sopInstanceUID = aUID();
    const first = aPack({ instances: [{ sopInstanceUID }] });
    const { tenantId, studyInstanceUID, seriesInstanceUID } = first.pack;
    await cloud.stage(first);
    await run(cloud.archivePack(), first.pack, first.origin);

    const places = [{ studyInstanceUID, seriesInstanceUID }, { studyInstanceUID }, {}];
    const found = [];
    for (const place of places) {
      const other = aPack({ tenantId, ...place, instances: [{ sopInstanceUID }] });
      await cloud.stage(other);
      const { outcome } = await run(cloud.archivePack(), other.pack, other.origin);
      const [instance] = (await cloud.archive.getIndex(other.pack))!.instances;
      found.push([outcome.conflictCount, instance!.verdict, instance!.conflictsWith]);
    }

    assert.deepEqual(found, [[1, 'conflict', undefined], [1, 'conflict', { studyInstanceUID, seriesInstanceUID }], [0, 'accepted', undefined]]);
  });

  it('judges two instances of one UID in one pack', async () => {
    const cloud = aCloud();
    const sopInstanceUID = aUID();
    const bytes = Buffer.alloc(1_000, 1);
    const given = aPack({ instances: [{ sopInstanceUID, bytes }, { sopInstanceUID, bytes }, { sopInstanceUID }] });
    await cloud.stage(given);

    const { outcome } = await run(cloud.archivePack(), given.pack, given.origin);

    assert.deepEqual(outcome, { acceptedCount: 1, quarantinedCount: 0, duplicateCount: 1, conflictCount: 1 });
  });

  it('accepts good bytes after bad ones were quarantined under the same UID', async () => {
    const cloud = aCloud();
    const sopInstanceUID = aUID();
    const bad = aPack({ instances: [{ sopInstanceUID, header: {} }] });
    const { tenantId, studyInstanceUID, seriesInstanceUID } = bad.pack;
    const good = aPack({ tenantId, studyInstanceUID, seriesInstanceUID, instances: [{ sopInstanceUID }] });
    for (const pack of [bad, good]) await cloud.stage(pack);

    await run(cloud.archivePack(), bad.pack, bad.origin);
    const { outcome } = await run(cloud.archivePack(), good.pack, good.origin);

    assert.equal(outcome.acceptedCount, 1);
  });

  it('gives up when the archive has another length, and says nothing of the patient', async () => {
    const cloud = aCloud();
    const given = aPack();
    await cloud.stage(given);

    await assert.rejects(run(cloud.archivePack(), { ...given.pack, lengthBytes: 1 }, given.origin), (error: Error & { type?: string }) =>
      error.type === 'PackCorrupt' && !error.message.includes('Secret'));
    assert.equal(cloud.archive.indexes.size, 0);
    assert.ok(!JSON.stringify([...cloud.audit.events]).includes('Secret'));
  });
});

describe('releasePack', () => {
  it('lets the disk forget a pack, once or twice', async () => {
    const given = aPack();
    const spool = new MemorySpool(given);
    const releasePack = createReleasePack({ spool });

    await run(releasePack, given.pack);
    await run(releasePack, given.pack);

    assert.equal(spool.packs.size, 0);
  });
});

describe('setAsidePack', () => {
  it('ends alike run once, twice and wherever it is interrupted', async () => {
    const given = aPack();
    const why = { kind: 'skip', by: 'Ada', why: 'sent again', at: '2024-05-01T10:00:00.000Z' } as const;

    const calls = await everyCrash(() => {
      const spool = new MemorySpool(given);
      return { run: (crash) => run(createSetAsidePack({ spool: crash.wrap<PackSpool>(spool) }), given.pack, why), end: () => [...spool.aside] };
    }, (end, whole) => assert.deepEqual(end, whole));

    assert.equal(calls, 1);
  });
});

describe('recordAudit', () => {
  it('writes an event once', async () => {
    const audit = new MemoryAuditLog();
    const event = { tenantId: 't', eventId: 'run-1-parked', at: '2024-05-01T10:00:00.000Z', action: 'flow.parked', actor: 'flow' } as const;

    for (let times = 0; times < 2; times++) await run(createRecordAudit({ audit }), [event]);

    assert.deepEqual([...audit.events.values()], [event]);
  });
});

describe('stagePack', () => {
  const stagePack = (spool: MemorySpool, archive: ArchiveStore, headers: APack['headers']) =>
    createStagePack({ spool, archive, async *readHeaders() {
      yield* headers;
    } });

  it('ends alike wherever it is interrupted, and closes the file each time', async () => {
    const given = aPack();
    const spool = new MemorySpool(given);

    const calls = await everyCrash(() => {
      const archive = new MemoryArchive();
      return {
        run: (crash) => run(stagePack(spool, crash.wrap<ArchiveStore>(archive), given.headers), given.pack),
        end: () => ({ packs: archive.packs, headers: archive.headers }),
      };
    }, (end, whole, at) => assert.deepEqual(end, whole, at));

    assert.equal(calls, 2);
    assert.equal(spool.openFiles, 0);
  });

  it('resumes after the last part its heartbeat named', async () => {
    const given = aPack({ instances: Array.from({ length: 10 }, () => ({})) });
    const spool = new MemorySpool(given);
    const archive = new MemoryArchive({ partBytes: 1_000 });
    const beats: unknown[] = [];
    const cut = new MemoryArchive({ partBytes: 1_000 });
    cut.putPack = (pack, file, options) => archive.putPack(pack, { ...file, read: async (offset, length) => {
      if (offset === 7_000) throw new Error('connection reset');
      return file.read(offset, length);
    } }, { ...options, onProgress: (progress) => {
      beats.push(progress);
      options?.onProgress?.(progress);
    } });
    await assert.rejects(run(stagePack(spool, cut, given.headers), given.pack), /connection reset/);

    await runAs({ attempt: 2, heartbeatDetails: beats.at(-1) }, stagePack(spool, archive, given.headers), given.pack);

    assert.equal(archive.partsWritten, 10);
    assert.deepEqual([...archive.packs.values()], [given.bytes]);
    assert.equal(spool.openFiles, 0);
  });

  it('answers from the archive when the disk forgot the pack, and gives up when neither has it', async () => {
    const given = aPack();
    const spool = new MemorySpool(given);
    const archive = new MemoryArchive();
    await assert.rejects(run(stagePack(new MemorySpool(), archive, given.headers), given.pack), { type: 'SpoolMissing', nonRetryable: true });
    const staged = await run(stagePack(spool, archive, given.headers), given.pack);

    await spool.release(given.pack);

    assert.deepEqual(await run(stagePack(spool, archive, given.headers), given.pack), staged);
  });

  it('gives up on a disk that has not what was closed, and on an archive that has other bytes', async () => {
    const given = aPack();
    const broken = new MemorySpool(given);
    broken.open = async () => {
      throw Object.assign(new Error('The pack on disk has not the length that its journal says.'), { name: 'PackUnreadable' });
    };
    const archive = new MemoryArchive();
    await archive.putPack(given.pack, { lengthBytes: 3, read: async () => Buffer.from('abc'), close: async () => undefined });

    await assert.rejects(run(stagePack(broken, archive, given.headers), given.pack), { type: 'SpoolUnreadable', nonRetryable: true });
    await assert.rejects(run(stagePack(new MemorySpool(given), archive, given.headers), given.pack), { type: 'PackCorrupt', nonRetryable: true });
  });
});
