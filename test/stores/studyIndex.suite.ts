import assert from 'node:assert/strict';
import type { MatchOptions } from '../../dicom/matching.ts';
import { parseAttributeId } from '../../dicom/tags.ts';
import { textOf } from '../../domain/indexedAttributes.ts';
import type { QueryLevel, StudyIndex } from '../../stores/ports.ts';
import { aStudy, aTenant, aUID, type PackOptions } from '../support/aStudy.ts';

type Match = Readonly<Record<string, string | readonly string[]>>;

/** What every StudyIndex does. The index must show what it was given before `write` returns. */
export function studyIndexSuite(name: string, make: (context: Mocha.Context) => Promise<StudyIndex>): void {
  describe(`StudyIndex: ${name}`, () => {
    let index: StudyIndex;
    before(async function start() { index = await make(this); });
    writingSuite(() => index);
    matchingSuite(() => index);
    pagingSuite(() => index);
    locatingSuite(() => index);
  });
}

const keys = (match: Match) => Object.entries(match).map(([id, value]) => ({ path: parseAttributeId(id)!, values: typeof value === 'string' ? [value] : value }));

/** StudyIDs of what a search finds, sorted: each study of these tests is known by its StudyID. */
async function found(index: StudyIndex, tenantId: string, match: Match, level: QueryLevel = 'studies', options: MatchOptions = {}): Promise<readonly string[]> {
  const { matches, total } = await index.search({ tenantId, level, match: keys(match), options, limit: 100, offset: 0 });
  assert.equal(total, matches.length);
  return matches.map((attributes) => textOf(attributes, '00200010') ?? '').sort();
}

async function write(index: StudyIndex, tenantId: string, studies: Readonly<Record<string, PackOptions['attributes']>>): Promise<void> {
  await Promise.all(Object.entries(studies).map(([StudyID, attributes]) => index.write(aStudy(tenantId, { attributes: { StudyID, ...attributes } }), 1)));
}

