import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { CreateMultipartUploadCommand, DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Client, Connection } from '@temporalio/client';
import { indexNames, packKey, parsePackKey, studyPrefix } from '../../domain/keys.ts';
import { createArchiveStore } from '../../stores/s3/archiveStore.ts';
import { createOrphanStore } from '../../stores/s3/orphanStore.ts';
import { createS3, type Bucket } from '../../stores/s3/s3.ts';
import { readObject, writeObject } from '../../stores/s3/s3Objects.ts';
import { taskQueues, type SweepResult, type SweepTenantInput } from '../../workflows/contracts.ts';
import { sweepWorkflowId } from '../../workflows/ids.ts';
import { aPack, fileOf } from '../stores/archiveStore.suite.ts';
import { aUID } from '../support/aStudy.ts';
import { ctInstances, sendUntilItBreaks } from '../support/sender.ts';
import { eventually, startPacs, type Pacs } from '../support/stack.ts';
import { s3ValuesOf } from '../support/storeValues.ts';

describe('a sweep', function () {
  this.timeout(400_000);
  let pacs: Pacs;
  let bucket: Bucket;
  let connection: Connection;
  // A PACS of its own: the worker is killed, and nobody else's flows should wait for that.
  before(async () => {
    pacs = await startPacs({ env: { PACS_SPOOL_KEEP_HOURS: '0' } });
    bucket = createS3(s3ValuesOf(pacs.stack.env));
    connection = await Connection.connect({ address: pacs.stack.urls.temporalAddress });
  });
  after(async () => {
    await connection?.close();
    bucket?.s3.destroy();
    await pacs?.stop();
  });

  const startSweep = (removing: Pick<SweepTenantInput, 'orphanAgeMs'> = {}) => new Client({ connection, namespace: 'pacs' }).workflow.start<(input: SweepTenantInput) => Promise<SweepResult>>('sweepTenant',
    { workflowId: sweepWorkflowId(pacs.tenantId, aUID()), taskQueue: taskQueues.core, args: [{ tenantId: pacs.tenantId, verifyDays: 1, settleMs: 0, ...removing }] });
  const tarOf = async (study: string): Promise<string> => {
    const { Contents = [] } = await bucket.s3.send(new ListObjectsV2Command({ Bucket: bucket.bucket, Prefix: studyPrefix(pacs.tenantId, study) }));
    return Contents.map(({ Key }) => Key!).find((key) => parsePackKey(key)?.part === 'tar')!;
  };
  const remove = (key: string) => bucket.s3.send(new DeleteObjectCommand({ Bucket: bucket.bucket, Key: key }));
  const replace = async (key: string, body: Buffer) => {
    await remove(key);
    await writeObject(bucket, key, body, 'new', { contentType: 'application/x-tar' });
  };
  const document = (index: string, id: string, init?: RequestInit, query = '') =>
    fetch(`${pacs.stack.urls.opensearch}/${index}/_doc/${encodeURIComponent(`${pacs.tenantId}|${id}`)}${query}`, init);
  const put = (index: string, id: string, version: number, body: object) => document(index, id,
    { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ tenantId: pacs.tenantId, ...body }) }, `?version=${version}&version_type=external_gte`);

  it('mends an index that lies, though the worker is killed, and lets damaged packs wait for a person', async () => {
    const { stack, api } = pacs;
    const [lacking, flipped, gone] = [aUID(), aUID(), aUID()] as const;
    for (const study of [lacking, flipped, gone]) {
      await sendUntilItBreaks(stack.urls.dicom, ctInstances({ study, count: 2, pixelBytes: 20_000 }));
      await eventually('the study is stable', async () => (await api.history(study)).some(({ action }) => action === 'study.stable'));
    }
    const [instance] = (await api.retrieve(lacking)).map(({ sopInstanceUID }) => sopInstanceUID);
    const [flippedTar, goneTar] = [await tarOf(flipped), await tarOf(gone)];
    const [whole, kept] = [(await readObject(bucket, flippedTar))!.body, (await readObject(bucket, goneTar))!.body];
    const bad = Buffer.from(whole);
    bad[bad.length - 1024 - 2_000]! ^= 1;
    await replace(flippedTar, bad);
    await remove(goneTar);
    const answers = [await document(indexNames.instances, `${lacking}|${instance}`, { method: 'DELETE' }, '?version=1&version_type=external_gte'),
      await put(indexNames.studies, '9.9', 7, { studyInstanceUID: '9.9' }), await put(indexNames.instances, `${gone}|9.9.9`, 1, { studyInstanceUID: gone, seriesInstanceUID: '9', sopInstanceUID: '9.9.9' }),
      await put(indexNames.studies, flipped, 1, { studyInstanceUID: flipped })];
    assert.ok(answers.every(({ ok }) => ok), answers.map(({ status }) => status).join());

    const handle = await startSweep();
    await stack.kill('worker');
    await stack.restart('worker');
    const parked = await eventually('the sweep asks a person', async () => {
      const flow = await api.flow(handle.workflowId);
      return flow.state === 'ATTENTION' && [flippedTar, goneTar].every((key) => flow.sentence?.includes(parsePackKey(key)!.packId.slice(0, 12))) && flow;
    }, 120_000);

    assert.ok([flipped, gone].every((study) => parked.sentence!.includes(study)), parked.sentence);
    assert.match(parked.sentence!, /the archive has no intact copy of \d of its 2 instances.*; gateway gw1 does not have it any more/);
    await assert.rejects(api.retrieve(flipped), 'wrong bytes are never a whole answer');
    await assert.rejects(api.retrieve(gone));
    for (const study of [lacking, flipped, gone]) await eventually('the index is as the archive', () => api.isFound(study, 2));
    await eventually('what the archive lacks is gone', async () => (await document(indexNames.studies, '9.9')).status === 404 && (await document(indexNames.instances, `${gone}|9.9.9`)).status === 404);
    await eventually('the history says so', async () => (await api.history(flipped)).some(({ action }) => action === 'pack.damaged'));

    await replace(flippedTar, whole);
    await replace(goneTar, kept);
    const retried = await api.call(`flows/${handle.workflowId}/retry`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ why: 'put back from a copy' }) });
    const counts = await handle.result();

    assert.ok(retried.ok, `${retried.status}`);
    assert.equal(counts.damagedCount, 2);
    assert.deepEqual([(await api.retrieve(flipped)).length, (await api.retrieve(gone)).length], [2, 2]);
    assert.equal(counts.healedCount, 0, 'a person did it');
    const { studyCount, packCount, verifiedCount, ...nothing } = await (await startSweep()).result();
    assert.deepEqual([studyCount, packCount, verifiedCount], [3, 3, 3]);
    assert.deepEqual([...new Set(Object.values(nothing))], [0], JSON.stringify(nothing));
  });

  it('removes what nobody committed, twice at once and though the worker is killed, and loses nothing that arrives meanwhile', async () => {
    const { stack, api, tenantId } = pacs;
    const archive = createArchiveStore(bucket);
    const orphans = Array.from({ length: 3 }, () => aPack(tenantId));
    for (const pack of orphans) {
      await archive.putPack(pack, fileOf(randomBytes(50_000)));
      await archive.putHeaders(pack, []);
    }
    await bucket.s3.send(new CreateMultipartUploadCommand({ Bucket: bucket.bucket, Key: packKey(orphans[0]!, 'tar') }));

    // Of no age at all: what is on its way to its commit is an orphan, too, at every moment of it.
    const sweeps = await Promise.all([startSweep({ orphanAgeMs: 0 }), startSweep({ orphanAgeMs: 0 })]);
    const studies = Array.from({ length: 4 }, () => aUID());
    const sent = Promise.all(studies.map((study) => sendUntilItBreaks(stack.urls.dicom, ctInstances({ study, count: 3, pixelBytes: 20_000 }))));
    await eventually('a warrant is written', async () => (await archive.look(orphans[0]!)).warrants.length > 0, 60_000);
    await stack.kill('worker');
    await stack.restart('worker');
    await sent;
    const results = await Promise.all(sweeps.map((sweep) => sweep.result()));

    for (const study of studies) await eventually('the study is found whole', () => api.isFound(study, 3), 200_000);
    for (const study of studies) assert.equal((await api.retrieve(study)).length, 3);
    for (const pack of orphans) {
      const { tar, headers } = await archive.look(pack);
      assert.deepEqual([tar, headers], [undefined, undefined]);
      await eventually('the history says so', async () => (await api.history(pack.studyInstanceUID)).some(({ action }) => action === 'pack.removed'));
    }
    assert.deepEqual(await Array.fromAsync(createOrphanStore(bucket).listUploads(tenantId)), []);
    assert.ok(results.some(({ abortedUploadCount }) => abortedUploadCount === 1), JSON.stringify(results));
  });
});
