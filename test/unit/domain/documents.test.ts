import assert from 'node:assert/strict';
import { studyVersion, withChoices, type StudyChoice } from '../../../domain/choice.ts';
import { buildStudyDocuments, resolveStudy } from '../../../domain/documents.ts';
import type { IndexedInstance } from '../../../domain/instance.ts';
import type { PackIndex } from '../../../domain/pack.ts';
import { aPackIndex, aTenant, aUID, type PackOptions } from '../../support/aStudy.ts';

const tenantId = aTenant();
const studyInstanceUID = aUID();
const hour = (number: number): string => `2024-05-01T${String(number).padStart(2, '0')}:00:00.000Z`;
const pack = (at: number, options: PackOptions = {}, change: Partial<IndexedInstance> = {}): PackIndex => {
  const index = aPackIndex({ tenantId, studyInstanceUID, committedAt: hour(at), ...options });
  return { ...index, instances: index.instances.map((instance) => ({ ...instance, ...change })) };
};
const verdicts = (packs: readonly PackIndex[]) => resolveStudy(packs).setAside.map(({ verdict }) => verdict);
const currentPacks = (packs: readonly PackIndex[]) => resolveStudy(packs).current.map(({ packId }) => packId);

function permutations<T>(items: readonly T[]): readonly (readonly T[])[] {
  return items.length <= 1 ? [items] : items.flatMap((item, at) => permutations([...items.slice(0, at), ...items.slice(at + 1)]).map((rest) => [item, ...rest]));
}

describe('resolveStudy', () => {
  const sopInstanceUID = aUID();
  const seriesInstanceUID = aUID();
  const same = { seriesInstanceUID, instances: [{ sopInstanceUID }] };
  const otherBytes = { seriesInstanceUID, instances: [{ sopInstanceUID, content: 'other' }] };

  it('takes the first commit, calls the same bytes a duplicate and other bytes a conflict', () => {
    const packs = [pack(1, same), pack(2, same), pack(3, otherBytes)];

    assert.deepEqual(currentPacks(packs), [packs[0]!.packId]);
    assert.deepEqual(verdicts(packs), ['duplicate', 'conflict']);
  });

  it('calls the same bytes in another series a conflict', () => {
    const [first, second] = [pack(1, same), pack(2, { ...same, seriesInstanceUID: aUID() })];
    const { setAside } = resolveStudy([first, second]);

    assert.deepEqual(setAside.map(({ verdict, reason }) => [verdict, reason]),
      [['conflict', `This SOP Instance UID was archived before in series ${seriesInstanceUID}; the first stays current.`]]);
  });

  it('never makes an instance current that another study holds, and keeps quarantined ones aside', () => {
    const conflictsWith = { studyInstanceUID: aUID(), seriesInstanceUID };
    const packs = [pack(1, same, { verdict: 'conflict', reason: 'elsewhere', conflictsWith }), pack(2, {}, { verdict: 'quarantined', reason: 'bad' })];

    assert.deepEqual(currentPacks(packs), []);
    assert.deepEqual(verdicts(packs), ['conflict', 'quarantined']);
  });

  it('lets the recorded verdict stand when the clock went back: what was accepted stays current', () => {
    const accepted = pack(5, same);
    const packs = [pack(3, otherBytes, { verdict: 'conflict', reason: 'first stays' }), accepted];

    assert.deepEqual(currentPacks(packs), [accepted.packId]);
    assert.deepEqual(verdicts(packs), ['conflict']);
  });

  describe('with choices', () => {
    const base = { tenantId, studyInstanceUID, sopInstanceUID, by: 'Ada', why: 'right patient', at: hour(9) };
    const chosen = (packs: readonly PackIndex[], ...decisions: readonly StudyChoice['decision'][]) =>
      withChoices(packs, decisions.map((decision, at) => ({ ...base, formatVersion: 1, number: at + 1, decision })));
    const [first, second] = [pack(1, same), pack(2, otherBytes)] as const;
    const naming = ({ packId, instances }: PackIndex) => ({ packId, sha256: instances[0]!.sha256 });

    it('makes the chosen instance current and the others conflicts; the latest choice counts, so the first can be chosen again', () => {
      const packs = chosen([first, second], naming(second));
      const undone = chosen([first, second], naming(second), naming(first));

      assert.deepEqual([currentPacks(packs), verdicts(packs)], [[second.packId], ['conflict']]);
      assert.match(resolveStudy(packs).setAside[0]!.reason!, /was chosen as current/);
      assert.deepEqual([currentPacks(undone), verdicts(undone)], [[first.packId], ['conflict']]);
    });

    it('keeps the choice when more packs come, and grows the version by packs and choices', () => {
      const packs = chosen([first, second, pack(3, same)], naming(second));

      assert.deepEqual(currentPacks(packs), [second.packId]);
      assert.deepEqual([studyVersion([first, second]), studyVersion(packs), studyVersion(chosen(packs, naming(second), naming(first)))], [2, 4, 5]);
    });

    it('makes current what conflicts with another study, and nothing of a study when another one was chosen', () => {
      const foreign = pack(1, same, { verdict: 'conflict', reason: 'elsewhere', conflictsWith: { studyInstanceUID: aUID(), seriesInstanceUID } });

      assert.deepEqual(currentPacks(chosen([foreign], naming(foreign))), [foreign.packId]);
      assert.deepEqual(currentPacks(chosen([first, second], { heldBy: '1.2.9' })), []);
      assert.deepEqual(verdicts(chosen([first, second], { heldBy: '1.2.9' })), ['conflict', 'conflict']);
    });

    it('makes nothing current that is quarantined', () => {
      const bad = pack(1, same, { verdict: 'quarantined', reason: 'bad' });

      assert.deepEqual(currentPacks(chosen([bad, second], naming(bad))), [second.packId]);
    });
  });

  it('makes a duplicate or conflict current when no pack has it as accepted', () => {
    const packs = [pack(3, otherBytes, { verdict: 'conflict', reason: 'x' }), pack(4, same, { verdict: 'duplicate', reason: 'x' })];

    assert.deepEqual(currentPacks(packs), [packs[0]!.packId]);
    assert.deepEqual(verdicts(packs), ['conflict']);
  });

  it('breaks a tie of two commits at the same moment by content', () => {
    const packs = [pack(1, same), pack(1, otherBytes)].toSorted((a, b) => (a.packId < b.packId ? -1 : 1));

    for (const order of permutations(packs)) assert.deepEqual(currentPacks(order), [packs[0]!.packId]);
  });
});

