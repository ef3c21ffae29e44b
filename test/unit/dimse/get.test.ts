import assert from 'node:assert/strict';
import type { DicomJson } from '../../../dicom/json.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { CloudArchive } from '../../../edge-gateway/cloudArchive.ts';
import { openGet } from '../../../edge-gateway/services/get.ts';
import type { AssociationLink } from '../../../edge-gateway/services/service.ts';
import { aLink, aRequest, anArchive, anOperation, identifierOf, info, quiet } from './support.ts';

const studyRoot = '1.2.840.10008.5.1.4.1.2.2.3';
const ctImage = '1.2.840.10008.5.1.4.1.1.2';
const jpeg2000 = '1.2.840.10008.1.2.4.90';
const study: DicomJson = { '00080052': { vr: 'CS', Value: ['STUDY'] }, '0020000D': { vr: 'UI', Value: ['1.2'] } };
const ui = (value: string) => ({ vr: 'UI', Value: [value] });
const match = (uid: string, transferSyntaxUID = explicitVRLittleEndian): DicomJson =>
  ({ '0020000D': ui('1.2'), '0020000E': ui('1.2.1'), '00080018': ui(uid), '00080016': ui(ctImage), '00083002': ui(transferSyntaxUID) });
const file = (uid: string, transferSyntaxUID = explicitVRLittleEndian): Buffer =>
  Buffer.concat([encodeFileMeta({ sopClassUID: ctImage, sopInstanceUID: uid, transferSyntaxUID }), Buffer.from(`data set of ${uid}`)]);
const uids = ['1.2.1.1', '1.2.1.2', '1.2.1.3'];
const three = (): ReturnType<typeof anArchive> => anArchive(uids.map((uid) => match(uid)), new Map(uids.map((uid) => [uid, file(uid)])));
const ct = { abstractSyntaxUID: ctImage, transferSyntaxUID: explicitVRLittleEndian };

const get = (archive: CloudArchive, link: AssociationLink, operation = anOperation().operation, identifier = study) =>
  openGet({ archive, log: quiet })(info, link).handle(aRequest(studyRoot, 0x10, identifier), operation);

