import assert from 'node:assert/strict';
import type { SetAside } from '../../domain/documents.ts';
import { testPeers } from '../support/peers.ts';
import type { Retrieved } from '../support/pacsClient.ts';
import { archivedSha256, realFiles, type RealFile } from '../support/realFiles.ts';
import { sendFiles, type SentFile } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

/** The files are some 80 packs, most of one instance. */
const patienceMs = 200_000;

/** Files of five projects, in ten transfer syntaxes. Some share a SOP Instance UID: mostly the same picture in another syntax. */
describe('real files', function () {
  this.timeout(180_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  let firsts: readonly RealFile[];
  let others: readonly RealFile[];
  let contradicting: readonly RealFile[];
  const sent: SentFile[] = [];
  const back = new Map<string, readonly Retrieved[]>();
  const setAside = new Map<string, readonly SetAside[]>();

  before('all are sent: of each SOP Instance UID one file first, then the others', async function () {
    this.timeout(500_000);
    const files = await realFiles(peers().python);
    const storable = files.filter((each) => each.storable);
    firsts = storable.filter((each, at) => storable.findIndex(({ sop }) => sop === each.sop) === at);
    others = storable.filter((each) => !firsts.includes(each));
    contradicting = files.filter((each) => each.contradicts);
    const send = async (list: readonly RealFile[]): Promise<void> => void sent.push(...await sendFiles(peers().python, pacs().stack.urls.dicom, list.map(({ file }) => file)));
    await send(firsts);
    for (const study of studiesOf(firsts)) await retrieved(study);
    await send(others);
    for (const study of studiesOf(others)) await othersArrived(study);
  });

  const studiesOf = (files: readonly RealFile[]): readonly string[] => [...new Set(files.map(({ study }) => study))];
  const ofStudy = (files: readonly RealFile[], study: string): readonly RealFile[] => files.filter((each) => each.study === study);

  const retrieved = (study: string): Promise<unknown> => eventually(`study ${study} is complete`, async () => {
    const wanted = ofStudy(firsts, study).length;
    return await pacs().api.findInstances(study) >= wanted && (await readBack(study)).length >= wanted;
  }, patienceMs);
  const readBack = async (study: string): Promise<readonly Retrieved[]> => {
    const instances = await pacs().api.retrieve(study);
    back.set(study, instances);
    return instances;
  };
  /** A pack of nothing but duplicates is not kept, so what must appear is what has bytes of its own. */
  const othersArrived = (study: string): Promise<unknown> => eventually(`what stands beside the first files of study ${study} is visible`, async () => {
    const beside = await pacs().api.setAside(study);
    setAside.set(study, beside);
    return missingBeside(study).length === 0;
  }, patienceMs);
  const missingBeside = (study: string): readonly RealFile[] => {
    const digests = new Set((setAside.get(study) ?? []).map((each) => each.sha256));
    return ofStudy(others, study).filter((each) => !isDuplicate(each) && !digests.has(archivedSha256(each)));
  };
  const isDuplicate = (other: RealFile): boolean => firsts.some(({ sop, series, transferSyntax, dataSetSha256 }) =>
    sop === other.sop && series === other.series && transferSyntax === other.transferSyntax && dataSetSha256 === other.dataSetSha256);

  it('are many: more than 200 storable ones in ten transfer syntaxes', () => {
    assert.ok(firsts.length + others.length > 200);
    assert.equal(new Set(firsts.map(({ transferSyntax }) => transferSyntax)).size >= 9, true);
    assert.ok(others.length > 20);
  });

  it('are all taken with status 0000', () => {
    assert.equal(sent.length, firsts.length + others.length);
    assert.deepEqual(sent.filter(({ status }) => status !== 0), []);
  });

  it('come back by WADO-RS as they were: the same data set, byte for byte, in the same transfer syntax', () => {
    const wrong = firsts.filter(({ study, sop, transferSyntax, dataSetSha256 }) => {
      const found = back.get(study)!.filter(({ sopInstanceUID }) => sopInstanceUID === sop);
      return found.length !== 1 || found[0]!.transferSyntaxUID !== transferSyntax || found[0]!.dataSetSha256 !== dataSetSha256;
    });

    assert.deepEqual(wrong.map(({ file }) => file), []);
  });

  it('keep their place when other bytes come under the same SOP Instance UID', async () => {
    for (const study of studiesOf(others)) {
      const wanted = ofStudy(firsts, study).map(({ sop, dataSetSha256 }) => `${sop} ${dataSetSha256}`);
      const now = (await pacs().api.retrieve(study)).map(({ sopInstanceUID, dataSetSha256 }) => `${sopInstanceUID} ${dataSetSha256}`);
      assert.deepEqual(now.toSorted(), wanted.toSorted(), study);
    }
  });

  it('are visible as conflicts where they came second, and as duplicates where their bytes are the same', () => {
    for (const study of studiesOf(others)) {
      assert.deepEqual(missingBeside(study).map(({ file }) => file), []);
      for (const { sopInstanceUID, sha256, verdict } of setAside.get(study)!) {
        const other = ofStudy(others, study).find((each) => each.sop === sopInstanceUID && archivedSha256(each) === sha256);
        assert.ok(other, `nobody sent what is set aside as ${sopInstanceUID}`);
        assert.equal(verdict, isDuplicate(other) ? 'duplicate' : 'conflict', other.file);
      }
    }
  });

  it('are never quarantined when they are storable', async () => {
    const quarantined: string[] = [];
    for (const study of studiesOf([...firsts, ...others])) {
      for (const { verdict, sopInstanceUID, reason } of await pacs().api.setAside(study)) if (verdict === 'quarantined') quarantined.push(`${sopInstanceUID}: ${reason}`);
    }

    assert.deepEqual(quarantined, []);
  });

  it('are refused with A900 when the command names another instance or class than the data set', async () => {
    const answers = await sendFiles(peers().python, pacs().stack.urls.dicom, contradicting.map(({ file }) => file));

    assert.ok(answers.length >= 5);
    assert.deepEqual(answers.filter(({ status }) => status !== 0xa900), []);
  });
});