describe('buildStudyDocuments', () => {
  it('gives the same documents whatever the order of the packs', () => {
    const sopInstanceUID = aUID();
    const seriesInstanceUID = aUID();
    const packs = [
      pack(1, { seriesInstanceUID, attributes: { Modality: 'CT', StudyDescription: '' }, instances: [{ sopInstanceUID }, {}] }),
      pack(2, { seriesInstanceUID, attributes: { Modality: 'CT', StudyDescription: 'Head' }, instances: [{ sopInstanceUID, content: 'other' }] }),
      pack(2, { attributes: { Modality: 'SR', StudyDescription: 'Later' } }),
      pack(4, {}, { verdict: 'quarantined', reason: 'bad', attributes: {} }),
    ];
    const expected = buildStudyDocuments(packs);

    for (const order of permutations(packs)) assert.deepEqual(buildStudyDocuments(order), expected);
  });

  it('counts, lists modalities, classes and transfer syntaxes, and takes the first value that is not empty', () => {
    const seriesInstanceUID = aUID();
    const { study, series, instances } = buildStudyDocuments([
      pack(1, { seriesInstanceUID, attributes: { Modality: 'CT', StudyDescription: '' }, instances: [{}, {}] }),
      pack(2, { attributes: { Modality: 'SR', StudyDescription: 'Head' } }),
      pack(3, { attributes: { Modality: 'CT', StudyDescription: 'Neck' } }),
    ]);
    const values = (attributes: Readonly<Record<string, { readonly Value?: unknown } | undefined>>, ...tags: readonly string[]) => tags.map((tag) => attributes[tag]?.Value);

    assert.deepEqual(study.summary, { seriesCount: 3, instanceCount: 4, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 });
    assert.deepEqual(values(study.attributes, '00080061', '00080062', '00201206', '00201208', '00081030'),
      [['CT', 'SR'], ['1.2.840.10008.5.1.4.1.1.2'], [3], [4], ['Head']]);
    assert.deepEqual(series.map(({ attributes }) => values(attributes, '00080060', '00201209', '00201208')), [[['CT'], [2], [4]], [['SR'], [1], [4]], [['CT'], [1], [4]]]);
    assert.deepEqual(instances.map(({ attributes }) => values(attributes, '00083002', '00081030')[1]), [[''], [''], ['Head'], ['Neck']]);
    assert.deepEqual(values(instances[0]!.attributes, '00083002'), [['1.2.840.10008.1.2.1']]);
    for (const { attributes } of [study, ...series, ...instances]) assert.deepEqual(Object.keys(attributes), Object.keys(attributes).toSorted());
  });

  it('needs a pack', () => {
    assert.throws(() => buildStudyDocuments([]), RangeError);
  });

  it('changes, with one pack more, only documents of that pack\'s instances', () => {
    let seed = 20240501;
    const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
    const uids = Array.from({ length: 6 }, aUID);
    const series = [aUID(), aUID()];
    for (let round = 0; round < 200; round++) {
      const packs = Array.from({ length: 5 }, () => pack(random(4), { seriesInstanceUID: series[random(2)]!,
        instances: Array.from({ length: 1 + random(3) }, () => ({ sopInstanceUID: uids[random(6)]!, content: String(random(3)) })) },
      { verdict: (['accepted', 'accepted', 'conflict', 'quarantined'] as const)[random(4)]! }));
      const before = new Map(buildStudyDocuments(packs.slice(0, -1)).instances.map((instance) => [instance.sopInstanceUID, instance]));
      const last = packs.at(-1)!;
      for (const instance of buildStudyDocuments(packs).instances) {
        if (instance.packId !== last.packId) assert.deepEqual(instance, before.get(instance.sopInstanceUID), `round ${round}`);
      }
    }
  });
});
