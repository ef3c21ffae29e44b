import assert from 'node:assert/strict';
import { indexNames } from '../../domain/keys.ts';
import { MemoryStudyIndex } from '../../stores/memory/memoryStudyIndex.ts';
import type { OpenSearchClient } from '../../stores/opensearch/openSearch.ts';
import type { QueryLevel, StudyIndex } from '../../stores/ports.ts';
import { createStudyIndex } from '../../stores/opensearch/studyIndex.ts';
import { aStudy, aTenant, aUID } from '../support/aStudy.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { studyIndexSuite } from './studyIndex.suite.ts';

studyIndexSuite('memory', async () => new MemoryStudyIndex());
studyIndexSuite('OpenSearch', async (context) => createStudyIndex({ client: (await sharedStores(context)).client, refresh: true }));

describe('StudyIndex on a real OpenSearch server', () => {
  let client: OpenSearchClient;
  let index: StudyIndex;
  before(async function start() {
    ({ client } = await sharedStores(this));
    index = createStudyIndex({ client, refresh: true });
  });
  const many = (count: number) => Array.from({ length: count }, (_, number) => ({ sopInstanceUID: `1.2.3.${number}`, attributes: { InstanceNumber: number } }));

  it('pages through and locates more instances than one request may give', async function test() {
    this.timeout(120_000);
    const tenantId = aTenant();
    const study = aStudy(tenantId, { instances: many(12_345) });
    await index.write(study, 1);
    const numbers = async (limit: number, offset: number) => {
      const { matches, total } = await index.search({ tenantId, level: 'instances', match: [], limit, offset });
      assert.equal(total, 12_345);
      return matches.map((attributes) => attributes['00200013']?.Value?.[0]);
    };

    assert.deepEqual(await numbers(3, 9_999), [9_999, 10_000, 10_001]);
    assert.deepEqual(await numbers(10, 12_343), [12_343, 12_344]);
    assert.deepEqual(await numbers(10, 20_000), []);
    assert.equal((await numbers(2_500, 9_000)).length, 2_500);
    const located = await Array.fromAsync(index.locate(tenantId, { studyInstanceUID: study.studyInstanceUID }));
    assert.deepEqual(located.map(({ sopInstanceUID }) => sopInstanceUID), many(12_345).map(({ sopInstanceUID }) => sopInstanceUID));
  });

  it('shows version and place of what was written before any refresh', async () => {
    const unrefreshed = createStudyIndex({ client });
    const tenantId = aTenant();
    const sopInstanceUID = aUID();
    const study = aStudy(tenantId, { instances: [{ sopInstanceUID }] });

    await unrefreshed.write(study, 7, 'apart');

    assert.equal(await unrefreshed.version(tenantId, study.studyInstanceUID), 7);
    assert.equal((await Array.fromAsync(unrefreshed.locate(tenantId, { studyInstanceUID: study.studyInstanceUID, sopInstanceUID }))).length, 1);
  });

  it('locates every instance of a study as soon as it is written, though the indices refresh later', async () => {
    const unrefreshed = createStudyIndex({ client });
    const tenantId = aTenant();
    const study = aStudy(tenantId, { instances: [{}, {}, {}] });

    await unrefreshed.write(study, 1, 'apart');

    assert.equal((await Array.fromAsync(unrefreshed.locate(tenantId, { studyInstanceUID: study.studyInstanceUID }))).length, 3);
  });

  it('finds what was written within two seconds without being told to refresh', async () => {
    const tenantId = aTenant();
    await createStudyIndex({ client }).write(aStudy(tenantId), 1);
    const until = Date.now() + 2_000;

    let total = 0;
    while (total === 0 && Date.now() < until) ({ total } = await index.search({ tenantId, level: 'studies', match: [], limit: 1, offset: 0 }));

    assert.equal(total, 1);
  });

  it('never finds a study whose series and instances are not found yet, at its first write and at later ones', async function test() {
    this.timeout(60_000);
    const unrefreshed = createStudyIndex({ client });
    const tenantId = aTenant();
    const counted = async (level: QueryLevel) => (await index.search({ tenantId, level, match: [], limit: 0, offset: 0 })).total;
    const promised = async () => (await index.search({ tenantId, level: 'studies', match: [], limit: 100, offset: 0 })).matches
      .map((study) => [study['00201206'], study['00201208']].map((attribute) => Number(attribute?.Value?.[0])))
      .reduce(([series, instances], [moreSeries, moreInstances]) => [series! + moreSeries!, instances! + moreInstances!], [0, 0]);
    const studies = Array.from({ length: 8 }, () => aUID());
    const written = Promise.all(studies.map(async (studyInstanceUID, at) => {
      await new Promise((resolve) => setTimeout(resolve, at * 170));
      const first = { studyInstanceUID, instances: [{}, {}] };
      await unrefreshed.write(aStudy(tenantId, first), 1);
      await unrefreshed.write(aStudy(tenantId, first, { studyInstanceUID, instances: [{}] }), 2);
    }));

    const missing: string[] = [];
    let looking = true;
    for (const end = written.then(() => new Promise((resolve) => setTimeout(resolve, 1_500))).finally(() => { looking = false; }); looking; ) {
      const [series, instances] = await promised();
      const found = [await counted('series'), await counted('instances')];
      if (found[0]! < series! || found[1]! < instances!) missing.push(`${series} series and ${instances} instances promised, ${found.join(' and ')} found`);
      if (!looking) await end;
    }

    assert.deepEqual(missing, []);
    assert.deepEqual(await promised(), [16, 24]);
  });

  it('adds no field to the index, whatever a data set holds', async () => {
    const fields = async () => JSON.stringify((await client.indices.getMapping({ index: indexNames.series })).body);
    const before = await fields();
    const items = Array.from({ length: 200 }, (_, number) => ({ [`0040${number.toString(16).toUpperCase().padStart(4, '0')}`]: { vr: 'LO', Value: [`v${number}`] } }));

    await index.write(aStudy(aTenant(), { attributes: { RequestAttributesSequence: items, SeriesDescription: 'x'.repeat(100_000), SeriesNumber: '1e400' } }), 1);

    assert.equal(await fields(), before);
  });

  it('refuses wild cards that the server gives up on, and the server lives on', async () => {
    const search = (value: string) => index.search({ tenantId: aTenant(), level: 'studies', match: [{ path: ['00100020'], values: [value] }], limit: 1, offset: 0 });

    await assert.rejects(search(`*1${'?'.repeat(24)}`), { name: 'UnsupportedMatch' });
    await assert.rejects(search('a*'.repeat(2_000)), { name: 'UnsupportedMatch' });
    assert.equal((await search(`${'*?'.repeat(100)}${'*'.repeat(9_000)}x`)).total, 0);
    assert.equal((await search(`${'x'.repeat(50_000)}`)).total, 0);
  });

  it('throws when a document is not taken', async () => {
    const study = aStudy(aTenant(), { seriesInstanceUID: '1'.repeat(600) });

    await assert.rejects(index.write(study, 1), { name: 'StoreError', tenantId: study.tenantId });
  });
});
