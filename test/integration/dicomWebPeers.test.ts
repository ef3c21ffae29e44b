import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, removeTempFolders, runScript, startPeer, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

describe('DICOMweb clients of other makes', function () {
  this.timeout(120_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  const running: PeerProcess[] = [];
  afterEach(async () => {
    for (const peer of running.splice(0)) await peer.stop();
  });
  after(removeTempFolders);

  const archivedStudy = async (sample: string, count: number): Promise<MadeStudy> => {
    const study = await madeStudy(peers().python, await tempFolder(), sample, count);
    await sendFiles(peers().python, pacs().stack.urls.dicom, study.files.map(({ file }) => file));
    await eventually('the study is found', () => pacs().api.isFound(study.studyInstanceUID, count));
    return study;
  };

  for (const sample of ['CT_small.dcm', 'MR_small_RLE.dcm', 'MR_small_bigendian.dcm']) {
    it(`dicomweb-client reads frames, bulk data, pictures and WADO-URI of ${sample}`, async () => {
      const study = await archivedStudy(sample, 1);
      const [read] = await runScript(peers().python, 'dicomweb.py', { url: `${pacs().api.base}/dicom-web`, token: pacs().api.token, read: { file: study.files[0]!.file, wado: `${pacs().api.base}/wado` } });

      assert.deepEqual(read, { frames: [true], bulk: [true], octets: [true], 'last of all': true, png: '89504e470d0a1a0a', jpeg: 'ffd8ff', wado: true });
    });
  }

  it('Orthanc searches here, retrieves a study from here, and stores what it has changed', async () => {
    const httpPort = await freePort();
    const folder = await tempFolder();
    writeFileSync(path.join(folder, 'orthanc.json'), JSON.stringify({
      Name: 'test', StorageDirectory: folder, IndexDirectory: folder, DicomServerEnabled: false, HttpPort: httpPort, Plugins: [peers().orthancDicomWeb],
      AuthenticationEnabled: false, RemoteAccessAllowed: false, HttpServerEnabled: true, HttpTimeout: 60,
      DicomWeb: { Enable: true, Servers: { pacs: { Url: `${pacs().api.base}/dicom-web`, HttpHeaders: { Authorization: `Bearer ${pacs().api.token}` } } } },
    }));
    running.push(startPeer(peers().orthanc, [path.join(folder, 'orthanc.json')]));
    const rest = async <T>(at: string, body?: object): Promise<T> => {
      const answer = await fetch(`http://127.0.0.1:${httpPort}/${at}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
      const text = await answer.text();
      assert.ok(answer.ok, `${at}: ${answer.status} ${text} ${running[0]?.output().slice(-1500)}`);
      return JSON.parse(text) as T;
    };
    await eventually('Orthanc answers', () => rest('system'));
    const study = await archivedStudy('CT_small.dcm', 3);

    const found = await rest<readonly Record<string, { readonly Value?: unknown }>[]>('dicom-web/servers/pacs/qido', { Uri: '/studies', Arguments: { StudyInstanceUID: study.studyInstanceUID } });
    await rest('dicom-web/servers/pacs/retrieve', { Resources: [{ Study: study.studyInstanceUID }], Synchronous: true });
    const instances = await rest<readonly string[]>('instances');

    assert.equal(found.length, 1);
    assert.ok(JSON.stringify(found[0]).includes(study.studyInstanceUID));
    const uids = await Promise.all(instances.map(async (id) => (await rest<{ readonly MainDicomTags: { readonly SOPInstanceUID: string } }>(`instances/${id}`)).MainDicomTags.SOPInstanceUID));
    assert.deepEqual(uids.toSorted(), study.files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted());

    const [original] = await rest<readonly string[]>('studies');
    const changed = await rest<{ readonly ID: string }>(`studies/${original}/anonymize`, { Synchronous: true });
    const { MainDicomTags: { StudyInstanceUID: changedUID } } = await rest<{ readonly MainDicomTags: { readonly StudyInstanceUID: string } }>(`studies/${changed.ID}`);
    await rest('dicom-web/servers/pacs/stow', { Resources: [changed.ID], Synchronous: true });

    await eventually('what Orthanc stored is found', () => pacs().api.isFound(changedUID, 3));
  });
});