describe('C-GET (PS3.4 C.4.3)', () => {
  it('sends each data set without its file meta, counts in pending responses, and ends with 0000', async () => {
    const received: string[] = [];
    const { operation, sent } = anOperation();

    const final = await get(three(), aLink([ct], (command, bytes) => (received.push(`${command.affectedSOPInstanceUID}: ${bytes.toString()}`), 0)), operation);

    assert.deepEqual(received, uids.map((uid) => `${uid}: data set of ${uid}`));
    assert.deepEqual(sent.map(({ status, suboperations }) => [status, suboperations]), [
      [0xff00, { completed: 1, failed: 0, warning: 0, remaining: 2 }], [0xff00, { completed: 2, failed: 0, warning: 0, remaining: 1 }]]);
    assert.deepEqual(final, { status: 0, suboperations: { completed: 3, failed: 0, warning: 0 } });
  });

  it('asks the archive for some instances while a fast requestor takes one, never for all', async () => {
    const many = Array.from({ length: 20 }, (_, number) => `1.2.1.${number + 1}`);
    const archive = anArchive(many.map((uid) => match(uid)), new Map(many.map((uid) => [uid, file(uid)])));
    const ahead: number[] = [];
    const asked = (): number => archive.asked.filter((question) => 'sopInstanceUID' in (question as object)).length;

    const final = await get(archive, aLink([ct], () => (ahead.push(asked() - ahead.length - 1), 0)));

    assert.deepEqual(final, { status: 0, suboperations: { completed: 20, failed: 0, warning: 0 } });
    assert.deepEqual([ahead[0], Math.max(...ahead), ahead.at(-1)], [1, 4, 0]);
  });

  it('never answers 0000 when one failed: B000 with the failed UIDs, A702 when none went through', async () => {
    const some = await get(three(), aLink([ct], ({ affectedSOPInstanceUID }) => (affectedSOPInstanceUID === uids[1] ? 0xa700 : 0)));
    const warned = await get(three(), aLink([ct], () => 0xb000));
    const none = await get(three(), aLink([ct], () => 0xc000));

    assert.deepEqual([some.status, some.suboperations], [0xb000, { completed: 2, failed: 1, warning: 0 }]);
    assert.deepEqual(await identifierOf(some), { '00080058': ui(uids[1]!) });
    assert.deepEqual([warned.status, warned.suboperations, warned.dataSet], [0xb000, { completed: 0, failed: 0, warning: 3 }, undefined]);
    assert.deepEqual([none.status, none.suboperations], [0xa702, { completed: 0, failed: 3, warning: 0 }]);
    assert.deepEqual((await identifierOf(none))['00080058']!.Value, uids);
  });

  it('counts as failed what the requestor takes no SCP role for, and what the archive cannot give', async () => {
    const withoutRole = await get(three(), aLink([{ ...ct, requestorIsScp: false }]));
    const otherClass = await get(three(), aLink([{ ...ct, abstractSyntaxUID: '1.2.840.10008.5.1.4.1.1.4' }]));
    const gone = await get(anArchive([match(uids[0]!), match(uids[1]!)], new Map([[uids[0]!, file(uids[0]!)]])), aLink([ct]));
    const noFile = await get(anArchive([match(uids[0]!)], new Map([[uids[0]!, Buffer.from('garbage')]])), aLink([ct]));

    assert.deepEqual([withoutRole.status, otherClass.status, gone.status, noFile.status], [0xa702, 0xa702, 0xb000, 0xa702]);
  });

  it('prefers the context of the stored transfer syntax, and asks the archive for that of another', async () => {
    const archive = anArchive([match(uids[0]!, jpeg2000)], new Map([[uids[0]!, file(uids[0]!, jpeg2000)]]));
    const contexts: number[] = [];
    const note = (_: unknown, __: Buffer, contextId: number) => (contexts.push(contextId), 0);

    await get(archive, aLink([ct, { ...ct, transferSyntaxUID: jpeg2000 }], note));
    await get(archive, aLink([ct], note));

    assert.deepEqual(contexts, [3, 1]);
    assert.deepEqual(archive.asked.filter((asked) => 'sopInstanceUID' in (asked as object)),
      [{ sopInstanceUID: uids[0], transferSyntaxUID: undefined }, { sopInstanceUID: uids[0], transferSyntaxUID: explicitVRLittleEndian }]);
  });

  it('asks for Explicit before Implicit VR, and for Implicit VR when that alone is taken', async () => {
    const archive = anArchive([match(uids[0]!, jpeg2000)], new Map([[uids[0]!, file(uids[0]!, jpeg2000)]]));
    const implicit = { ...ct, transferSyntaxUID: implicitVRLittleEndian };

    await get(archive, aLink([implicit, ct]));
    await get(archive, aLink([implicit]));

    assert.deepEqual(archive.asked.filter((asked) => 'sopInstanceUID' in (asked as object)).map((asked) => (asked as { transferSyntaxUID: string }).transferSyntaxUID),
      [explicitVRLittleEndian, implicitVRLittleEndian]);
  });

  it('finishes the sub-operation under way when it is cancelled, and answers FE00 with what is left', async () => {
    const { operation, cancel } = anOperation();

    const final = await get(three(), aLink([ct], () => (cancel(), 0)), operation);

    assert.deepEqual([final.status, final.suboperations], [0xfe00, { completed: 1, failed: 0, warning: 0, remaining: 2 }]);
  });

  it('answers 0000 without sub-operations when nothing matches, and A900 without the key of its level', async () => {
    const nothing = await get(anArchive([]), aLink([ct]));
    const noKey = await get(anArchive([]), aLink([ct]), anOperation().operation, { '00080052': { vr: 'CS', Value: ['STUDY'] } });
    const noUid = await get(anArchive([]), aLink([ct]), anOperation().operation, { ...study, '0020000D': ui('1.2.*') });

    assert.deepEqual(nothing, { status: 0, suboperations: { completed: 0, failed: 0, warning: 0 } });
    assert.deepEqual([noKey.status, noUid.status], [0xa900, 0xa900]);
  });

  it('lists at most 1,000 failed UIDs and counts them all', async () => {
    const many = Array.from({ length: 1_200 }, (_, index) => `1.2.840.${index + 1}`);

    const final = await get(anArchive(many.map((uid) => match(uid))), aLink([{ ...ct, transferSyntaxUID: implicitVRLittleEndian }]));

    assert.equal(final.suboperations!.failed, 1_200);
    assert.equal((await identifierOf(final))['00080058']!.Value!.length, 1_000);
  });
});
