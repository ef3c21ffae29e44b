import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DicomJson } from '../../../dicom/json.ts';
import { commitmentRequestInformation, readCommitmentReport, storageCommitmentClassUID, storageCommitmentInstanceUID, type CommitmentReport } from '../../../dicom/storageCommitment.ts';
import { implicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { TakenCommitment } from '../../../domain/commitment.ts';
import { AskedFolder } from '../../../edge-gateway/commitment/asked.ts';
import { commitmentDesk } from '../../../edge-gateway/commitment/desk.ts';
import { CommitmentFolder } from '../../../edge-gateway/commitment/folder.ts';
import { CommitmentTeller } from '../../../edge-gateway/commitment/teller.ts';
import { openCommitment } from '../../../edge-gateway/services/commitment.ts';
import { readIdentifier } from '../../../edge-gateway/services/identifier.ts';
import { AssociationOver, type AssociationLink, type CommandSet } from '../../../edge-gateway/services/service.ts';
import type { NoRoom } from '../../../edge-gateway/spool/watermark.ts';
import type { CommitStorageInput } from '../../../workflows/contracts.ts';
import { aDataSetStream, aRequest, anOperation, info, quiet } from './support.ts';

const ct = (sopInstanceUID: string) => ({ sopClassUID: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUID });
const asking = (transactionUID = '1.2.3', ...uids: readonly string[]): DicomJson => commitmentRequestInformation({ transactionUID, references: (uids.length ? uids : ['1.1', '1.2']).map(ct) });
const anAction = (information: DicomJson, more: Partial<CommandSet> = {}) => {
  const { command, ...request } = aRequest(storageCommitmentClassUID, 0x0130, information);
  const { affectedSOPClassUID: _, ...rest } = command;
  return { ...request, command: { ...rest, requestedSOPClassUID: storageCommitmentClassUID, requestedSOPInstanceUID: storageCommitmentInstanceUID, actionTypeID: 1, ...more } };
};
const times = { lookMs: 5, takeMs: 200, answerMs: 1_000 };
const report: CommitmentReport = { transactionUID: '1.2.3', committed: [ct('1.1')], failed: [{ ...ct('1.2'), failureReason: 0x0112 }] };

describe('storage commitment as SCP', () => {
  const folders: string[] = [];
  after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  /** A gateway's folder, and a service on an association that answers reports by `answer`. */
  const aService = async ({ noRoom, answer = () => 0, callingAETitle = 'CT1', spoolDir }: { readonly noRoom?: NoRoom; readonly answer?: (command: Partial<CommandSet>, bytes: Buffer) => number; readonly callingAETitle?: string; readonly spoolDir?: string } = {}) => {
    const dir = spoolDir ?? await mkdtemp(path.join(tmpdir(), 'commitment-'));
    if (!spoolDir) folders.push(dir);
    const folder = new CommitmentFolder(dir);
    if (!spoolDir) await folder.recover();
    let isOpen = true;
    const link: AssociationLink = {
      contexts: [{ id: 1, abstractSyntaxUID: storageCommitmentClassUID, transferSyntaxUID: implicitVRLittleEndian, requestorIsScp: false }], extensions: new Map(),
      get isOpen() { return isOpen; },
      request: async (_, command, dataSet) => ({ commandField: 0x8100, commandDataSetType: 0x0101, status: answer(command, dataSet as Buffer) }),
    };
    let taken = 0;
    const service = openCommitment({ folder, asked: new AskedFolder(dir), watermark: { noRoom: () => noRoom }, tenantId: 'demo', gatewayId: 'gw1', log: quiet, onTaken: () => { taken++; }, lookMs: 5 })({ ...info, callingAETitle }, link);
    const ask = async (information: DicomJson, more: Partial<CommandSet> = {}) => (await service.handle(anAction(information, more), anOperation().operation)).status;
    const end = async () => {
      isOpen = false;
      await service.ended?.('released');
    };
    return { dir, folder, ask, end, service, desk: commitmentDesk(dir, times), taken: () => taken };
  };

  it('answers 0000 when the request is on the disk, with what it asks and who asks', async () => {
    const { folder, ask, end, taken } = await aService();

    const status = await ask(asking());
    await end();

    const { requestId, receivedAt, ...request } = (await folder.read('1.2.3'))!;
    assert.deepEqual([status, taken()], [0, 1]);
    assert.deepEqual(request, { transactionUID: '1.2.3', references: [ct('1.1'), ct('1.2')], tenantId: 'demo', gatewayId: 'gw1', callingAETitle: 'CT1', calledAETitle: 'PACS' } satisfies Omit<TakenCommitment, 'requestId' | 'receivedAt'>);
    assert.ok(requestId !== '' && Date.parse(receivedAt) > 0);
  });

  it('takes the same request twice as one, and answers 0131 to another one of the same Transaction UID', async () => {
    const { dir, folder, ask, end } = await aService();
    const other = await aService({ callingAETitle: 'CT2', spoolDir: dir });

    const statuses = [await ask(asking()), await ask(asking('1.2.3', '1.2', '1.1')), await ask(asking('1.2.3', '1.1')), await other.ask(asking()), await ask(asking('1.2.4'))];
    await Promise.all([end(), other.end()]);

    assert.deepEqual(statuses, [0, 0, 0x0131, 0x0131, 0]);
    assert.equal(await folder.count(), 2);
  });

  it('lets one of many requests at once with one Transaction UID in', async () => {
    const { dir, end } = await aService();
    const services = await Promise.all(['A', 'B', 'C', 'D'].map((callingAETitle) => aService({ callingAETitle, spoolDir: dir })));

    const statuses = await Promise.all(services.map(({ ask }) => ask(asking())));
    await Promise.all([...services.map((each) => each.end()), end()]);

    assert.deepEqual(statuses.toSorted((a, b) => a - b), [0, 0x0131, 0x0131, 0x0131]);
  });

  const wrong: readonly (readonly [string, number, DicomJson, Partial<CommandSet>])[] = [
    ['another action', 0x0123, asking(), { actionTypeID: 2 }],
    ['another instance', 0x0112, asking(), { requestedSOPInstanceUID: '1.2.840.10008.1.20.1.2' }],
    ['another class', 0x0118, asking(), { requestedSOPClassUID: '1.2.840.10008.1.20.2' }],
    ['no Transaction UID', 0x0120, { '00081199': asking()['00081199']! }, {}],
    ['an empty list', 0x0121, { ...asking(), '00081199': { vr: 'SQ', Value: [] } }, {}],
    ['a Transaction UID that is none', 0x0106, { ...asking(), '00081195': { vr: 'UI', Value: ['a/b'] } }, {}],
  ];
  for (const [what, code, information, command] of wrong) {
    it(`answers ${code.toString(16).padStart(4, '0')} to ${what} and keeps nothing`, async () => {
      const { folder, ask, end, taken } = await aService();

      const status = await ask(information, command);
      await end();

      assert.deepEqual([status, await folder.count(), taken()], [code, 0, 0]);
    });
  }

  it('answers 0115 to bytes that are no data set, 0212 to none, and 0213 when the disk is full', async () => {
    const [roomy, full] = [await aService(), await aService({ noRoom: 'diskFull' })];
    const action = anAction(asking());

    const broken = await roomy.service.handle({ ...action, dataSet: aDataSetStream(Buffer.from('0800951155490000ffff', 'hex')) }, anOperation().operation);
    const empty = await roomy.service.handle({ ...action, dataSet: undefined }, anOperation().operation);
    const noRoom = await full.ask(asking());
    await Promise.all([roomy.end(), full.end()]);

    assert.deepEqual([broken.status, empty.status, noRoom], [0x0115, 0x0212, 0x0213]);
  });

  it('takes three thousand references', async () => {
    const { folder, ask, end } = await aService();
    const uids = Array.from({ length: 3_000 }, (_, number) => `1.2.826.0.1.3680043.8.498.12345678901234567890123456789012.${number}`);

    assert.equal(await ask(asking('1.2.3', ...uids)), 0);
    await end();

    assert.equal((await folder.read('1.2.3'))?.references.length, 3_000);
  });

  it('gives the report on the association that asked, while it stands', async () => {
    const events: { readonly type: number | undefined; readonly bytes: Buffer }[] = [];
    const { ask, end, desk, dir } = await aService({ answer: ({ eventTypeID }, bytes) => {
      events.push({ type: eventTypeID, bytes });
      return 0;
    } });
    await ask(asking());

    const status = await desk.tellOnItsAssociation(report, new AbortController().signal);
    await end();

    assert.deepEqual([status, events.map(({ type }) => type)], [0, [2]]);
    assert.deepEqual(readCommitmentReport(await readIdentifier(aDataSetStream(events[0]!.bytes), implicitVRLittleEndian)), report);
    assert.equal((await readdir(path.join(dir, 'commitments'))).length, 1, 'the request alone is left');
  });

  it('says that nobody was told when the association is over, broke meanwhile, or the gateway is dead', async () => {
    const over = await aService();
    await over.ask(asking());
    await over.end();
    const broke = await aService({ answer: () => { throw new AssociationOver('it ended'); } });
    await broke.ask(asking());
    const dead = await aService();
    await dead.folder.markOpen('1.2.3', true);

    const told = await Promise.all([over, broke, dead].map(({ desk }) => desk.tellOnItsAssociation(report, new AbortController().signal)));
    await Promise.all([broke.end(), dead.end()]);

    assert.deepEqual(told, [undefined, undefined, undefined]);
    assert.equal(await dead.folder.takeOffer('1.2.3'), undefined, 'an offer that was withdrawn is not given later');
  });

  it('tells the cloud of every request until it takes it, again after a restart, and never of one that is gone', async () => {
    const { folder, ask, end, desk } = await aService();
    await ask(asking('1.2.3'));
    await ask(asking('1.2.4'));
    await end();
    let [now, isAway] = [0, true];
    const started: CommitStorageInput[] = [];
    const clock = { now: () => now, timestamp: () => '', after: () => () => undefined };
    const client = { start: async (input: CommitStorageInput) => {
      if (isAway) throw new Error('away');
      started.push(input);
    } };
    const aTeller = () => new CommitmentTeller({ folder, client, clock, log: quiet, waitMs: 60_000 });
    const teller = aTeller();

    await teller.tell();
    assert.deepEqual([started.length, teller.state], [0, { waiting: 2, untold: 2 }]);
    [now, isAway] = [60_000, false];
    await teller.tell();
    await teller.tell();
    const first = started.splice(0);
    assert.deepEqual(teller.state, { waiting: 2, untold: 0 });
    await desk.remove('1.2.3');
    await aTeller().tell();

    assert.deepEqual(first.map(({ transactionUID, referenceCount, waitMs }) => [transactionUID, referenceCount, waitMs]).toSorted(), [['1.2.3', 2, 60_000], ['1.2.4', 2, 60_000]]);
    assert.deepEqual(Object.keys(first[0]!).toSorted(), ['calledAETitle', 'callingAETitle', 'gatewayId', 'receivedAt', 'referenceCount', 'tenantId', 'transactionUID', 'waitMs']);
    assert.deepEqual(started.map(({ transactionUID }) => transactionUID), ['1.2.4']);
  });
});
