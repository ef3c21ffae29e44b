import assert from 'node:assert/strict';
import type { DicomJson } from '../../../dicom/json.ts';
import { openMove } from '../../../edge-gateway/services/move.ts';
import { AssociationOver } from '../../../edge-gateway/services/service.ts';
import type { RetrieveOutcome, RetrieveProgress, RetrieveStudyInput } from '../../../workflows/contracts.ts';
import { aLink, aRequest, anArchive, anOperation, identifierOf, info, quiet } from './support.ts';

const patientRoot = '1.2.840.10008.5.1.4.1.2.1.2';
const studyRoot = '1.2.840.10008.5.1.4.1.2.2.2';
const ui = (value: string) => ({ vr: 'UI', Value: [value] });
const study: DicomJson = { '00080052': { vr: 'CS', Value: ['STUDY'] }, '0020000D': ui('1.2') };
const match = (uid: string, studyInstanceUID = '1.2'): DicomJson => ({ '0020000D': ui(studyInstanceUID), '0020000E': ui('1.2.1'), '00080018': ui(uid) });
const three = ['1.2.1.1', '1.2.1.2', '1.2.1.3'].map((uid) => match(uid));

const progress = (completedCount: number, failedSOPInstanceUIDs: readonly string[] = [], warningCount = 0): RetrieveProgress =>
  ({ completedCount, warningCount, failedCount: failedSOPInstanceUIDs.length, failedSOPInstanceUIDs });
const over = (end: RetrieveOutcome['end'], ...counts: Parameters<typeof progress>): RetrieveOutcome => ({ ...progress(...counts), end });

/** A cloud whose flow is seen as `looks` say, one after the other; once it is cancelled, as `whenCancelled` says. */
function aCloud(looks: readonly (RetrieveProgress | RetrieveOutcome | Error)[], whenCancelled?: RetrieveOutcome) {
  const started: RetrieveStudyInput[] = [];
  let at = 0;
  let cancels = 0;
  return {
    started, cancels: () => cancels,
    retrievals: { start: async (input: RetrieveStudyInput) => {
      started.push(input);
      return {
        look: async () => {
          if (cancels > 0 && whenCancelled) return whenCancelled;
          const look = looks[Math.min(at++, looks.length - 1)]!;
          if (look instanceof Error) throw look;
          return look;
        },
        cancel: async () => void cancels++,
      };
    } },
  };
}

const move = (cloud: ReturnType<typeof aCloud>, { matches = three, identifier = study, model = studyRoot, destination = 'WS1', patienceMs = 10_000, pollMs = 1, operation = anOperation().operation } = {}) =>
  openMove({ archive: anArchive(matches), retrievals: cloud.retrievals, tenantId: 't1', gatewayId: 'gw1', log: quiet, pollMs, patienceMs })(info, aLink())
    .handle(aRequest(model, 0x21, identifier, { moveDestination: destination }), operation);

