import assert from 'node:assert/strict';
import type { DicomJson } from '../../dicom/json.ts';
import { removeTempFolders, runPeer, runScript, tempFolder, testPeers } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

interface Response {
  readonly contexts?: Readonly<Record<string, string>>;
  readonly extension?: readonly number[] | null;
  readonly status?: number;
  readonly comment?: string | null;
  readonly identifier?: DicomJson | null;
}

const patientRoot = '1.2.840.10008.5.1.4.1.2.1.1';
const studyRoot = '1.2.840.10008.5.1.4.1.2.2.1';
const cs = (...Value: string[]) => ({ vr: 'CS', Value });
const ui = (...Value: string[]) => ({ vr: 'UI', Value });
const pn = (Alphabetic: string, Ideographic?: string) => ({ vr: 'PN', Value: [{ Alphabetic, ...(Ideographic && { Ideographic }) }] });

describe('C-FIND', function () {
  this.timeout(120_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  let ct: MadeStudy;
  let mr: MadeStudy;
  let yamada: MadeStudy;
  let umlaut: MadeStudy;

  before('studies are archived', async function () {
    this.timeout(180_000);
    const python = peers().python;
    ct = await madeStudy(python, await tempFolder(), 'CT_small.dcm', 3, { PatientID: 'QR-1', PatientName: 'Query^Anna', StudyDate: '20240105', StudyTime: '101500', AccessionNumber: 'A"1*', StudyDescription: 'Thorax' });
    mr = await madeStudy(python, await tempFolder(), 'MR_small.dcm', 2, { PatientID: 'QR-1', PatientName: 'Query^Anna', StudyDate: '20240210', StudyTime: '081500' });
    umlaut = await madeStudy(python, await tempFolder(), 'CT_small.dcm', 1, { SpecificCharacterSet: 'ISO_IR 100', PatientID: 'QR-2', PatientName: 'Müller^Jörg', StudyDate: '20240301' });
    yamada = await madeStudy(python, await tempFolder(), 'CT_small.dcm', 1, { SpecificCharacterSet: 'ISO_IR 192', PatientID: 'QR-3', PatientName: 'Yamada^Tarou=山田^太郎', StudyDate: '20240401' });
    const studies = [ct, mr, umlaut, yamada];
    const sent = await sendFiles(python, pacs().stack.urls.dicom, studies.flatMap(({ files }) => files.map(({ file }) => file)));
    assert.ok(sent.every(({ status }) => status === 0));
    for (const study of studies) await eventually('the study is found', () => pacs().api.isFound(study.studyInstanceUID, study.files.length));
  });
  after(removeTempFolders);

  const ask = (identifier: DicomJson, more: object = {}): Promise<readonly Response[]> => {
    const { host, port, aeTitle } = pacs().stack.urls.dicom;
    return runScript<Response>(peers().python, 'query_retrieve.py',
      { host, port, calledAETitle: aeTitle, callingAETitle: 'FINDER', operation: 'find', model: studyRoot, identifier, ...more });
  };
  const studiesOf = (responses: readonly Response[]) => responses.flatMap(({ identifier }) => identifier?.['0020000D']?.Value ?? []).toSorted();
  const finalOf = (responses: readonly Response[]) => responses.at(-1)!.status;

  it('gives findscu of DCMTK a study with every key it asked for, and who holds it', async () => {
    const { host, port, aeTitle } = pacs().stack.urls.dicom;

    const { code, output } = await runPeer(peers().findscu, ['-S', '-aet', 'DCMTK', '-aec', aeTitle, '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${ct.studyInstanceUID}`,
      '-k', 'PatientName', '-k', 'StudyDate', '-k', 'ModalitiesInStudy', '-k', 'NumberOfStudyRelatedInstances', '-k', 'RequestedProcedurePriority', host, `${port}`]);

    assert.equal(code, 0, output);
    for (const line of ['PatientName', 'Query^Anna', '20240105', '[CT]', '[3', `[${aeTitle}`, 'ONLINE', 'RequestedProcedurePriority', '[STUDY ']) assert.ok(output.includes(line), `${line} is missing in ${output}`);
  });

  for (const [what, keys, expected] of [
    ['a wild card in Patient ID', { '00100020': { vr: 'LO', Value: ['QR-?'] } }, () => [ct, mr, umlaut, yamada]],
    ['a date range', { '00100020': { vr: 'LO', Value: ['QR-*'] }, '00080020': { vr: 'DA', Value: ['20240110-20240315'] } }, () => [mr, umlaut]],
    ['an open date range', { '00100020': { vr: 'LO', Value: ['QR-*'] }, '00080020': { vr: 'DA', Value: ['20240301-'] } }, () => [umlaut, yamada]],
    ['Modalities in Study', { '00100020': { vr: 'LO', Value: ['QR-*'] }, '00080061': cs('MR') }, () => [mr]],
    ['a name in other case', { '00100010': pn('query^*') }, () => [ct, mr]],
    ['an accession number with a quote, its star a wild card', { '00080050': { vr: 'SH', Value: ['A"1*'] } }, () => [ct]],
    ['injected query syntax', { '00080050': { vr: 'SH', Value: ['"}},{"match_all":{'] } }, () => []],
    ['a UID list of 1,201, two of them here', { '0020000D': ui(...Array.from({ length: 1_200 }, (_, index) => `1.2.3.${index}`), 'CT') }, () => [ct]],
    ['a UID with a wild card, which UIDs do not have', { '0020000D': ui('1.2.*') }, () => []],
  ] as const) {
    it(`finds studies by ${what}`, async () => {
      const given = JSON.parse(JSON.stringify(keys).replace('"CT"]', `"${ct.studyInstanceUID}"]`)) as DicomJson;

      const responses = await ask({ '00080052': cs('STUDY'), '0020000D': { vr: 'UI' }, ...given });

      assert.deepEqual(studiesOf(responses), expected().map(({ studyInstanceUID }) => studyInstanceUID).toSorted());
      assert.equal(finalOf(responses), 0);
      assert.ok(responses.slice(1, -1).every(({ status }) => status === 0xff00));
    });
  }

  it('answers at each level, with what lies above only by its unique keys', async () => {
    const patients = await ask({ '00080052': cs('PATIENT'), '00100020': { vr: 'LO', Value: ['QR-1'] }, '00100010': { vr: 'PN' } }, { model: patientRoot });
    const series = await ask({ '00080052': cs('SERIES'), '0020000D': ui(ct.studyInstanceUID), '0020000E': { vr: 'UI' }, '00080060': { vr: 'CS' }, '00201209': { vr: 'IS' } });
    const images = await ask({ '00080052': cs('IMAGE'), '0020000D': ui(ct.studyInstanceUID), '0020000E': ui(ct.seriesInstanceUID), '00080018': { vr: 'UI' }, '00200013': { vr: 'IS' } });
    const byPatient = await ask({ '00080052': cs('STUDY'), '00100020': { vr: 'LO', Value: ['QR-1'] }, '0020000D': { vr: 'UI' } }, { model: patientRoot });

    assert.deepEqual(patients.slice(1).map(({ status, identifier }) => [status, identifier?.['00100010']?.Value]), [[0xff00, [{ Alphabetic: 'Query^Anna' }]], [0, undefined]]);
    assert.deepEqual(series[1]!.identifier!['0020000E']!.Value, [ct.seriesInstanceUID]);
    assert.deepEqual(series[1]!.identifier!['00201209']!.Value, [3]);
    assert.deepEqual(images.slice(1, -1).map(({ identifier }) => identifier!['00080018']!.Value![0]).toSorted(), ct.files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted());
    assert.equal(studiesOf(byPatient).length, 2);
  });

  for (const [what, identifier, model] of [
    ['without a level', { '0020000D': { vr: 'UI' } }, studyRoot],
    ['of a level that the model does not have', { '00080052': cs('PATIENT'), '00100020': { vr: 'LO' } }, studyRoot],
    ['of series without the Study Instance UID', { '00080052': cs('SERIES'), '0020000E': { vr: 'UI' } }, studyRoot],
    ['of studies without the Patient ID in Patient Root', { '00080052': cs('STUDY'), '0020000D': { vr: 'UI' } }, patientRoot],
    ['of studies with a Patient ID of wild cards in Patient Root', { '00080052': cs('STUDY'), '00100020': { vr: 'LO', Value: ['*1'] }, '0020000D': { vr: 'UI' } }, patientRoot],
    ['with a date that is none', { '00080052': cs('STUDY'), '00080020': { vr: 'DA', Value: ['2024-1'] } }, studyRoot],
  ] as const) {
    it(`refuses a query ${what}: A900`, async () => {
      const responses = await ask(identifier, { model });

      assert.deepEqual(responses.slice(1).map(({ status }) => status), [0xa900]);
    });
  }

  it('takes a relational query when it was negotiated, and says what else was not', async () => {
    const responses = await ask({ '00080052': cs('SERIES'), '00100020': { vr: 'LO', Value: ['QR-1'] }, '0020000D': { vr: 'UI' }, '0020000E': { vr: 'UI' } }, { extension: [1, 1, 1, 1] });

    assert.deepEqual(responses[0]!.extension, [1, 1, 1, 0]);
    assert.deepEqual(studiesOf(responses), [ct.studyInstanceUID, mr.studyInstanceUID].toSorted());
  });

  it('matches names by their words, dates with their times and values that are empty when that was negotiated', async () => {
    const all = { '00080052': cs('STUDY'), '0020000D': { vr: 'UI' }, '00100020': { vr: 'LO', Value: ['QR-1'] } };
    const extension = [0, 1, 1, 0, 0, 1, 1];

    const fuzzy = await ask({ ...all, '00100010': pn('anna') }, { extension });
    const literal = await ask({ ...all, '00100010': pn('anna') });
    const instant = await ask({ ...all, '00080020': { vr: 'DA', Value: ['20240105-20240210'] }, '00080030': { vr: 'TM', Value: ['1100-0900'] } }, { extension });
    const empty = await ask({ ...all, '00080050': { vr: 'SH', Value: ['""'] } }, { extension });

    assert.deepEqual([fuzzy, literal, instant].map(studiesOf), [[ct.studyInstanceUID, mr.studyInstanceUID].toSorted(), [], [mr.studyInstanceUID]]);
    assert.deepEqual(studiesOf(empty), [mr.studyInstanceUID]);
  });

  it('answers FF01 when a key is not one that is searched by', async () => {
    const responses = await ask({ '00080052': cs('STUDY'), '0020000D': ui(ct.studyInstanceUID), '00101060': pn('Mother') });

    assert.deepEqual(responses.slice(1).map(({ status }) => status), [0xff01, 0]);
    assert.deepEqual(responses[1]!.identifier!['00101060'], { vr: 'PN' });
  });

  it('finds across character sets, and answers in the one that was asked in, or in UTF-8', async () => {
    const keys = (charset: string | undefined, name: ReturnType<typeof pn>) => ({ ...(charset && { '00080005': cs(charset) }), '00080052': cs('STUDY'), '00100010': name, '0020000D': { vr: 'UI' } });

    const latin = await ask(keys('ISO_IR 100', pn('Müller*')));
    const utf8 = await ask(keys('ISO_IR 192', pn('Müller*')));
    const plain = await ask(keys(undefined, pn('muller*')));
    const japanese = await ask(keys('ISO_IR 192', pn('*', '山田*')));
    const japaneseInLatin = await ask(keys('ISO_IR 100', pn('Yamada*')));

    for (const responses of [latin, utf8, plain]) {
      assert.deepEqual(studiesOf(responses), [umlaut.studyInstanceUID]);
      assert.deepEqual(responses[1]!.identifier!['00100010']!.Value, [{ Alphabetic: 'Müller^Jörg' }]);
    }
    assert.deepEqual([latin, utf8, plain].map((responses) => responses[1]!.identifier!['00080005']!.Value), [['ISO_IR 100'], ['ISO_IR 192'], ['ISO_IR 192']]);
    for (const responses of [japanese, japaneseInLatin]) {
      assert.deepEqual(responses[1]!.identifier!['00100010']!.Value, [{ Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' }]);
      assert.deepEqual(responses[1]!.identifier!['00080005']!.Value, ['ISO_IR 192']);
    }
  });

  it('answers a query that matches nothing by one final response', async () => {
    const responses = await ask({ '00080052': cs('STUDY'), '00100020': { vr: 'LO', Value: ['NOBODY'] } });

    assert.deepEqual(responses.slice(1).map(({ status, identifier }) => [status, identifier]), [[0, null]]);
  });
});
