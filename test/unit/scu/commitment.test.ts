import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { commitmentReportInformation, eventOf, readCommitmentRequest, storageCommitmentClassUID, storageCommitmentInstanceUID, type CommitmentReport } from '../../../dicom/storageCommitment.ts';
import { AskedFolder } from '../../../edge-gateway/commitment/asked.ts';
import { commitmentAsker } from '../../../edge-gateway/commitment/asker.ts';
import { CommitmentFolder } from '../../../edge-gateway/commitment/folder.ts';
import { CommitmentNotAccepted, reportCommitment } from '../../../edge-gateway/scu/commitment.ts';
import type { Peer } from '../../../edge-gateway/scu/errors.ts';
import { commitmentPolicy, openCommitment } from '../../../edge-gateway/services/commitment.ts';
import { encodeIdentifier, readIdentifier } from '../../../edge-gateway/services/identifier.ts';
import type { AssociationLink } from '../../../edge-gateway/services/service.ts';
import { composeSession, type DimseService } from '../../../edge-gateway/services/session.ts';
import { aDicomServer, closeDicomServers } from '../../support/aDicomServer.ts';
import { quiet } from '../dimse/support.ts';

const ct = (sopInstanceUID: string) => ({ sopClassUID: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUID });
const request = { transactionUID: '2.25.7', references: [ct('1.1'), ct('1.2')] };
const report: CommitmentReport = { transactionUID: '2.25.7', committed: [ct('1.1')], failed: [{ ...ct('1.2'), failureReason: 0x0112 }] };
const peerAt = (port: number): Peer => ({ host: '127.0.0.1', port, callingAETitle: 'PACS', calledAETitle: 'PACS' });
const never = new AbortController().signal;

describe('storage commitment as SCU', () => {
  const folders: string[] = [];
  afterEach(closeDicomServers);
  after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
  const aFolder = async (): Promise<string> => {
    const folder = await mkdtemp(path.join(tmpdir(), 'commitment-'));
    folders.push(folder);
    return folder;
  };

  /** An SCP that answers N-ACTION by these statuses, one a request, and reports on the same association. */
  const anScp = async ({ statuses = [0], reports = true }: { readonly statuses?: readonly number[]; readonly reports?: boolean } = {}) => {
    const asked: string[] = [];
    const answers: (number | undefined)[] = [];
    const open = (link: AssociationLink): DimseService => ({ operations: [0x0130], handle: async ({ dataSet, transferSyntaxUID, presentationContextId }) => {
      const { transactionUID } = readCommitmentRequest(await readIdentifier(dataSet!, transferSyntaxUID));
      const status = statuses[asked.length] ?? 0;
      asked.push(transactionUID);
      if (reports && status === 0) setTimeout(() => void give(link, presentationContextId, transferSyntaxUID).then((answer) => answers.push(answer)), 20);
      return { status };
    } });
    const give = async (link: AssociationLink, contextId: number, transferSyntaxUID: string) => (await link.request(contextId,
      { commandField: 0x0100, affectedSOPClassUID: storageCommitmentClassUID, affectedSOPInstanceUID: storageCommitmentInstanceUID, eventTypeID: eventOf(report) },
      encodeIdentifier(commitmentReportInformation(report), transferSyntaxUID, []))).status;
    const { port } = await aDicomServer({ policy: { services: commitmentPolicy }, openSession: composeSession([(_, link) => open(link)]) });
    return { port, asked, answers };
  };

  it('takes the report on the association that asks, answers it, and asks once', async () => {
    const { port, asked, answers } = await anScp();
    const asker = commitmentAsker(await aFolder(), undefined, 5_000);

    const first = await asker.ask(peerAt(port), request, never);
    const second = await asker.ask(peerAt(port), request, never);

    assert.deepEqual([first.report, second, asked, answers], [report, first, ['2.25.7'], [0]]);
  });

  it('takes it later at the gateway, from a peer that takes the SCP role, and after restarts', async () => {
    const spoolDir = await aFolder();
    const { port } = await anScp({ reports: false });
    const asked = await commitmentAsker(spoolDir, undefined, 10).ask(peerAt(port), request, never);
    const folder = new CommitmentFolder(spoolDir);
    await folder.recover();
    const gateway = await aDicomServer({ policy: { services: commitmentPolicy }, openSession: composeSession([
      openCommitment({ folder, asked: new AskedFolder(spoolDir), watermark: { noRoom: () => undefined }, tenantId: 'demo', gatewayId: 'gw1', log: quiet, onTaken: () => undefined })]) });

    const status = await reportCommitment(peerAt(gateway.port), report);
    const stranger = await reportCommitment(peerAt(gateway.port), { ...report, transactionUID: '2.25.8' });
    const later = await commitmentAsker(spoolDir).ask(peerAt(1), request, never);

    assert.deepEqual([asked.report, status, stranger, later], [undefined, 0, 0x0115, { ...asked, report }]);
  });

  it('asks again when a worker died while it asked; a peer that knows the transaction has taken it', async () => {
    const spoolDir = await aFolder();
    const { port, asked } = await anScp({ statuses: [0x0131], reports: false });
    await new AskedFolder(spoolDir).note({ transactionUID: '2.25.7', askedAt: '2024-05-01T10:00:00.000Z', isAccepted: false });

    const found = await commitmentAsker(spoolDir, undefined, 10).ask(peerAt(port), request, never);

    assert.deepEqual([found, asked], [{ askedAt: '2024-05-01T10:00:00.000Z' }, ['2.25.7']]);
  });

  it('knows nothing of a transaction that was refused, or could not be asked', async () => {
    const spoolDir = await aFolder();
    const { port } = await anScp({ statuses: [0x0213, 0x0131] });
    const noService = await aDicomServer();
    const asker = commitmentAsker(spoolDir, undefined, 10);

    await assert.rejects(asker.ask(peerAt(port), request, never), (error) => error instanceof CommitmentNotAccepted && /0213/.test(error.message));
    await assert.rejects(asker.ask(peerAt(port), request, never), /0131/);
    await assert.rejects(asker.ask(peerAt(noService.port), request, never), CommitmentNotAccepted);
    assert.equal(await new AskedFolder(spoolDir).read('2.25.7'), undefined);
  });

  it('ends an association whose peer breaks off in the middle of its report, and goes on waiting for it', async () => {
    const spoolDir = await aFolder();
    const open = (link: AssociationLink): DimseService => ({ operations: [0x0130], handle: async ({ presentationContextId }) => {
      setTimeout(() => void link.request(presentationContextId, { commandField: 0x0100, affectedSOPClassUID: storageCommitmentClassUID, affectedSOPInstanceUID: storageCommitmentInstanceUID, eventTypeID: 1 },
        (async function* () { yield Buffer.alloc(40_000); throw new Error('the disk broke'); })()).catch(() => undefined), 20);
      return { status: 0 };
    } });
    const { port } = await aDicomServer({ policy: { services: commitmentPolicy }, openSession: composeSession([(_, link) => open(link)]) });

    const { report: none } = await commitmentAsker(spoolDir, undefined, 5_000).ask(peerAt(port), request, never);

    assert.equal(none, undefined);
    assert.equal((await new AskedFolder(spoolDir).read('2.25.7'))?.isAccepted, true);
  });
});
