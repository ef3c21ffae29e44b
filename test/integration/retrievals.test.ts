import assert from 'node:assert/strict';
import type { DicomJson } from '../../dicom/json.ts';
import { readdir } from 'node:fs/promises';
import { removeTempFolders, runPeer, runScript, tempFolder, testPeers } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

interface Line {
  readonly stored?: string;
  readonly transferSyntaxUID?: string;
  readonly lengthBytes?: number;
  readonly contexts?: Readonly<Record<string, string>>;
  readonly status?: number;
  readonly identifier?: DicomJson | null;
  readonly remaining?: number | null;
  readonly completed?: number | null;
  readonly failed?: number | null;
}

const model = '1.2.840.10008.5.1.4.1.2.2.3';
const ctImage = '1.2.840.10008.5.1.4.1.1.2';
const mrImage = '1.2.840.10008.5.1.4.1.1.4';
const explicitLE = '1.2.840.10008.1.2.1';
const rle = '1.2.840.10008.1.2.5';

describe('C-GET', function () {
  this.timeout(120_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  let ct: MadeStudy;
  let compressed: MadeStudy;

  before('studies are archived', async function () {
    this.timeout(240_000);
    ct = await madeStudy(peers().python, await tempFolder(), 'CT_small.dcm', 3);
    compressed = await madeStudy(peers().python, await tempFolder(), 'MR_small_RLE.dcm', 2);
    await sendFiles(peers().python, pacs().stack.urls.dicom, [ct, compressed].flatMap(({ files }) => files.map(({ file }) => file)));
    for (const study of [ct, compressed]) await eventually('the study is found', () => pacs().api.isFound(study.studyInstanceUID, study.files.length));
  });
  after(removeTempFolders);

  const get = async (study: MadeStudy, more: object, level = 'STUDY', keys: DicomJson = {}): Promise<readonly Line[]> => {
    const { host, port, aeTitle } = pacs().stack.urls.dicom;
    return runScript<Line>(peers().python, 'query_retrieve.py', { host, port, calledAETitle: aeTitle, callingAETitle: 'GETTER', operation: 'get', model,
      identifier: { '00080052': { vr: 'CS', Value: [level] }, '0020000D': { vr: 'UI', Value: [study.studyInstanceUID] }, ...keys }, ...more });
  };
  const storedIn = (lines: readonly Line[]) => lines.flatMap(({ stored }) => stored ?? []).toSorted();
  const allOf = ({ files }: MadeStudy) => files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted();

  it('gives getscu of DCMTK a whole study', async () => {
    const { host, port, aeTitle } = pacs().stack.urls.dicom;
    const folder = await tempFolder();

    const { code, output } = await runPeer(peers().getscu, ['-S', '-aet', 'DCMTK', '-aec', aeTitle, '-od', folder, '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${ct.studyInstanceUID}`, host, `${port}`]);

    assert.equal(code, 0, output);
    assert.equal((await readdir(folder)).length, 3, output);
  });

  it('gives pynetdicom a study, a series and one instance, with right counters, on contexts where it is SCP alone', async () => {
    const storage = { [ctImage]: [explicitLE] };
    const [first] = ct.files;

    const study = await get(ct, { storage });
    const series = await get(ct, { storage }, 'SERIES', { '0020000E': { vr: 'UI', Value: [ct.seriesInstanceUID] } });
    const image = await get(ct, { storage }, 'IMAGE', { '0020000E': { vr: 'UI', Value: [ct.seriesInstanceUID] }, '00080018': { vr: 'UI', Value: [first!.sopInstanceUID] } });

    assert.deepEqual([study, series, image].map(storedIn), [allOf(ct), allOf(ct), [first!.sopInstanceUID]]);
    assert.deepEqual(study.filter(({ status }) => status !== undefined).map(({ status, remaining, completed, failed }) => [status, remaining ?? null, completed, failed]),
      [[0xff00, 2, 1, 0], [0xff00, 1, 2, 0], [0, null, 3, 0]]);
  });

  it('takes a requestor that proposes both roles', async () => {
    const lines = await get(ct, { storage: { [ctImage]: [explicitLE] }, roles: [true, true] });

    assert.deepEqual(storedIn(lines), allOf(ct));
  });

  it('sends a compressed instance as it is to who takes it, and decoded to who does not', async () => {
    const asStored = await get(compressed, { storage: { [mrImage]: [rle] } });
    const decoded = await get(compressed, { storage: { [mrImage]: [explicitLE] } });

    const implicit = await get(compressed, { storage: { [mrImage]: ['1.2.840.10008.1.2'] } });

    assert.deepEqual([asStored, decoded, implicit].map(storedIn), Array(3).fill(allOf(compressed)));
    assert.deepEqual([asStored, decoded, implicit].map((lines) => [...new Set(lines.flatMap(({ transferSyntaxUID }) => transferSyntaxUID ?? []))]), [[rle], [explicitLE], ['1.2.840.10008.1.2']]);
  });

  it('counts as failed, and names, what the requestor takes no role for', async () => {
    const lines = await get(ct, { storage: { [ctImage]: [explicitLE] }, roles: [false, false] });
    const final = lines.at(-1)!;

    assert.deepEqual([final.status, final.completed, final.failed], [0xa702, 0, 3]);
    assert.deepEqual((final.identifier!['00080058']!.Value as string[]).toSorted(), allOf(ct));
  });
});
