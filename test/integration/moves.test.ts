import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import type { DicomJson } from '../../dicom/json.ts';
import type { DicomDestination } from '../../domain/tenant.ts';
import { freePort, removeTempFolders, runPeer, runScript, startPeer, storescpProfile, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

interface Line {
  readonly status?: number;
  readonly identifier?: DicomJson | null;
  readonly remaining?: number | null;
  readonly completed?: number | null;
  readonly failed?: number | null;
}

describe('C-MOVE', function () {
  this.timeout(120_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  const running: PeerProcess[] = [];
  let ct: MadeStudy;
  let mr: MadeStudy;
  let port: number;
  let plainPort: number;
  let received: string;

  before('two studies of one patient are archived, storescp is a destination that takes CT alone, another one that takes no RLE', async function () {
    this.timeout(240_000);
    ct = await madeStudy(peers().python, await tempFolder(), 'CT_small.dcm', 3);
    mr = await madeStudy(peers().python, await tempFolder(), 'MR_small_RLE.dcm', 2);
    await sendFiles(peers().python, pacs().stack.urls.dicom, [ct, mr].flatMap(({ files }) => files.map(({ file }) => file)));
    for (const study of [ct, mr]) await eventually('the study is found', () => pacs().api.isFound(study.studyInstanceUID, study.files.length));
    [port, received, plainPort] = [await freePort(), await tempFolder(), await freePort()];
    running.push(startPeer(peers().storescp, ['-v', '-d', '-od', received, '-aet', 'STORESCP', ...await storescpProfile(['1.2.840.10008.5.1.4.1.1.2'], 'LittleEndianExplicit'), `${port}`]));
    running.push(startPeer(peers().storescp, ['-od', await tempFolder(), '-aet', 'PLAIN', '+xi', `${plainPort}`]));
    for (const one of [port, plainPort]) await eventually('storescp answers', async () => (await runPeer(peers().echoscu, ['127.0.0.1', `${one}`])).code === 0);
  });
  beforeEach(async () => {
    const ws1: DicomDestination = { kind: 'dicom', destinationId: 'ws1', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle: 'STORESCP' };
    const away: DicomDestination = { ...ws1, destinationId: 'away', port: await freePort(), calledAETitle: 'AWAY' };
    const plain: DicomDestination = { ...ws1, destinationId: 'plain', port: plainPort, calledAETitle: 'PLAIN' };
    await pacs().api.configure(() => ({ destinations: [ws1, away, plain], rules: [] }));
  });
  afterEach(() => pacs().api.configure(() => ({ destinations: [], rules: [] })));
  after(async () => {
    for (const peer of running.splice(0)) await peer.stop();
    await removeTempFolders();
  });

  const move = async (studyInstanceUIDs: readonly string[], destination: string): Promise<readonly Line[]> => {
    const { host, port: dicomPort, aeTitle } = pacs().stack.urls.dicom;
    const lines = await runScript<Line>(peers().python, 'query_retrieve.py', { host, port: dicomPort, calledAETitle: aeTitle, callingAETitle: 'MOVER', operation: 'move', destination,
      model: '1.2.840.10008.5.1.4.1.2.2.2', identifier: { '00080052': { vr: 'CS', Value: ['STUDY'] }, '0020000D': { vr: 'UI', Value: studyInstanceUIDs } } });
    return lines.filter(({ status }) => status !== undefined);
  };
  const uidsOf = ({ files }: MadeStudy): readonly string[] => files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted();

  it('has movescu of DCMTK move a study to storescp, which is told who asked', async () => {
    const { host, port: dicomPort, aeTitle } = pacs().stack.urls.dicom;

    const { code, output } = await runPeer(peers().movescu, ['-v', '-S', '-aet', 'DCMTK', '-aec', aeTitle, '-aem', 'STORESCP', '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${ct.studyInstanceUID}`, host, `${dicomPort}`]);

    assert.equal(code, 0, output);
    assert.equal((await readdir(received)).length, 3, output);
    assert.match(running[0]!.output(), /Move Originator AE Title\s*: DCMTK/);
  });

  it('counts, and names, what the destination does not take: B000, and A702 when it takes nothing', async () => {
    const some = await move([ct.studyInstanceUID, mr.studyInstanceUID], 'STORESCP');
    const none = await move([mr.studyInstanceUID], 'STORESCP');

    assert.deepEqual([some, none].map((lines) => lines.at(-1)!).map(({ status, completed, failed }) => [status, completed, failed]), [[0xb000, 3, 2], [0xa702, 0, 2]]);
    for (const lines of [some, none]) assert.deepEqual((lines.at(-1)!.identifier!['00080058']!.Value as string[]).toSorted(), uidsOf(mr));
    for (const { status, remaining, completed, failed } of some.slice(0, -1)) assert.deepEqual([status, remaining! + completed! + failed!], [0xff00, 5]);
  });

  it('moves what the destination does not take as it is stored, uncompressed', async () => {
    const [last] = (await move([ct.studyInstanceUID, mr.studyInstanceUID], 'PLAIN')).slice(-1);

    assert.deepEqual([last!.status, last!.completed, last!.failed], [0, 5, 0]);
  });

  it('answers A801 for a destination that nobody configured, and A702 for one that is away', async () => {
    const [unknown] = (await move([ct.studyInstanceUID], 'NOBODY')).slice(-1);
    const [away] = (await move([ct.studyInstanceUID], 'AWAY')).slice(-1);

    assert.equal(unknown!.status, 0xa801);
    assert.deepEqual([away!.status, away!.completed, away!.failed], [0xa702, 0, 3]);
  });
});
