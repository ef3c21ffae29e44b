import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import type { PacsClient } from '../support/pacsClient.ts';
import { removeTempFolders, runScript, tempFolder, testPeers } from '../support/peers.ts';
import { madeStudy, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

interface Stored {
  readonly stored: readonly string[];
  readonly failed: readonly number[];
}

describe('STOW-RS and tenants', function () {
  this.timeout(90_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  after(removeTempFolders);

  const store = async ({ base, token }: PacsClient, files: readonly string[]): Promise<Stored> =>
    (await runScript<Stored>(peers().python, 'dicomweb.py', { url: `${base}/dicom-web`, token, store: { files } }))[0]!;
  const stored = async (sample: string, count: number): Promise<MadeStudy> => {
    const study = await madeStudy(peers().python, await tempFolder(), sample, count);
    const { failed } = await store(pacs().api, study.files.map(({ file }) => file));
    assert.deepEqual(failed, []);
    await eventually('the study is found', () => pacs().api.isFound(study.studyInstanceUID, count));
    return study;
  };

  for (const sample of ['CT_small.dcm', 'MR_small_bigendian.dcm', 'JPEG2000.dcm', 'image_dfl.dcm']) {
    it(`gives back by WADO-RS what dicomweb-client stored of ${sample}, byte for byte`, async () => {
      const study = await stored(sample, 3);

      const back = await pacs().api.retrieve(study.studyInstanceUID);

      const wanted = study.files.map(({ sopInstanceUID, transferSyntaxUID, dataSetSha256 }) => [sopInstanceUID, transferSyntaxUID, dataSetSha256].join(' '));
      assert.deepEqual(back.map(({ sopInstanceUID, transferSyntaxUID, dataSetSha256 }) => [sopInstanceUID, transferSyntaxUID, dataSetSha256].join(' ')).toSorted(), wanted.toSorted());
    });
  }

  it('stores the good parts of a request with a bad one: 202, and a result for each', async () => {
    const folder = await tempFolder();
    const study = await madeStudy(peers().python, folder, 'CT_small.dcm', 2);
    const bad = path.join(folder, 'bad.dcm');
    writeFileSync(bad, readFileSync(study.files[0]!.file).subarray(0, 700));
    const parts = [study.files[0]!.file, bad, study.files[1]!.file].map((file) => readFileSync(file));

    const answer = await pacs().api.call('dicom-web/studies', { method: 'POST', headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=part', accept: 'application/dicom+json' },
      body: Buffer.concat([...parts.flatMap((part) => [Buffer.from('--part\r\nContent-Type: application/dicom\r\n\r\n'), part, Buffer.from('\r\n')]), Buffer.from('--part--\r\n')]) });
    const body = await answer.json() as Readonly<Record<string, { readonly Value: readonly Readonly<Record<string, { readonly Value: readonly unknown[] }>>[] }>>;
    await eventually('the good instances are found', () => pacs().api.isFound(study.studyInstanceUID, 2));

    assert.equal(answer.status, 202);
    assert.deepEqual(body['00081199']!.Value.map((item) => item['00081155']!.Value[0]).toSorted(), study.files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted());
    assert.equal(body['00081198']?.Value.length ?? body['0008119A']?.Value.length, 1);
  });

  it('shows another tenant\'s token nothing: 404, as for a tenant that does not exist', async () => {
    const study = await stored('CT_small.dcm', 1);
    const stranger = await pacs().clientOf(pacs().tenantId, [pacs().otherTenantId]);
    const { studyInstanceUID } = study;

    const paths = ['dicom-web/studies', `dicom-web/studies?StudyInstanceUID=${studyInstanceUID}`, `dicom-web/studies/${studyInstanceUID}`, `dicom-web/studies/${studyInstanceUID}/metadata`,
      `studies/${studyInstanceUID}/history`, `studies/${studyInstanceUID}/conflicts`, `flows?studyInstanceUID=${studyInstanceUID}`, `flows/${pacs().tenantId}/study/${studyInstanceUID}`, 'config'];
    const statuses = await Promise.all(paths.map(async (at) => (await stranger.call(at)).status));
    const posts = await Promise.all([
      stranger.call('routes', { method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() }, body: JSON.stringify({ studyInstanceUID, destinationId: 'x' }) }),
      stranger.call('dicom-web/studies', { method: 'POST', headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b' }, body: '--b--\r\n' }),
    ]);

    assert.deepEqual(statuses, paths.map(() => 404));
    assert.deepEqual(posts.map(({ status }) => status), [404, 404]);
  });

  it('finds nothing of one tenant\'s study in another tenant, by any of the ways', async () => {
    const { studyInstanceUID, seriesInstanceUID, files: [first] } = await stored('CT_small.dcm', 1);
    const other = await pacs().clientOf(pacs().otherTenantId, [pacs().otherTenantId]);

    const found = await other.findInstances(studyInstanceUID);
    const paths = [`dicom-web/studies/${studyInstanceUID}`, `dicom-web/studies/${studyInstanceUID}/series/${seriesInstanceUID}/instances/${first!.sopInstanceUID}`,
      `studies/${studyInstanceUID}/history`, `studies/${studyInstanceUID}/conflicts`, `flows/${pacs().tenantId}/study/${studyInstanceUID}`];
    const statuses = await Promise.all(paths.map(async (at) => (await other.call(at)).status));
    const { flows } = await other.json<{ readonly flows: readonly unknown[] }>(`flows?studyInstanceUID=${studyInstanceUID}`);

    assert.equal(found, 0);
    assert.deepEqual(statuses, paths.map(() => 404));
    assert.deepEqual(flows, []);
  });
});
