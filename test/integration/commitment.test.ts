import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DicomDestination } from '../../domain/tenant.ts';
import { aUID } from '../support/aStudy.ts';
import { freePort, removeTempFolders, runScript, startPeer, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, startPacs, type Pacs } from '../support/stack.ts';

interface Line {
  readonly status?: number | null;
  readonly event?: number;
  readonly roles?: readonly boolean[] | null;
  readonly calledAETitle?: string;
  readonly onListener?: boolean;
  readonly transferSyntaxUID?: string;
  readonly transactionUID?: string;
  readonly committed?: readonly (readonly string[])[];
  readonly failed?: readonly (readonly (string | number)[])[];
}

const ctClass = '1.2.840.10008.5.1.4.1.1.2';
const mrClass = '1.2.840.10008.5.1.4.1.1.4';

describe('storage commitment', function () {
  this.timeout(120_000);
  const peers = testPeers();
  const running: PeerProcess[] = [];
  let pacs: Pacs;
  before('a PACS of its own: parts of it are killed', async function () {
    this.timeout(240_000);
    pacs = await startPacs({ env: { PACS_COMMITMENT_WAIT_SECONDS: '3', PACS_ROUTE_COMMITMENT_SECONDS: '25' } });
  });
  afterEach(async () => {
    for (const peer of running.splice(0)) await peer.stop();
    await pacs.api.configure(() => ({ destinations: [], rules: [] }));
  });
  after(async function () {
    this.timeout(90_000);
    await pacs?.stop();
    await removeTempFolders();
  });

  const aStudy = async (count: number): Promise<MadeStudy> => {
    const study = await madeStudy(peers().python, await tempFolder(), 'CT_small.dcm', count);
    const answers = await sendFiles(peers().python, pacs.stack.urls.dicom, study.files.map(({ file }) => file));
    assert.deepEqual(answers.map(({ status }) => status), Array(count).fill(0));
    return study;
  };
  const referencesOf = ({ files }: MadeStudy): readonly (readonly string[])[] => files.map(({ sopInstanceUID }) => [ctClass, sopInstanceUID]);
  const ask = (request: object): Promise<readonly Line[]> => {
    const { host, port, aeTitle } = pacs.stack.urls.dicom;
    return runScript<Line>(peers().python, 'commitment_scu.py', { host, port, calledAETitle: aeTitle, callingAETitle: 'CT1', transactionUID: aUID(), ...request });
  };
  const requestorAt = (port: number, calledAETitle = 'CT1'): Promise<void> => pacs.api.configure(() => ({
    destinations: [{ kind: 'dicom', destinationId: 'ct1', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle } satisfies DicomDestination], rules: [] }));
  const sorted = (pairs: readonly (readonly (string | number)[])[] | undefined) => (pairs ?? []).map((pair) => pair.join(' ')).toSorted();
  const flowOf = (transactionUID: string) => pacs.api.flow(`${pacs.tenantId}/commitment/gw1/${transactionUID}`);

  it('is reported to pynetdicom on the association that asked, right after sending, before anything is archived', async () => {
    const [study, transactionUID] = [await aStudy(5), aUID()];

    const [action, report, ...more] = await ask({ transactionUID, references: referencesOf(study), transferSyntaxes: ['1.2.840.10008.1.2.1'] });

    assert.deepEqual([action!.status, more], [0, []]);
    assert.deepEqual([report!.event, report!.transactionUID, report!.onListener, report!.transferSyntaxUID, report!.failed], [1, transactionUID, false, '1.2.840.10008.1.2.1', []]);
    assert.deepEqual(sorted(report!.committed), sorted(referencesOf(study)));
    const flow = await eventually('the flow is done', async () => { const now = await flowOf(transactionUID); return now.result !== undefined && now; });
    assert.deepEqual(flow.result, { committedCount: 5, failedCount: 0, told: 'sameAssociation' });
    const event = await eventually('history tells it', async () => (await pacs.api.history(study.studyInstanceUID)).find(({ action: what }) => what === 'commitment.reported'));
    assert.deepEqual([event.actor, event.counts], ['CT1@gw1', { committed: 5, failed: 0 }]);
  });

  it('is reported on a new association with the roles reversed; what is missing or of another class has failed', async () => {
    const [study, port, missing] = [await aStudy(2), await freePort(), aUID()];
    await requestorAt(port);
    const [first, second] = referencesOf(study);

    const [action, report] = await ask({ listen: port, references: [first!, [mrClass, second![1]!], [ctClass, missing]] });

    assert.deepEqual([action!.status, report!.event, report!.onListener, report!.roles, report!.calledAETitle], [0, 2, true, [false, true], pacs.stack.urls.dicom.aeTitle]);
    assert.deepEqual(sorted(report!.committed), sorted([first!]));
    assert.deepEqual(sorted(report!.failed), sorted([[mrClass, second![1]!, 0x0119], [ctClass, missing, 0x0112]]));
  });

  it('waits for a requestor that is away; when nobody knows where it is, a person adds it and retries', async () => {
    const [study, port, transactionUID] = [await aStudy(1), await freePort(), aUID()];

    await ask({ transactionUID, references: referencesOf(study), listen: await freePort(), waitSeconds: 0 });
    const unknown = await eventually('a person is asked', async () => { const now = await flowOf(transactionUID); return now.state === 'ATTENTION' && now; });
    await requestorAt(port);
    const retried = await pacs.api.call(`flows/${pacs.tenantId}/commitment/gw1/${transactionUID}/retry`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ why: 'CT1 is configured' }) });
    await eventually('it waits for CT1', async () => (await flowOf(transactionUID)).state === 'DESTINATION_AWAY');
    const [report] = await ask({ transactionUID: null, listen: port });

    assert.match(unknown.sentence!, /no DICOM destination of gateway gw1 has its AE title/);
    assert.equal(retried.status < 300, true, await retried.text());
    assert.deepEqual([report!.event, report!.transactionUID], [1, transactionUID]);
  });

  it('outlives a gateway and a worker that are killed between request and report', async () => {
    const [study, port, transactionUID] = [await aStudy(4), await freePort(), aUID()];
    await requestorAt(port);

    await pacs.stack.kill('worker');
    const [action] = await ask({ transactionUID, references: referencesOf(study), listen: await freePort(), waitSeconds: 0 });
    await pacs.stack.kill('gateway');
    await pacs.stack.restart('worker');
    await pacs.stack.restart('gateway');
    const [report] = await ask({ transactionUID: null, listen: port });

    assert.deepEqual([action!.status, report!.event, report!.transactionUID], [0, 1, transactionUID]);
    assert.deepEqual(sorted(report!.committed), sorted(referencesOf(study)));
  });

  /** Orthanc, with our gateway as the modality `pacs`. */
  const anOrthanc = async (dicomPort: number) => {
    const [folder, httpPort] = [await tempFolder(), await freePort()];
    const { host, port, aeTitle } = pacs.stack.urls.dicom;
    writeFileSync(path.join(folder, 'orthanc.json'), JSON.stringify({
      Name: 'test', StorageDirectory: folder, IndexDirectory: folder, DicomAet: 'ORTHANC', DicomPort: dicomPort, HttpPort: httpPort, Plugins: [], DicomAlwaysAllowStore: true,
      AuthenticationEnabled: false, RemoteAccessAllowed: false, HttpServerEnabled: true, DicomModalities: { pacs: { AET: aeTitle, Host: host, Port: port, AllowStorageCommitment: true } },
    }));
    running.push(startPeer(peers().orthanc, [path.join(folder, 'orthanc.json')]));
    const rest = async <T>(at: string, init: RequestInit = {}): Promise<T> => await (await fetch(`http://127.0.0.1:${httpPort}/${at}`, init)).json() as T;
    await eventually('Orthanc answers', () => rest('system'));
    return rest;
  };

  it('is asked for by Orthanc, which is told on a new association', async () => {
    const dicomPort = await freePort();
    const rest = await anOrthanc(dicomPort);
    await requestorAt(dicomPort, 'ORTHANC');
    const study = await aStudy(3);
    const missing = aUID();

    const { ID } = await rest<{ readonly ID: string }>('modalities/pacs/storage-commitment', { method: 'POST', body: JSON.stringify({ DicomInstances: [...referencesOf(study), [ctClass, missing]] }) });
    const report = await eventually('Orthanc has the report', async () => {
      const now = await rest<{ readonly Status: string; readonly Success: readonly object[]; readonly Failures: readonly { readonly SOPInstanceUID: string; readonly FailureReason: number }[] }>(`storage-commitment/${ID}`);
      return now.Status !== 'Pending' && now;
    });

    assert.deepEqual([report.Status, report.Success.length, report.Failures.map(({ SOPInstanceUID, FailureReason }) => [SOPInstanceUID, FailureReason])], ['Failure', 3, [[missing, 0x0112]]]);
  });

  describe('as what confirms a delivery', () => {
    interface ScpLine { readonly stored?: string; readonly asked?: string; readonly count?: number; readonly reported?: string; readonly how?: string; readonly status?: number | null }

    /** See test/support/commitment_scp.py. */
    const anScp = async (mode: string) => {
      const [port, folder] = [await freePort(), await tempFolder()];
      const modeFile = path.join(folder, 'mode');
      writeFileSync(modeFile, mode);
      const { port: gatewayPort, aeTitle } = pacs.stack.urls.dicom;
      const peer = startPeer(peers().python, [path.join(import.meta.dirname, '../support/commitment_scp.py'), `${port}`, modeFile, `${gatewayPort}`, aeTitle]);
      running.push(peer);
      await pacs.api.configure(() => ({ rules: [], destinations: [{ kind: 'dicom', destinationId: 'keeper', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle: 'COMMITSCP', confirmation: 'commitment' } satisfies DicomDestination] }));
      const lines = (): readonly ScpLine[] => peer.output().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as ScpLine);
      return { lines, setMode: (next: string) => writeFileSync(modeFile, next) };
    };
    const archived = async (count: number): Promise<MadeStudy> => {
      const study = await aStudy(count);
      await eventually('the study is archived', () => pacs.api.isFound(study.studyInstanceUID, count));
      return study;
    };
    const route = async (study: MadeStudy, destinationId = 'keeper'): Promise<string> => {
      const answer = await pacs.api.call('routes', { method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() }, body: JSON.stringify({ studyInstanceUID: study.studyInstanceUID, destinationId }) });
      return (await answer.json() as { readonly flowId: string }).flowId;
    };
    const delivered = (study: MadeStudy, destinationId = 'keeper') => eventually('every instance is delivered', async () => {
      const { instances } = await pacs.api.ledger(destinationId, study.studyInstanceUID);
      return instances.length === study.files.length && instances.every(({ state }) => state === 'delivered') && instances;
    }, 90_000);
    const confirmedBy = (instances: Awaited<ReturnType<typeof delivered>>) => instances.map((entry) => (entry as { readonly confirmed?: { readonly by: string } }).confirmed?.by);

    for (const mode of ['same', 'new', 'plain']) {
      it(`counts as delivered what the destination committed itself to: reported ${{ same: 'on the association that asked', new: 'on one of its own', plain: 'on one of its own, without roles' }[mode]}`, async () => {
        const [study, scp] = [await archived(3), await anScp(mode)];

        await route(study);
        const instances = await delivered(study);

        assert.deepEqual(confirmedBy(instances), Array(3).fill('commitment'));
        assert.deepEqual(scp.lines().filter(({ stored }) => stored === undefined).map(({ count, how, status }) => count ?? [how, status]), [3, [mode === 'same' ? 'same' : 'new', 0]]);
      });
    }

    it('sends again what the destination lost, and asks a person about what it refuses', async () => {
      const [study, scp] = [await archived(2), await anScp('lose')];
      await route(study);
      await delivered(study);
      scp.setMode('conflict');
      const other = await archived(2);
      const flowId = await route(other);
      const parked = await eventually('a person is asked', async () => { const now = await pacs.api.flow(flowId); return now.state === 'ATTENTION' && now; });
      const { instances } = await pacs.api.ledger('keeper', other.studyInstanceUID);

      const ofStudy = study.files.map(({ sopInstanceUID }) => sopInstanceUID);
      assert.match(parked.sentence!, /refused 1 instances for good/);
      assert.deepEqual(instances.map(({ state, lastStatus }) => [state, state === 'refused' ? lastStatus : undefined]).toSorted(), [['delivered', undefined], ['refused', 0x0119]]);
      assert.equal(scp.lines().filter(({ stored }) => stored !== undefined && ofStudy.includes(stored)).length, 3);
    });

    it('outlives worker and gateway that are killed between request and report, and asks once', async () => {
      const [study, scp] = [await archived(2), await anScp('late')];

      await route(study);
      await eventually('it was asked', () => scp.lines().some(({ asked }) => asked));
      await Promise.all([pacs.stack.kill('worker'), pacs.stack.kill('gateway')]);
      await pacs.stack.restart('gateway');
      await eventually('the gateway has taken the report, before there is a worker', () => scp.lines().some(({ reported }) => reported));
      await pacs.stack.restart('worker');
      const instances = await delivered(study);

      assert.deepEqual(confirmedBy(instances), ['commitment', 'commitment']);
      assert.deepEqual([scp.lines().filter(({ asked }) => asked).length, scp.lines().filter(({ stored }) => stored).length, scp.lines().at(-1)!.status], [1, 2, 0]);
    });

    it('asks anew, under another Transaction UID, what was not reported in time', async () => {
      const [study, scp] = [await archived(1), await anScp('silent')];

      await route(study);
      await eventually('it was asked', () => scp.lines().some(({ asked }) => asked));
      scp.setMode('new');
      await delivered(study);

      const asked = scp.lines().flatMap(({ asked: uid }) => uid ?? []);
      assert.deepEqual([asked.length, new Set(asked).size, scp.lines().filter(({ stored }) => stored).length], [2, 2, 1]);
    });

    it('is taken from Orthanc, which reports on an association of its own', async () => {
      const [study, dicomPort] = [await archived(3), await freePort()];
      await anOrthanc(dicomPort);
      await pacs.api.configure(() => ({ rules: [], destinations: [{ kind: 'dicom', destinationId: 'orthanc', gatewayId: 'gw1', host: '127.0.0.1', port: dicomPort, calledAETitle: 'ORTHANC', confirmation: 'commitment' } satisfies DicomDestination] }));

      await route(study, 'orthanc');

      assert.deepEqual(confirmedBy(await delivered(study, 'orthanc')), Array(3).fill('commitment'));
    });
  });
});
