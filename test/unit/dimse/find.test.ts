import assert from 'node:assert/strict';
import type { DicomJson } from '../../../dicom/json.ts';
import { CloudAway, CloudRefusal, type CloudArchive } from '../../../edge-gateway/cloudArchive.ts';
import { openFind } from '../../../edge-gateway/services/find.ts';
import { aLink, aRequest, anArchive, anOperation, identifierOf, info, quiet } from './support.ts';

const studyRoot = '1.2.840.10008.5.1.4.1.2.2.1';
const studies: DicomJson = { '00080052': { vr: 'CS', Value: ['STUDY'] }, '0020000D': { vr: 'UI' }, '00081030': { vr: 'LO' } };
const match = (uid: string, description = 'Thorax'): DicomJson => ({ '0020000D': { vr: 'UI', Value: [uid] }, '00081030': { vr: 'LO', Value: [description] } });
const service = (archive: Pick<CloudArchive, 'query'>, maxMatches = 100) => openFind({ archive, retrieveAETitle: 'PACS', maxMatches, log: quiet })(info, aLink());
const failing = (error: Error): Pick<CloudArchive, 'query'> => ({ query: () => Promise.reject(error) });

describe('C-FIND (PS3.4 C.4.1)', () => {
  it('answers each match with the keys that were asked, the level and where it is', async () => {
    const { operation, sent } = anOperation();

    const final = await service(anArchive([match('1.2.3')])).handle(aRequest(studyRoot, 0x20, { ...studies, '00100020': { vr: 'LO' } }), operation);

    assert.deepEqual(final, { status: 0 });
    assert.deepEqual(await identifierOf(sent[0]!), {
      '00080052': { vr: 'CS', Value: ['STUDY'] }, '00080054': { vr: 'AE', Value: ['PACS'] }, '00080056': { vr: 'CS', Value: ['ONLINE'] },
      '00081030': { vr: 'LO', Value: ['Thorax'] }, '00100020': { vr: 'LO' }, '0020000D': { vr: 'UI', Value: ['1.2.3'] },
    });
  });

  it('stops at the limit with B001, and only when there is more', async () => {
    const matches = [match('1.1'), match('1.2'), match('1.3')];
    const [three, two] = [anOperation(), anOperation()];

    const reached = await service(anArchive(matches), 3).handle(aRequest(studyRoot, 0x20, studies), three.operation);
    const exceeded = await service(anArchive(matches), 2).handle(aRequest(studyRoot, 0x20, studies), two.operation);

    assert.deepEqual([reached.status, three.sent.length], [0, 3]);
    assert.deepEqual([exceeded.status, two.sent.length], [0xb001, 2]);
  });

  it('answers FE00 after a cancel and sends no more', async () => {
    const { operation, sent, cancel } = anOperation((count) => { if (count === 2) cancel(); });

    const final = await service(anArchive(Array.from({ length: 50 }, (_, index) => match(`1.${index + 1}`)))).handle(aRequest(studyRoot, 0x20, studies), operation);

    assert.deepEqual([final.status, sent.length], [0xfe00, 2]);
  });

  for (const [what, error, status] of [
    ['the cloud is away', new CloudAway('x'), 0xa700], ['the cloud does not take a key', new CloudRefusal(400), 0xa900],
    ['the cloud refuses the gateway', new CloudRefusal(401), 0xc001], ['something breaks', new TypeError('x'), 0xc001],
  ] as const) {
    it(`answers ${status.toString(16).toUpperCase()} when ${what}, without its text`, async () => {
      const final = await service(failing(error)).handle(aRequest(studyRoot, 0x20, studies), anOperation().operation);

      assert.equal(final.status, status);
      assert.ok(final.errorComment!.length <= 64 && final.errorComment !== 'x');
    });
  }

  it('refuses bytes that are no data set, and too many of them', async () => {
    for (const bytes of [Buffer.from('8000520043530a00', 'hex'), Buffer.alloc(2 * 1024 * 1024)]) {
      assert.equal((await service(anArchive([])).handle(aRequest(studyRoot, 0x20, bytes), anOperation().operation)).status, 0xa900);
    }
  });

  it('still answers a match one of whose values breaks its VR', async () => {
    const { operation, sent } = anOperation();
    const broken: DicomJson = { ...match('1.2.3'), '00201208': { vr: 'US', Value: [-5] } };

    const final = await service(anArchive([broken])).handle(aRequest(studyRoot, 0x20, { ...studies, '00201208': { vr: 'IS' } }), operation);

    assert.equal(final.status, 0);
    assert.deepEqual((await identifierOf(sent[0]!))['0020000D'], { vr: 'UI', Value: ['1.2.3'] });
  });

  it('asks the cloud for what has a value: no controls, no empty keys, one item of a sequence, UID lists whole', async () => {
    const archive = anArchive([]);
    const uids = Array.from({ length: 1_500 }, (_, index) => `1.2.840.${index}`);

    await service(archive).handle(aRequest(studyRoot, 0x20, {
      ...studies, '00080005': { vr: 'CS', Value: ['ISO_IR 192'] }, '00080054': { vr: 'AE', Value: ['PACS'] }, '0020000D': { vr: 'UI', Value: uids }, '00100010': { vr: 'PN', Value: [{ Alphabetic: '*', Ideographic: '山' }] },
      '00100020': { vr: 'LO', Value: ['**'] }, '00081032': { vr: 'SQ', Value: [{ '00080100': { vr: 'SH', Value: ['X'] }, '00080102': { vr: 'SH' } }] },
    }), anOperation().operation);

    assert.deepEqual(archive.asked, [{ level: 'STUDY', limit: 101, options: { combinedDateTime: false, fuzzy: false, emptyValue: false, multipleValue: false }, keys: [
      { path: ['00081032', '00080100'], values: ['X'] }, { path: ['00100010'], values: ['*=山'] }, { path: ['0020000D'], values: uids } ] }]);
  });
});
