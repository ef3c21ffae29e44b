import assert from 'node:assert/strict';
import { removeTempFolders, runPeer, runScript, tempFolder, testPeers } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

interface Compared {
  readonly studies: readonly string[];
  readonly series: readonly string[];
  readonly instances: readonly string[];
  readonly differ: Readonly<Record<string, readonly string[]>>;
}

describe('studies from other people\'s DICOM programs', function () {
  this.timeout(90_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  after(removeTempFolders);

  const archived = ({ studyInstanceUID, files }: MadeStudy): Promise<boolean> =>
    eventually('the study is found with all its instances', () => pacs().api.isFound(studyInstanceUID, files.length));
  const compared = async ({ studyInstanceUID, files }: MadeStudy): Promise<Compared> => {
    const [result] = await runScript<Compared>(peers().python, 'dicomweb.py', {
      url: `${pacs().api.base}/dicom-web`, token: pacs().api.token, compare: { studyInstanceUID, files: files.map(({ file }) => file) } });
    return result!;
  };
  const nothingDiffers = { study: [], series: [], instances: [], metadata: [] };
  const storescu = (study: MadeStudy, ...options: readonly string[]) => {
    const { host, port, aeTitle } = pacs().stack.urls.dicom;
    return runPeer(peers().storescu, ['-aet', 'DCMTK', '-aec', aeTitle, ...options, host, `${port}`, '+sd', study.folder]);
  };

  it('answers C-ECHO of DCMTK', async () => {
    const { host, port, aeTitle } = pacs().stack.urls.dicom;

    const { code, output } = await runPeer(peers().echoscu, ['-aec', aeTitle, host, `${port}`]);

    assert.equal(code, 0, output);
  });

  for (const [sample, transferSyntax, ...options] of [
    ['CT_small.dcm', 'explicit VR little endian', '-xe'], ['MR_small_implicit.dcm', 'implicit VR little endian', '-xi'],
    ['MR_small_bigendian.dcm', 'explicit VR big endian', '-xb'], ['MR_small_RLE.dcm', 'RLE', '-xr'],
    ['JPEG2000.dcm', 'JPEG 2000', '-xw'], ['image_dfl.dcm', 'deflated', '-xd'],
  ] as const) {
    it(`gives dicomweb-client what storescu sent, ${transferSyntax}: found, and equal as study, series, instance and metadata`, async () => {
      const study = await madeStudy(peers().python, await tempFolder(), sample, 4);

      const { code, output } = await storescu(study, ...options);
      assert.equal(code, 0, output);
      await archived(study);
      const { studies, series, instances, differ } = await compared(study);
      const back = await pacs().api.retrieve(study.studyInstanceUID);

      assert.deepEqual([studies, series], [[study.studyInstanceUID], [study.seriesInstanceUID]]);
      assert.deepEqual(instances, study.files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted());
      assert.deepEqual(differ, nothingDiffers);
      assert.deepEqual(new Set(back.map(({ transferSyntaxUID }) => transferSyntaxUID)), new Set(study.files.map(({ transferSyntaxUID }) => transferSyntaxUID)));
    });
  }

  it('gives back, byte for byte, what pynetdicom sent in several transfer syntaxes over one association', async () => {
    const samples = ['CT_small.dcm', 'MR_small_RLE.dcm', 'MR_small_bigendian.dcm', 'MR_small_jpeg_ls_lossless.dcm'];
    const studies: MadeStudy[] = [];
    for (const sample of samples) studies.push(await madeStudy(peers().python, await tempFolder(), sample, 3));

    const sent = await sendFiles(peers().python, pacs().stack.urls.dicom, studies.flatMap(({ files }) => files.map(({ file }) => file)));
    for (const study of studies) await archived(study);

    assert.deepEqual(sent.map(({ status }) => status), Array(12).fill(0));
    for (const study of studies) {
      const back = await pacs().api.retrieve(study.studyInstanceUID);
      const wanted = study.files.map(({ sopInstanceUID, transferSyntaxUID, dataSetSha256 }) => ({ sopInstanceUID, transferSyntaxUID, dataSetSha256 }));
      assert.deepEqual(back.toSorted(bySop), wanted.toSorted(bySop));
      assert.deepEqual((await compared(study)).differ, nothingDiffers);
    }
  });

  it('rejects an association with an unknown called AE title: 1/1/7, rejected-permanent', async () => {
    const { host, port } = pacs().stack.urls.dicom;

    const { code, output } = await runPeer(peers().echoscu, ['-aec', 'NOBODY', host, `${port}`]);

    assert.notEqual(code, 0);
    assert.match(output, /Rejected Permanent, Source: Service User/);
    assert.match(output, /Called AE Title Not Recognized/);
  });
});

const bySop = (a: { readonly sopInstanceUID: string }, b: { readonly sopInstanceUID: string }): number => (a.sopInstanceUID < b.sopInstanceUID ? -1 : 1);