function writingSuite(index: () => StudyIndex): void {
  it('forgets one tenant and takes the same documents again at the same version', async () => {
    const [tenantId, other] = [aTenant(), aTenant()];
    const study = aStudy(tenantId, { attributes: { StudyID: 'A' } });
    await index().write(study, 3);
    await write(index(), other, { B: {} });

    const removed = await index().forgetTenant(tenantId);

    assert.equal(removed, 2 + study.instances.length);
    assert.deepEqual([await found(index(), tenantId, {}), await found(index(), other, {})], [[], ['B']]);
    await index().write(study, 3);
    assert.deepEqual(await found(index(), tenantId, {}), ['A']);
  });

  it('replaces the documents of one study and leaves none beside them, be it that none are left', async () => {
    const tenantId = aTenant();
    const studyInstanceUID = aUID();
    const [kept, gone] = [{ seriesInstanceUID: aUID() }, { seriesInstanceUID: aUID(), instances: [{}, {}] }];
    await index().write(aStudy(tenantId, { ...kept, studyInstanceUID }, gone), 2);
    await write(index(), tenantId, { B: {} });
    const left = aStudy(tenantId, { ...kept, studyInstanceUID, attributes: { StudyID: 'A' } });

    await index().replace(left, 3);

    assert.deepEqual(await found(index(), tenantId, {}), ['A', 'B']);
    for (const level of ['series', 'instances'] as const) assert.deepEqual(await found(index(), tenantId, {}, level), ['A', 'B']);
    const none = { ...left, series: [], instances: [], study: { ...left.study, summary: { ...left.study.summary, instanceCount: 0 } } };
    assert.deepEqual(await index().replace(none, 4), { removedCount: 3 });
    for (const level of ['studies', 'series', 'instances'] as const) assert.deepEqual(await found(index(), tenantId, {}, level), ['B']);
    assert.equal(await index().version(tenantId, studyInstanceUID), 0);
  });

  it('compares a study with its documents, lists the studies it has anything of, and forgets one', async () => {
    const tenantId = aTenant();
    const [first, second] = [aStudy(tenantId, { instances: [{}, {}] }), aStudy(tenantId)].toSorted((a, b) => (a.studyInstanceUID < b.studyInstanceUID ? -1 : 1));
    for (const study of [first!, second!]) await index().write(study, 2);
    const changed = { ...first!, instances: first!.instances.map((instance, at) => ({ ...instance, offsetBytes: instance.offsetBytes + at })) };
    const compare = (documents: typeof first, version = 2) => index().compare(tenantId, first!.studyInstanceUID, documents, version);

    assert.deepEqual(await compare(first), { missingCount: 0, staleCount: 0, foreignCount: 0 });
    assert.deepEqual(await compare(first, 3), { missingCount: 0, staleCount: 1, foreignCount: 0 });
    assert.deepEqual((await compare(changed)).staleCount, first!.instances.length - 1);
    assert.deepEqual(await compare({ ...first!, instances: [...first!.instances.slice(1), { ...first!.instances[0]!, sopInstanceUID: aUID() }] }), { missingCount: 1, staleCount: 0, foreignCount: 1 });
    assert.deepEqual((await compare(undefined)).foreignCount, 2 + first!.instances.length);
    const page = await index().listStudies(tenantId, { limit: 1 });
    assert.deepEqual([page.studyInstanceUIDs, (await index().listStudies(tenantId, { limit: 2, cursor: page.next })).studyInstanceUIDs], [[first!.studyInstanceUID], [second!.studyInstanceUID]]);
    await index().forgetStudy(tenantId, first!.studyInstanceUID);
    assert.deepEqual((await index().listStudies(tenantId, { limit: 9 })).studyInstanceUIDs, [second!.studyInstanceUID]);
  });

  it('names every study that holds an instance as current, the first commit first', async () => {
    const [tenantId, sopInstanceUID] = [aTenant(), aUID()];
    const [late, early] = ['2024-05-01T12:00:00.000Z', '2024-05-01T11:00:00.000Z'].map((committedAt) => aStudy(tenantId, { committedAt, instances: [{ sopInstanceUID }, {}] }));
    await index().write(late!, 1);
    await index().write(early!, 1);

    const holders = await index().findHolders(tenantId, [sopInstanceUID, aUID()], 'everything');

    assert.deepEqual(holders.map(({ studyInstanceUID }) => studyInstanceUID), [early!.studyInstanceUID, late!.studyInstanceUID]);
    assert.deepEqual(await index().findHolders(aTenant(), [sopInstanceUID], 'everything'), []);
  });

  it('drops an older write and takes an equal one', async () => {
    const tenantId = aTenant();
    const studyInstanceUID = aUID();
    const series = { studyInstanceUID, seriesInstanceUID: aUID(), instances: [{ sopInstanceUID: aUID() }] };
    const named = (StudyID: string) => aStudy(tenantId, { ...series, attributes: { StudyID } });

    await index().write(named('two'), 2);
    await index().write(named('one'), 1);
    await index().write(named('two'), 2);

    assert.equal(await index().version(tenantId, studyInstanceUID), 2);
    for (const level of ['studies', 'series', 'instances'] as const) assert.deepEqual(await found(index(), tenantId, {}, level), ['two']);
  });

  it('has version 0 of a study that it does not know', async () => {
    assert.equal(await index().version(aTenant(), aUID()), 0);
  });

  it('keeps instances that a later write does not give again', async () => {
    const tenantId = aTenant();
    const studyInstanceUID = aUID();
    const first = aStudy(tenantId, { studyInstanceUID, instances: [{}, {}] });
    const second = aStudy(tenantId, { studyInstanceUID, instances: [{}] });

    await index().write(first, 1);
    await index().write(second, 2);

    const located = await Array.fromAsync(index().locate(tenantId, { studyInstanceUID }));
    assert.equal(located.length, 3);
  });

  it('never shows one tenant what is another\'s', async () => {
    const [mine, theirs] = [aTenant(), aTenant()];
    const study = { studyInstanceUID: aUID(), seriesInstanceUID: aUID(), instances: [{ sopInstanceUID: aUID() }], attributes: { PatientID: 'P1' } };
    const { studyInstanceUID, seriesInstanceUID } = study;
    await index().write(aStudy(mine, study), 1);

    for (const level of ['studies', 'series', 'instances'] as const) {
      assert.equal((await index().search({ tenantId: theirs, level, match: keys({ PatientID: 'P1' }), limit: 10, offset: 0 })).total, 0);
      assert.equal((await index().search({ tenantId: theirs, level, studyInstanceUID, match: [], limit: 10, offset: 0 })).total, 0);
    }
    assert.deepEqual(await Array.fromAsync(index().locate(theirs, { studyInstanceUID, seriesInstanceUID })), []);
    assert.deepEqual(await Array.fromAsync(index().locate(theirs, { studyInstanceUID, sopInstanceUID: study.instances[0]!.sopInstanceUID })), []);
    assert.deepEqual(await index().findHolders(theirs, [study.instances[0]!.sopInstanceUID], 'everything'), []);
    assert.equal(await index().version(theirs, studyInstanceUID), 0);
  });
}

