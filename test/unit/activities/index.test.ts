import assert from 'node:assert/strict';
import { createChooseInstance } from '../../../activities/index/chooseInstance.ts';
import { createIndexStudy } from '../../../activities/index/indexStudy.ts';
import { createSettleStudy } from '../../../activities/index/settleStudy.ts';
import { createFindRoutes } from '../../../activities/route/findRoutes.ts';
import { buildStudyDocuments, resolveStudy } from '../../../domain/documents.ts';
import type { PackIndex } from '../../../domain/pack.ts';
import type { ChooseCurrentInput } from '../../../workflows/contracts.ts';
import { MemoryArchive, MemoryAuditLog, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { MemoryStudyIndex } from '../../../stores/memory/memoryStudyIndex.ts';
import type { ArchiveStore, StudyIndex } from '../../../stores/ports.ts';
import { aPackIndex, aTenant, aUID } from '../../support/aStudy.ts';
import { everyCrash, run, unsettled } from './support.ts';

describe('indexStudy', () => {
  const tenantId = aTenant();
  const studyInstanceUID = aUID();
  const packs = [1, 2, 3].map((hour) => aPackIndex({ tenantId, studyInstanceUID, committedAt: `2024-05-01T0${hour}:00:00.000Z`, attributes: { Modality: 'CT' } }));
  const archived = async (count = packs.length): Promise<MemoryArchive> => {
    const archive = new MemoryArchive();
    for (const pack of packs.slice(0, count)) await archive.commitIndex(pack);
    return archive;
  };
  const study = { tenantId, studyInstanceUID };

  it('ends alike wherever it is interrupted', async () => {
    const calls = await everyCrash(() => {
      const index = new MemoryStudyIndex();
      return { run: async (crash) => run(createIndexStudy({ ...unsettled(), archive: crash.wrap<ArchiveStore>(await archived()), index: crash.wrap<StudyIndex>(index) }), study), end: () => index.documents };
    }, (end, whole, at) => assert.deepEqual(end, whole, at));

    assert.equal(calls, 3);
  });

  it('gives the same documents pack by pack as from all at once', async () => {
    const [bit, whole] = [new MemoryStudyIndex(), new MemoryStudyIndex()];

    for (let count = 1; count <= packs.length; count++) {
      await run(createIndexStudy({ ...unsettled(), archive: await archived(count), index: bit }), { ...study, packIds: [packs[count - 1]!.packId] });
    }
    const result = await run(createIndexStudy({ ...unsettled(), archive: await archived(), index: whole }), study);

    assert.deepEqual(result, { packCount: 3, seriesCount: 3, instanceCount: 3, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 });
    const attributesOf = (index: MemoryStudyIndex) => Object.values(index.documents).map((level) => [...level].map(([id, { attributes, location }]) => ({ id, attributes, location })).toSorted((a, b) => (a.id < b.id ? -1 : 1)));
    assert.deepEqual(attributesOf(bit), attributesOf(whole));
  });

  it('changes nothing when it was overtaken', async () => {
    const index = new MemoryStudyIndex();
    await run(createIndexStudy({ ...unsettled(), archive: await archived(3), index }), study);
    const before = structuredClone(index.documents);

    await run(createIndexStudy({ ...unsettled(), archive: await archived(1), index }), study);

    assert.deepEqual(index.documents, before);
  });

  it('writes no document of a study that is not there or has nothing to show', async () => {
    const index = new MemoryStudyIndex();
    const archive = new MemoryArchive();
    const [pack] = packs as [typeof packs[0] & object];
    const none = await run(createIndexStudy({ ...unsettled(), archive, index }), study);
    await archive.commitIndex({ ...pack, instances: pack.instances.map((instance) => ({ ...instance, verdict: 'quarantined', reason: 'bad', attributes: {} })) });

    const bad = await run(createIndexStudy({ ...unsettled(), archive, index }), study);

    assert.deepEqual([none.packCount, bad.packCount, bad.quarantinedCount, index.documents.studies.size], [0, 1, 1, 0]);
  });
});

describe('an instance that two studies committed', () => {
  const tenantId = aTenant();
  const sopInstanceUID = aUID();
  const [first, later] = [1, 2].map((hour) => aPackIndex({ tenantId, committedAt: `2024-05-01T0${hour}:00:00.000Z`, instances: [{ sopInstanceUID, content: `${hour}` }, {}] })) as [PackIndex, PackIndex];
  const world = () => {
    const [archive, index, audit] = [new MemoryArchive(), new MemoryStudyIndex(), new MemoryAuditLog()];
    const deps = { ...unsettled(), archive, index, audit, rewrite: async ({ studyInstanceUID }: { readonly studyInstanceUID: string }) => void await run(createIndexStudy(deps), { tenantId, studyInstanceUID }) };
    const commit = async () => { for (const pack of [first, later]) await archive.commitIndex(pack); };
    const holders = async () => (await index.findHolders(tenantId, [sopInstanceUID], 'everything')).map(({ studyInstanceUID }) => studyInstanceUID);
    return { archive, audit, deps, commit, holders, index: ({ studyInstanceUID, packId }: PackIndex) => run(createIndexStudy(deps), { tenantId, studyInstanceUID, packIds: [packId] }) };
  };

  it('stays with the first commit, whichever is indexed first, and is a conflict in the other', async () => {
    for (const order of [[first, later], [later, first]] as const) {
      const { archive, audit, commit, holders, index } = world();
      await commit();

      const [, second] = [await index(order[0]), await index(order[1])];

      assert.deepEqual(await holders(), [first.studyInstanceUID]);
      assert.equal(second.conflictCount, order[1] === later ? 1 : 0);
      assert.deepEqual(resolveStudy(await archive.listIndexes(tenantId, later.studyInstanceUID)).setAside.map(({ verdict, reason }) => [verdict, reason]),
        [['conflict', `This SOP Instance UID was archived before in study ${first.studyInstanceUID}; the first stays current.`]]);
      assert.deepEqual([...audit.events.values()].map(({ action, actor, studyInstanceUID }) => [action, actor, studyInstanceUID]), [['instance.conflict', 'flow', later.studyInstanceUID]]);
    }
  });

  it('is settled when both were indexed before either could see the other', async () => {
    const { archive, deps, commit, holders, index } = world();
    await commit();
    for (const { studyInstanceUID } of [first, later]) await deps.index.write(buildStudyDocuments(await archive.listIndexes(tenantId, studyInstanceUID)), 1);
    assert.equal((await holders()).length, 2);

    const yielded = [];
    for (const { studyInstanceUID } of [first, later, first]) yielded.push((await run(createSettleStudy(deps), { tenantId, studyInstanceUID })).yieldedCount);

    assert.deepEqual(yielded, [0, 0, 0], 'the first had the other write itself again');
    assert.deepEqual(await holders(), [first.studyInstanceUID]);
    assert.deepEqual((await index(later)).conflictCount, 1);
  });

  it('ends alike wherever settling is interrupted', async () => {
    await everyCrash(() => {
      const { archive, audit, deps, commit } = world();
      return {
        run: async (crash) => {
          await commit();
          for (const { studyInstanceUID, packId } of [first, later]) {
            await run(createIndexStudy({ ...deps, archive: crash.wrap<ArchiveStore>(archive), index: crash.wrap<StudyIndex>(deps.index), audit: crash.wrap(audit) }), { tenantId, studyInstanceUID, packIds: [packId] });
          }
        },
        end: () => ({ choices: archive.choices, documents: deps.index.documents, events: [...audit.events.keys()] }),
      };
    }, (end, whole, at) => assert.deepEqual(end, whole, at));
  });
});

describe('chooseInstance', () => {
  const tenantId = aTenant();
  const sopInstanceUID = aUID();
  const packs = [1, 2].map((hour) => aPackIndex({ tenantId, committedAt: `2024-05-01T0${hour}:00:00.000Z`, instances: [{ sopInstanceUID, content: `${hour}` }] }));
  const [holder, chosen] = packs as [PackIndex, PackIndex];
  const choice = ({ studyInstanceUID, packId, instances }: PackIndex): ChooseCurrentInput =>
    ({ tenantId, studyInstanceUID, sopInstanceUID, packId, sha256: instances[0]!.sha256, by: 'Ada', why: 'right patient', at: '2024-05-01T05:00:00.000Z', flowId: `${tenantId}/choice/${studyInstanceUID}/1` });
  /** Two studies hold the instance; what is chosen is written, and each study's documents follow. */
  const world = () => {
    const [archive, index, audit] = [new MemoryArchive(), new MemoryStudyIndex(), new MemoryAuditLog()];
    const write = (pack: PackIndex) => run(createIndexStudy({ ...unsettled(), archive, index }), { tenantId, studyInstanceUID: pack.studyInstanceUID });
    return { archive, index, audit, write, commit: async () => {
      for (const pack of packs) await archive.commitIndex(pack);
      for (const pack of packs) await write(pack);
    } };
  };

  it('gives an instance to one study and takes it from the other; chosen again, it goes back', async () => {
    const { archive, index, audit, write, commit } = world();
    await commit();
    const choose = createChooseInstance({ archive, index, audit });
    const currentIn = async () => {
      for (const pack of packs) await write(pack);
      return (await index.findHolders(tenantId, [sopInstanceUID], 'everything')).map(({ studyInstanceUID }) => studyInstanceUID);
    };

    assert.deepEqual(await run(choose, choice(chosen)), [holder.studyInstanceUID, chosen.studyInstanceUID]);
    assert.deepEqual(await currentIn(), [chosen.studyInstanceUID]);
    assert.equal(await index.version(tenantId, holder.studyInstanceUID), 0, 'a study without instances has no document');
    await run(choose, choice(holder));
    assert.deepEqual(await currentIn(), [holder.studyInstanceUID]);
    assert.deepEqual([...audit.events.values()].map(({ action, actor, detail }) => [action, actor, detail]), Array.from({ length: 4 }, () => ['conflict.decided', 'Ada', 'right patient']));
  });

  it('ends alike wherever it is interrupted', async () => {
    await everyCrash(() => {
      const { archive, index, audit, commit } = world();
      let committed: Promise<void> | undefined;
      return {
        run: async (crash) => {
          await (committed ??= commit());
          await run(createChooseInstance({ archive: crash.wrap<ArchiveStore>(archive), index: crash.wrap<StudyIndex>(index), audit: crash.wrap(audit) }), choice(chosen));
        },
        end: () => ({ choices: archive.choices, events: audit.events }),
      };
    }, (end, whole, at) => assert.deepEqual(end, whole, at));
  });
});

describe('findRoutes', () => {
  it('plans by the tenant\'s rules as they are now, and reads only', async () => {
    const tenantId = aTenant();
    const pack = aPackIndex({ tenantId, attributes: { Modality: 'CT' } });
    const { studyInstanceUID } = pack;
    const archive = new MemoryArchive();
    const tenants = new MemoryTenantStore();
    const find = () => run(createFindRoutes({ archive, tenants }), { tenantId, studyInstanceUID });
    const found = [await find()];
    await tenants.put({ tenantId, gateways: [], destinations: [{ kind: 'dicomweb', destinationId: 'web', url: 'http://127.0.0.1/dicom-web' }],
      rules: [{ ruleId: 'ct', destinationId: 'web', attributes: { Modality: 'C?' } }] }, undefined);

    found.push(await find());
    await archive.commitIndex(pack);
    found.push(await find());

    assert.deepEqual(found, [[], [], [{ ruleId: 'ct', destinationId: 'web', priority: 2 }]]);
  });
});
