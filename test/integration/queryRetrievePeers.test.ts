import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DicomDestination } from '../../domain/tenant.ts';
import { freePort, removeTempFolders, runPeer, runScript, startPeer, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { command, element, pdu, pdv, associatedPeer, commandUint16, implicitLE } from '../support/scriptedPeer.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

const studyRootFind = '1.2.840.10008.5.1.4.1.2.2.1';

describe('Query/Retrieve with other people\'s archives and tools', function () {
  this.timeout(120_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  const running: PeerProcess[] = [];
  let study: MadeStudy;

  before('a study is archived', async function () {
    this.timeout(240_000);
    study = await madeStudy(peers().python, await tempFolder(), 'CT_small.dcm', 3, { PatientID: 'PEER-1', PatientName: 'Peer^Paula', StudyDate: '20240506' });
    await sendFiles(peers().python, pacs().stack.urls.dicom, study.files.map(({ file }) => file));
    await eventually('the study is found', () => pacs().api.isFound(study.studyInstanceUID, 3));
  });
  afterEach(async () => {
    for (const peer of running.splice(0)) await peer.stop();
    await pacs().api.configure(() => ({ destinations: [], rules: [] }));
  });
  after(removeTempFolders);

  const dicom = () => pacs().stack.urls.dicom;
  const destination = (calledAETitle: string, port: number): Promise<void> => {
    const workstation: DicomDestination = { kind: 'dicom', destinationId: 'peer', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle };
    return pacs().api.configure(() => ({ destinations: [workstation], rules: [] }));
  };
  const answers = (port: number, aeTitle: string): Promise<boolean> =>
    eventually(`${aeTitle} answers`, async () => (await runPeer(peers().echoscu, ['-aec', aeTitle, '127.0.0.1', `${port}`])).code === 0);
  const pynetdicom = (app: string, ...args: readonly string[]) => runPeer(peers().python, ['-m', 'pynetdicom', app, ...args]);
  const uids = (): readonly string[] => study.files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted();

  it('Orthanc queries us, reads the answers, and retrieves them to itself by C-MOVE', async () => {
    const [dicomPort, httpPort, folder] = [await freePort(), await freePort(), await tempFolder()];
    writeFileSync(path.join(folder, 'orthanc.json'), JSON.stringify({
      Name: 'test', StorageDirectory: folder, IndexDirectory: folder, DicomAet: 'ORTHANC', DicomPort: dicomPort, HttpPort: httpPort, Plugins: [], HttpServerEnabled: true,
      DicomCheckCalledAet: true, DicomAlwaysAllowStore: true, AuthenticationEnabled: false, RemoteAccessAllowed: false,
      DicomModalities: { pacs: [dicom().aeTitle, dicom().host, dicom().port] },
    }));
    running.push(startPeer(peers().orthanc, [path.join(folder, 'orthanc.json')]));
    const rest = async <T>(at: string, body?: unknown): Promise<T> => {
      const response = await fetch(`http://127.0.0.1:${httpPort}/${at}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
      assert.ok(response.ok, `${at}: ${response.status} ${response.ok ? '' : await response.text()}`);
      return await response.json() as T;
    };
    await eventually('Orthanc answers', () => rest('system'));
    await destination('ORTHANC', dicomPort);

    const { ID } = await rest<{ readonly ID: string }>('modalities/pacs/query', { Level: 'Study', Query: { PatientID: 'PEER-1', StudyDate: '20240501-20240531' } });
    const found = await rest<readonly string[]>(`queries/${ID}/answers`);
    const [first] = await Promise.all(found.map((at) => rest<Readonly<Record<string, string>>>(`queries/${ID}/answers/${at}/content?simplify`)));
    await rest(`queries/${ID}/answers/0/retrieve`, { TargetAet: 'ORTHANC', Synchronous: true });

    assert.deepEqual([found.length, first!['StudyInstanceUID']], [1, study.studyInstanceUID]);
    const stored = await rest<readonly { readonly MainDicomTags: { readonly SOPInstanceUID: string } }[]>('instances?expand');
    assert.deepEqual(stored.map(({ MainDicomTags }) => MainDicomTags.SOPInstanceUID).toSorted(), uids());
    const [id] = await rest<readonly string[]>('instances');
    const remote = await (await fetch(`http://127.0.0.1:${httpPort}/instances/${id}/metadata/RemoteAET`)).text();
    assert.equal(remote, dicom().aeTitle);
  });

  it('pynetdicom finds, moves to its own storage SCP, and gets', async () => {
    const [port, folder] = [await freePort(), await tempFolder()];
    running.push(startPeer(peers().python, ['-m', 'pynetdicom', 'storescp', `${port}`, '-aet', 'STORESCP', '-od', folder]));
    await answers(port, 'STORESCP');
    await destination('STORESCP', port);
    const to = [dicom().host, `${dicom().port}`, '-aec', dicom().aeTitle];
    const keys = ['-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${study.studyInstanceUID}`];
    const gotten = await tempFolder();

    const found = await pynetdicom('findscu', ...to, '-S', ...keys, '-k', 'PatientName=');
    const moved = await pynetdicom('movescu', ...to, '-S', ...keys, '-aem', 'STORESCP');
    const got = await pynetdicom('getscu', ...to, '-S', ...keys, '-od', gotten);

    assert.match(found.output, /Peer\^Paula/);
    assert.deepEqual([found.code, moved.code, got.code], [0, 0, 0], [found, moved, got].map(({ output }) => output).join('\n'));
    assert.deepEqual([readdirSync(folder).length, readdirSync(gotten).length], [3, 3]);
  });

  it('getscu of DCMTK gets in the transfer syntax it prefers, and findscu lists', async () => {
    const folder = await tempFolder();
    const keys = ['-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${study.studyInstanceUID}`];

    const got = await runPeer(peers().getscu, ['-S', '-aec', dicom().aeTitle, '+xi', '-od', folder, ...keys, dicom().host, `${dicom().port}`]);
    const found = await runPeer(peers().findscu, ['-v', '-S', '-aec', dicom().aeTitle, ...keys, '-k', 'PatientName', dicom().host, `${dicom().port}`]);

    assert.deepEqual([got.code, readdirSync(folder).length], [0, 3], got.output);
    assert.match(found.output, /Peer\^Paula/);
  });

  it('a peer that asks the gateway to shut down (termscu) changes nothing', async () => {
    await runPeer('termscu', ['-aec', dicom().aeTitle, dicom().host, `${dicom().port}`]);

    await answers(dicom().port, dicom().aeTitle);
  });

  it('a proposed asynchronous window is answered 1,1, and requests are answered in their order', async () => {
    const [association, ...responses] = await runScript<{ readonly window?: readonly number[]; readonly status?: number }>(peers().python, 'query_retrieve.py', { ...dicom(),
      calledAETitle: dicom().aeTitle, callingAETitle: 'ASYNC', operation: 'find', model: studyRootFind, window: [8, 4],
      identifier: { '00080052': { vr: 'CS', Value: ['STUDY'] }, '0020000D': { vr: 'UI', Value: [study.studyInstanceUID] } } });

    assert.deepEqual([association!.window, responses.map(({ status }) => status)], [[1, 1], [0xff00, 0]]);
  });

  it('a C-FIND whose C-CANCEL comes with it ends with FE00 and no match', async () => {
    const peer = await associatedPeer(dicom().port, { calledAETitle: dicom().aeTitle, contexts: [[1, studyRootFind, implicitLE]] });
    const text = (group: number, number: number, value: string): Buffer => {
      const bytes = element(number, value);
      bytes.writeUInt16LE(group, 0);
      return bytes;
    };
    const request = Buffer.concat([element(0x0002, studyRootFind), element(0x0100, 0x0020), element(0x0110, 9), element(0x0700, 0), element(0x0800, 1)]);
    const cancel = Buffer.concat([element(0x0100, 0x0fff), element(0x0120, 9), element(0x0800, 0x0101)]);
    const identifier = Buffer.concat([text(0x0008, 0x0052, 'STUDY '), text(0x0020, 0x000d, '')]);

    // One write: the cancel is read while the cloud is asked.
    peer.send(command(1, request), pdu(4, pdv(1, 2, identifier)), command(1, cancel));
    const response = await peer.receive();

    assert.deepEqual([0x0100, 0x0120, 0x0900].map((number) => commandUint16(response!, number)), [0x8020, 9, 0xfe00]);
    peer.end();
  });
});