type Rows = readonly (readonly [match: Match, expected: readonly string[]])[];
const hostile = { a: '100%', b: '100x', c: '_1234', d: 'x1234', e: 'say "hi"', f: 'a\\b', g: 'a\\\\b', h: '(a|b)', i: '{"match_all":{}}', j: '<1-9>~#@&' };

const cases: Readonly<Record<string, { readonly studies: Readonly<Record<string, PackOptions['attributes']>>; readonly rows: Rows; readonly options?: MatchOptions }>> = {
  'compares text exactly, padding aside': {
    studies: { a: { PatientID: 'Ab 1' }, b: { PatientID: 'AB 1' }, c: { PatientID: ' Ab 1 ' }, d: { PatientID: '' }, e: {} },
    rows: [[{ PatientID: 'Ab 1' }, ['a', 'c']], [{ PatientID: 'Ab 1  ' }, ['a', 'c']], [{ PatientID: 'ab 1' }, []], [{ PatientID: 'Ab' }, []]],
  },
  'finds everything by empty keys and stars': {
    studies: { a: { PatientID: '1' }, b: {} },
    rows: [[{}, ['a', 'b']], [{ PatientID: '' }, ['a', 'b']], [{ PatientID: '*' }, ['a', 'b']], [{ PatientName: '**' }, ['a', 'b']], [{ PatientID: '?*' }, ['a']]],
  },
  'reads * and ? as wild cards': {
    studies: { a: { AccessionNumber: 'ACC-001' }, b: { AccessionNumber: 'ACC-01' }, c: { AccessionNumber: 'XACC-001' }, d: { AccessionNumber: 'ACC-😀1' } },
    rows: [[{ AccessionNumber: 'ACC-*' }, ['a', 'b', 'd']], [{ AccessionNumber: 'ACC-??' }, ['b', 'd']], [{ AccessionNumber: '*001' }, ['a', 'c']],
      [{ AccessionNumber: '*ACC*1' }, ['a', 'b', 'c', 'd']], [{ AccessionNumber: 'acc*' }, []],
      [{ AccessionNumber: `${'*'.repeat(5_000)}1` }, ['a', 'b', 'c', 'd']], [{ AccessionNumber: 'ACC-*?*?' }, ['a', 'b', 'd']]],
  },
  'takes characters of query languages as they are': {
    studies: Object.fromEntries(Object.entries(hostile).map(([id, PatientID]) => [id, { PatientID }])),
    rows: [...Object.entries(hostile).map(([id, PatientID]) => [{ PatientID }, [id]] as const),
      [{ PatientID: '_*' }, ['c']], [{ PatientID: '*%' }, ['a']], [{ PatientID: '*\\*' }, ['f', 'g']], [{ PatientID: 'a\\?b' }, ['g']], [{ PatientID: '*"' }, ['e']],
      [{ PatientID: '(?|?)' }, ['h']], [{ PatientID: '*~#@*' }, ['j']], [{ PatientID: '.*' }, []]],
  },
  'compares names without case and accents, group by group': {
    studies: { a: { PatientName: 'Müller^Jürgen^^' }, b: { PatientName: { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎', Phonetic: 'やまだ^たろう' } }, c: { PatientName: 'MULLER^J' }, d: { PatientName: { Alphabetic: 'Tarou^Yamada', Ideographic: '太郎^山田' } } },
    rows: [[{ PatientName: 'muller^jurgen' }, ['a']], [{ PatientName: 'MÜLLER*' }, ['a', 'c']], [{ PatientName: 'mull*^j*' }, ['a', 'c']], [{ PatientName: 'muller' }, []],
      [{ PatientName: '山田*' }, ['b']], [{ PatientName: '*=山田^*' }, ['b']], [{ PatientName: 'Yamada*=山田*=やまだ*' }, ['b']], [{ PatientName: 'tarou*=山田*' }, []], [{ PatientName: 'やまた*' }, []]],
  },
  'reads ranges of dates, ends included': {
    studies: { a: { StudyDate: '20240131' }, b: { StudyDate: '20240201' }, c: { StudyDate: '2024.02.02' }, d: { StudyDate: '' }, e: { StudyDate: 'unknown' } },
    rows: [[{ StudyDate: '20240131-20240201' }, ['a', 'b']], [{ StudyDate: '-20240131' }, ['a']], [{ StudyDate: '20240201-' }, ['b', 'c']], [{ StudyDate: '20240202' }, ['c']],
      [{ StudyDate: '20240301-20240101' }, []]],
  },
  'reads times of less precision as all that they cover': {
    studies: { a: { StudyTime: '095959.999' }, b: { StudyTime: '10' }, c: { StudyTime: '1030' }, d: { StudyTime: '105959.999999' }, e: { StudyTime: '11:00:00' } },
    rows: [[{ StudyTime: '10' }, ['b', 'c', 'd']], [{ StudyTime: '1000-1030' }, ['b', 'c']], [{ StudyTime: '-095959' }, ['a']], [{ StudyTime: '1059-' }, ['d', 'e']], [{ StudyTime: '105959' }, ['d']],
      [{ StudyTime: '2200-0200' }, []]],
  },
  'combines keys, and lists of values as alternatives': {
    studies: { a: { Modality: 'CT', PatientSex: 'F' }, b: { Modality: 'MR', PatientSex: 'F' }, c: { Modality: 'CR', PatientSex: 'M' } },
    rows: [[{ ModalitiesInStudy: 'CT' }, ['a']], [{ ModalitiesInStudy: ['CT', 'MR'] }, ['a', 'b']], [{ ModalitiesInStudy: 'C?' }, ['a', 'c']], [{ ModalitiesInStudy: 'C*', PatientSex: 'F' }, ['a']]],
  },
  'finds names by the starts of their words when matching is fuzzy': {
    options: { fuzzy: true },
    studies: { a: { PatientName: 'Müller-Lüdenscheidt^Jürgen Karl' }, b: { PatientName: { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' } }, c: { PatientName: 'Karlsson^Mull' }, d: {} },
    rows: [[{ PatientName: 'jurgen mull' }, ['a']], [{ PatientName: 'LUDEN' }, ['a']], [{ PatientName: 'karl' }, ['a', 'c']], [{ PatientName: 'karl*^müll*' }, ['a', 'c']], [{ PatientName: '太郎 Yamada' }, ['b']],
      [{ PatientName: 'uller' }, []], [{ PatientName: '*' }, ['a', 'b', 'c', 'd']], [{ PatientName: 'mull.*' }, ['a', 'c']]],
  },
  'finds what has no value when that is asked for': {
    options: { emptyValue: true },
    studies: { a: { PatientID: 'P1', PatientName: 'Doe' }, b: { PatientID: '', StudyDate: '20240101' }, c: { PatientName: { Alphabetic: '', Ideographic: '山田' } } },
    rows: [[{ PatientID: '""' }, ['b', 'c']], [{ PatientName: '""' }, ['b']], [{ StudyDate: '""' }, ['a', 'c']], [{ PatientID: '""', StudyDate: '20240101' }, ['b']], [{ PatientID: 'P1' }, ['a']], [{ PatientID: ['""', 'P1'] }, ['a', 'b', 'c']]],
  },
  'takes two quotes as they are unless empty values are asked for': {
    studies: { a: { PatientID: '""' }, b: {} }, rows: [[{ PatientID: '""' }, ['a']]],
  },
  'wants all values of a list when that is asked for, and any UID of one': {
    options: { multipleValue: true },
    studies: { a: { OtherPatientNames: ['Roe^R', 'Poe^P'] }, b: { OtherPatientNames: ['Roe^R'] } },
    rows: [[{ OtherPatientNames: ['Roe*', 'Poe*'] }, ['a']], [{ OtherPatientNames: ['Roe*'] }, ['a', 'b']], [{ StudyInstanceUID: ['1.2.3', '1.2.4'] }, []]],
  },
  'reads a date and its time as one instant when that is asked for': {
    options: { combinedDateTime: true },
    studies: {
      a: { StudyDate: '20240131', StudyTime: '0959' }, b: { StudyDate: '20240131', StudyTime: '10' }, c: { StudyDate: '20240201', StudyTime: '2359' }, d: { StudyDate: '20240210', StudyTime: '08' },
      e: { StudyDate: '20240210', StudyTime: '0801' }, f: { StudyDate: '20240205' }, g: { StudyDate: '20240130', StudyTime: '2359' },
    },
    rows: [[{ StudyDate: '20240131-20240210', StudyTime: '10-0800' }, ['b', 'c', 'd']], [{ StudyDate: '20240131', StudyTime: '0900-0959' }, ['a']], [{ StudyDate: '20240210-', StudyTime: '0801-' }, ['e']],
      [{ StudyDate: '-20240131', StudyTime: '-0959' }, ['a', 'g']], [{ StudyDate: '20240201-20240210' }, ['c', 'd', 'e', 'f']], [{ StudyTime: '08' }, ['d', 'e']], [{ StudyDate: '20240131-20240210', StudyTime: '2300-0100' }, ['c']]],
  },
  'compares numbers as numbers': {
    studies: { a: { PatientWeight: '070.50' }, b: { PatientWeight: 70 } },
    rows: [[{ PatientWeight: '70.5' }, ['a']], [{ PatientWeight: '7.0e1' }, ['b']], [{ NumberOfStudyRelatedInstances: '1' }, ['a', 'b']], [{ NumberOfStudyRelatedSeries: '2' }, []]],
  },
};

function matchingSuite(index: () => StudyIndex): void {
  for (const [title, { studies, rows, options }] of Object.entries(cases)) {
    it(title, async () => {
      const tenantId = aTenant();
      await write(index(), tenantId, studies);

      const results = await Promise.all(rows.map(async ([match]) => [match, await found(index(), tenantId, match, 'studies', options)]));

      assert.deepEqual(results, rows);
    });
  }

  it('wants all keys of a sequence to match in one item', async () => {
    const tenantId = aTenant();
    const item = (step: string, procedure: string) => ({ '00400009': { vr: 'SH', Value: [step] }, '00401001': { vr: 'SH', Value: [procedure] } });
    await index().write(aStudy(tenantId, { attributes: { StudyID: 'a', RequestAttributesSequence: [item('S1', 'R1'), item('S2', 'R2')] } }), 1);
    await index().write(aStudy(tenantId, { attributes: { StudyID: 'b', RequestAttributesSequence: [item('S1', 'R2')] } }), 1);
    const step = (match: Match) => found(index(), tenantId, match, 'series');

    assert.deepEqual(await step({ '00400275.00400009': 'S1' }), ['a', 'b']);
    assert.deepEqual(await step({ '00400275.00400009': 'S2' }), ['a']);
    assert.deepEqual(await step({ '00400275.00400009': 'S1', '00400275.00401001': 'R2' }), ['b']);
    assert.deepEqual(await step({ '00400275.00400009': 'S?', '00400275.00401001': 'R1' }), ['a']);
    assert.deepEqual(await step({ '00400275.00400009': '*' }), ['a', 'b']);
  });

  it('takes a list of a thousand and more UIDs', async () => {
    const tenantId = aTenant();
    const studyInstanceUID = aUID();
    await index().write(aStudy(tenantId, { studyInstanceUID, attributes: { StudyID: 'a' } }), 1);
    const others = Array.from({ length: 3_000 }, (_, number) => `1.2.3.${number}`);

    assert.deepEqual(await found(index(), tenantId, { StudyInstanceUID: [...others, studyInstanceUID] }), ['a']);
    assert.deepEqual(await found(index(), tenantId, { StudyInstanceUID: others }), []);
    assert.deepEqual(await found(index(), tenantId, { StudyInstanceUID: `${studyInstanceUID.slice(0, -1)}*` }), []);
  });

  it('refuses what it cannot match with a sentence that names no value', async () => {
    const rows: readonly (readonly [QueryLevel, Match, RegExp])[] = [
      ['studies', { SOPInstanceUID: 'secret' }, /SOPInstanceUID is not an attribute that studies are searched by/],
      ['instances', { ModalitiesInStudy: 'secret' }, /ModalitiesInStudy/],
      ['studies', { ProcedureCodeSequence: 'secret' }, /is a sequence/],
      ['studies', { 'PatientName.PatientID': 'secret' }, /PatientName is not a sequence/],
      ['studies', { StudyDate: 'secret' }, /StudyDate is not one of its VR DA/],
      ['series', { SeriesNumber: 'secret' }, /SeriesNumber is not one of its VR IS/],
      ['studies', { '00091001': 'secret' }, /00091001/],
      ['studies', { PatientID: `${'secret*'.repeat(40)}` }, /PatientID has wild cards and more than 256 characters/],
      ['studies', { PatientName: Array.from({ length: 200 }, (_, number) => `secret${number}*`) }, /too many values/],
      ['series', { 'RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue': 'secret' }, /too deep/],
    ];
    for (const [level, match, expected] of rows) {
      await assert.rejects(index().search({ tenantId: aTenant(), level, match: keys(match), limit: 1, offset: 0 }), (error: Error) => {
        assert.equal(error.name, 'UnsupportedMatch');
        assert.match(error.message, expected);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  it('gives back the attributes as they were written', async () => {
    const tenantId = aTenant();
    const study = aStudy(tenantId, { attributes: { PatientName: { Alphabetic: 'Doe^Jane', Ideographic: '山田' }, StudyDate: 'odd', PatientWeight: 70.5, OtherPatientIDsSequence: [{ '00100020': { vr: 'LO', Value: ['x'] } }] } });
    await index().write(study, 1);

    const { matches } = await index().search({ tenantId, level: 'studies', match: [], limit: 10, offset: 0 });

    assert.deepEqual(matches, [study.study.attributes]);
  });
}

function pagingSuite(index: () => StudyIndex): void {
  const idsOf = async (tenantId: string, level: QueryLevel, tag: string, limit: number, offset: number) => {
    const { matches, total } = await index().search({ tenantId, level, match: [], limit, offset });
    return { total, ids: matches.map((attributes) => textOf(attributes, tag)) };
  };

  it('lists the newest study first, page by page', async () => {
    const tenantId = aTenant();
    await write(index(), tenantId, { a: { StudyDate: '20240101', StudyTime: '0900' }, b: { StudyDate: '20240101', StudyTime: '10' }, c: { StudyDate: '20240202' }, d: { StudyDate: '20230101', StudyTime: '23' }, e: {} });

    const pages = await Promise.all([0, 2, 4, 6].map((offset) => idsOf(tenantId, 'studies', '00200010', 2, offset)));

    assert.deepEqual(pages.map(({ ids }) => ids), [['c', 'b'], ['a', 'd'], ['e'], []]);
    assert.deepEqual(pages.map(({ total }) => total), [5, 5, 5, 5]);
  });

  it('pages for one reader neither repeat nor miss a study, whatever arrives or goes meanwhile', async () => {
    const tenantId = aTenant();
    await write(index(), tenantId, { a: { StudyDate: '20240109' }, b: { StudyDate: '20240108' }, c: { StudyDate: '20240107' }, d: { StudyDate: '20240106' }, e: { StudyDate: '20240105' }, f: {}, g: {} });
    const page = async (offset: number, reader = 'jo', limit = 2) => (await index().search({ tenantId, level: 'studies', match: [], limit, offset, reader })).matches.map((attributes) => textOf(attributes, '00200010'));

    const first = await page(0);
    await write(index(), tenantId, { new1: { StudyDate: '20240110' }, new2: { StudyDate: '20240110' }, new3: { StudyDate: '20240110' }, late: { StudyDate: '20240101' } });
    const [second, again] = [await page(2), await page(2)];
    const third = await page(4);
    const rest = await page(6, 'jo', 10);

    assert.deepEqual([first, second, again], [['a', 'b'], ['c', 'd'], ['c', 'd']]);
    assert.deepEqual([...third, ...rest].slice(0, 2), ['e', 'late']);
    assert.deepEqual([...third, ...rest].slice(2).toSorted(), ['f', 'g']);
    assert.deepEqual(await page(3, 'another'), ['a', 'b']);
    assert.deepEqual((await page(0, 'jo', 3)).toSorted(), ['new1', 'new2', 'new3']);
  });

  it('lists instances by number, those without one last', async () => {
    const tenantId = aTenant();
    const numbers = [10, 9, undefined, '2'];
    await index().write(aStudy(tenantId, { instances: numbers.map((number) => ({ ...(number === undefined ? {} : { attributes: { InstanceNumber: number } }) })) }), 1);

    assert.deepEqual((await idsOf(tenantId, 'instances', '00200013', 10, 0)).ids, ['2', '9', '10', undefined]);
  });

  it('streams everything in the order of its pages', async () => {
    const tenantId = aTenant();
    await index().write(aStudy(tenantId, { instances: Array.from({ length: 2_300 }, (_, number) => ({ attributes: { InstanceNumber: 2_300 - number } })) }), 1);

    const numbers = (await Array.fromAsync(index().stream({ tenantId, level: 'instances', match: keys({ Modality: '*' }) }))).map((attributes) => textOf(attributes, '00200013'));

    assert.deepEqual(numbers, Array.from({ length: 2_300 }, (_, number) => `${number + 1}`));
    await assert.rejects(Array.fromAsync(index().stream({ tenantId, level: 'studies', match: keys({ StudyDate: 'x' }) })), { name: 'UnsupportedMatch' });
  });

  it('counts when no results are wanted', async () => {
    const tenantId = aTenant();
    await write(index(), tenantId, { a: {}, b: {} });

    assert.deepEqual(await idsOf(tenantId, 'studies', '00200010', 0, 0), { total: 2, ids: [] });
  });

  it('searches series and instances within a study and a series', async () => {
    const tenantId = aTenant();
    const [studyInstanceUID, seriesInstanceUID] = [aUID(), aUID()];
    await index().write(aStudy(tenantId, { studyInstanceUID, seriesInstanceUID, instances: [{}, {}] }, { instances: [{}] }), 1);
    await index().write(aStudy(tenantId, {}), 1);
    const totalOf = async (level: QueryLevel, scope: object) => (await index().search({ tenantId, level, match: [], limit: 10, offset: 0, ...scope })).total;

    assert.equal(await totalOf('series', { studyInstanceUID }), 2);
    assert.equal(await totalOf('instances', { studyInstanceUID }), 3);
    assert.equal(await totalOf('instances', { studyInstanceUID, seriesInstanceUID }), 2);
    assert.equal(await totalOf('instances', {}), 4);
  });
}

function locatingSuite(index: () => StudyIndex): void {
  it('tells what series and their studies hold in all, as soon as it is written, and of no other tenant', async () => {
    const tenantId = aTenant();
    const [studyInstanceUID, one, two] = [aUID(), aUID(), aUID()];
    await index().write(aStudy(tenantId, { studyInstanceUID, seriesInstanceUID: one, attributes: { Modality: 'CT' }, instances: [{}, {}] }, { seriesInstanceUID: two, attributes: { Modality: 'SR' } }), 1);
    const asked = [one, two, aUID()].map((seriesInstanceUID) => ({ studyInstanceUID, seriesInstanceUID }));

    const counts = await index().countsOf(tenantId, asked);

    assert.deepEqual([...counts.keys()], [one, two]);
    assert.deepEqual(counts.get(one), { '00080061': { vr: 'CS', Value: ['CT', 'SR'] }, '00080062': counts.get(two)!['00080062'], '00201206': { vr: 'IS', Value: [2] }, '00201208': { vr: 'IS', Value: [3] }, '00201209': { vr: 'IS', Value: [2] } });
    assert.equal((await index().countsOf(aTenant(), asked)).size, 0);
    assert.equal((await index().countsOf(tenantId, [])).size, 0);
  });

  it('locates instances by series, number and UID', async () => {
    const tenantId = aTenant();
    const study = aStudy(tenantId, { seriesInstanceUID: '1.2', instances: [3, 1, 2].map((InstanceNumber) => ({ sopInstanceUID: `1.2.${InstanceNumber}`, attributes: { InstanceNumber } })) },
      { seriesInstanceUID: '1.1', instances: [{ sopInstanceUID: '1.1.1' }] });
    await index().write(study, 1);

    const located = await Array.fromAsync(index().locate(tenantId, { studyInstanceUID: study.studyInstanceUID }));

    assert.deepEqual(located.map(({ sopInstanceUID }) => sopInstanceUID), ['1.1.1', '1.2.1', '1.2.2', '1.2.3']);
    const { attributes: _, committedAt: __, ...fields } = study.instances.find(({ sopInstanceUID }) => sopInstanceUID === '1.2.1')!;
    assert.deepEqual(located[1], { ...fields, tenantId, studyInstanceUID: study.studyInstanceUID, verdict: 'accepted' });
  });

  it('locates one instance, in its own series and study alone', async () => {
    const tenantId = aTenant();
    const sopInstanceUID = aUID();
    const { studyInstanceUID, series } = await writeOne(tenantId, sopInstanceUID);
    const uids = async (scope: Parameters<StudyIndex['locate']>[1]) => (await Array.fromAsync(index().locate(tenantId, scope))).map((location) => location.sopInstanceUID);

    assert.deepEqual(await uids({ studyInstanceUID, sopInstanceUID }), [sopInstanceUID]);
    assert.deepEqual(await uids({ studyInstanceUID, seriesInstanceUID: series[0]!.seriesInstanceUID, sopInstanceUID }), [sopInstanceUID]);
    assert.deepEqual(await uids({ studyInstanceUID, seriesInstanceUID: '1.9', sopInstanceUID }), []);
    assert.deepEqual(await uids({ studyInstanceUID: '1.9', sopInstanceUID }), []);
    assert.deepEqual(await uids({ studyInstanceUID, sopInstanceUID: `${sopInstanceUID}|x` }), []);
  });

  async function writeOne(tenantId: string, sopInstanceUID: string) {
    const study = aStudy(tenantId, { instances: [{ sopInstanceUID }] });
    await index().write(study, 1);
    return study;
  }
}