describe('C-MOVE (PS3.4 C.4.2)', () => {
  it('starts a flow, tells how far it is in pending responses, and ends with 0000', async () => {
    const cloud = aCloud([progress(0), progress(2), over('sent', 3)]);
    const { operation, sent } = anOperation();

    const final = await move(cloud, { operation });

    assert.deepEqual(cloud.started, [{ tenantId: 't1', gatewayId: 'gw1', destinationAETitle: 'WS1', originator: { aeTitle: 'ASKER', messageID: 5 }, selections: [{ studyInstanceUID: '1.2' }] }]);
    assert.deepEqual(sent.map(({ status, suboperations }) => [status, suboperations]), [
      [0xff00, { completed: 0, failed: 0, warning: 0, remaining: 3 }], [0xff00, { completed: 2, failed: 0, warning: 0, remaining: 1 }]]);
    assert.deepEqual(final, { status: 0, suboperations: { completed: 3, failed: 0, warning: 0 } });
  });

  it('never answers 0000 when something is missing: B000 with the failed UIDs, A702 when nothing went through', async () => {
    const some = await move(aCloud([over('sent', 2, ['1.2.1.2'])]));
    const warned = await move(aCloud([over('sent', 0, [], 3)]));
    const vanished = await move(aCloud([over('sent', 2)]));
    const unsent = await move(aCloud([over('unsent', 0)]));

    assert.deepEqual([some.status, some.suboperations, await identifierOf(some)], [0xb000, { completed: 2, failed: 1, warning: 0 }, { '00080058': ui('1.2.1.2') }]);
    assert.deepEqual([warned.status, vanished.status, vanished.suboperations!.failed], [0xb000, 0xb000, 1]);
    assert.deepEqual([unsent.status, unsent.suboperations], [0xa702, { completed: 0, failed: 3, warning: 0 }]);
  });

  it('answers a short retrieval soon, however seldom it looks later', async () => {
    const began = performance.now();

    const final = await move(aCloud([progress(1), over('sent', 3)]), { pollMs: 60_000 });

    assert.equal(final.status, 0);
    assert.ok(performance.now() - began < 5_000);
  });

  it('answers A801 for a destination that nobody configured, and for none', async () => {
    const unknown = await move(aCloud([over('unknownDestination', 0)]), { destination: 'NOBODY' });
    const none = await move(aCloud([]), { destination: ' ' });

    assert.deepEqual([unknown.status, none.status], [0xa801, 0xa801]);
  });

  it('cancels the flow once and answers FE00 with what it did and what is left', async () => {
    const { operation, cancel } = anOperation(() => cancel());
    const cloud = aCloud([progress(1)], over('cancelled', 2));

    const final = await move(cloud, { operation });

    assert.deepEqual([final.status, final.suboperations], [0xfe00, { completed: 2, failed: 0, warning: 0, remaining: 1 }]);
    assert.equal(cloud.cancels(), 1);
  });

  it('hands UIDs alone to the flow, whatever the level', async () => {
    const cloud = aCloud([over('sent', 2)]);
    const level = (name: string): DicomJson => ({ ...study, '00080052': { vr: 'CS', Value: [name] } });

    await move(cloud, { model: patientRoot, matches: [match('1.2.1.1'), match('1.3.1.1', '1.3')], identifier: { '00080052': { vr: 'CS', Value: ['PATIENT'] }, '00100020': { vr: 'LO', Value: ['SECRET'] } } });
    await move(cloud, { identifier: { ...level('SERIES'), '0020000E': ui('1.2.1') } });
    await move(cloud, { matches: three.slice(0, 1), identifier: { ...level('IMAGE'), '0020000E': ui('1.2.1'), '00080018': ui('1.2.1.1') } });

    assert.deepEqual(cloud.started.map(({ selections }) => selections), [[{ studyInstanceUID: '1.2' }, { studyInstanceUID: '1.3' }],
      [{ studyInstanceUID: '1.2', seriesInstanceUIDs: ['1.2.1'] }], [{ studyInstanceUID: '1.2', sopInstanceUIDs: ['1.2.1.1'] }]]);
    assert.ok(!JSON.stringify(cloud.started).includes('SECRET'));
  });

  it('goes on asking while the cloud is away for a moment, and says A700 when it stays away', async () => {
    const moment = await move(aCloud([new Error('away'), progress(1), over('sent', 3)]));
    const long = await move(aCloud([new Error('away')]), { patienceMs: 5 });

    assert.deepEqual([moment.status, long.status], [0, 0xa700]);
  });

  it('leaves the flow alone when the association ends', async () => {
    const controller = new AbortController();
    const cloud = aCloud([progress(1)]);
    const { operation } = anOperation(() => controller.abort());

    await assert.rejects(move(cloud, { operation: { ...operation, signal: controller.signal, isCancelled: false } }), AssociationOver);

    assert.equal(cloud.cancels(), 0);
  });

  it('refuses a selection that is too long for one flow, and an identifier without the key of its level', async () => {
    const many = await move(aCloud([]), { matches: Array.from({ length: 1_001 }, (_, index) => match(`1.2.1.${index}`, `1.2.${index}`)) });
    const noKey = await move(aCloud([]), { identifier: { '00080052': { vr: 'CS', Value: ['STUDY'] } } });

    assert.deepEqual([many.status, noKey.status], [0xa702, 0xa900]);
  });
});
