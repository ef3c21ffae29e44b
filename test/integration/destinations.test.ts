import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import { readInstanceHeader } from '../../dicom/part10/header.ts';
import type { InstanceDelivery } from '../../domain/delivery.ts';
import type { Destination, RoutingRule } from '../../domain/tenant.ts';
import { createTranscoder } from '../../codecs/transcoder.ts';
import { sha256 } from '../support/pacsClient.ts';
import { freePort, removeTempFolders, runPeer, startPeer, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { makePublicKeys } from '../support/publicKeys.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

describe('destinations', function () {
  this.timeout(90_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  const running: PeerProcess[] = [];
  const codecs = createTranscoder({ threads: 1 });
  afterEach(async () => {
    for (const peer of running.splice(0)) await peer.stop();
    await pacs().api.configure(() => ({ destinations: [], rules: [] }));
  });
  after(async () => {
    await codecs.close();
    await removeTempFolders();
  });

  /** Sends a study through the gateway and waits until the archive has it. */
  const archivedStudy = async (sample: string, count: number): Promise<MadeStudy> => {
    const study = await madeStudy(peers().python, await tempFolder(), sample, count);
    const answers = await sendFiles(peers().python, pacs().stack.urls.dicom, study.files.map(({ file }) => file));
    assert.deepEqual(answers.map(({ status }) => status), Array(count).fill(0));
    await eventually('the study is archived', async () => await pacs().api.findInstances(study.studyInstanceUID) === count);
    return study;
  };
  const configure = (destination: Destination, rules: readonly RoutingRule[] = []): Promise<void> => pacs().api.configure(() => ({ destinations: [destination], rules }));
  const requestRoute = (study: MadeStudy, destinationId: string, key: string): Promise<Response> => pacs().api.call('routes', {
    method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify({ studyInstanceUID: study.studyInstanceUID, destinationId }) });
  const delivered = (study: MadeStudy, destinationId: string) => eventually('the ledger says that every instance is delivered', async () => {
    const { instances } = await pacs().api.ledger(destinationId, study.studyInstanceUID);
    return instances.length === study.files.length && instances.every(({ state }) => state === 'delivered') && instances;
  });
  const digestsOf = (study: MadeStudy): readonly string[] => study.files.map(({ dataSetSha256 }) => dataSetSha256).toSorted();

  const startStorescp = async (port: number): Promise<string> => {
    const folder = await tempFolder();
    running.push(startPeer(peers().storescp, ['+B', '+xa', '-od', folder, '-aet', 'STORESCP', `${port}`]));
    await eventually('storescp answers', async () => (await runPeer(peers().echoscu, ['127.0.0.1', `${port}`])).code === 0);
    return folder;
  };
  const storescp = (port: number): Destination =>
    ({ kind: 'dicom', destinationId: 'ws1', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle: 'STORESCP' });

  it('get, byte for byte, what a rule on Modality says, and nothing else', async () => {
    const port = await freePort();
    const folder = await startStorescp(port);
    await configure(storescp(port), [{ ruleId: 'mr', destinationId: 'ws1', attributes: { Modality: 'MR' } }]);

    const ct = await archivedStudy('CT_small.dcm', 2);
    const mr = await archivedStudy('MR_small_RLE.dcm', 3);
    await delivered(mr, 'ws1');
    await eventually('the CT study is stable', async () => (await pacs().api.history(ct.studyInstanceUID)).some(({ action }) => action === 'study.stable'));

    assert.deepEqual(dataSetDigests(folder), digestsOf(mr));
    assert.equal((await pacs().api.call(`destinations/ws1/deliveries/${ct.studyInstanceUID}`)).status, 404);
  });

  it('that are down at first get the study when they are up; the ledger tells of the attempts meanwhile', async () => {
    const port = await freePort();
    await configure(storescp(port));
    const study = await archivedStudy('CT_small.dcm', 3);
    await requestRoute(study, 'ws1', randomUUID());

    const waiting = await eventually('an attempt failed', async () => {
      const { instances } = await pacs().api.ledger('ws1', study.studyInstanceUID);
      return instances.length === 3 && instances.every(({ attempts }) => attempts >= 1) && instances;
    });
    const circuit = await eventually('the destination\'s flow says when it is tried next', async () => {
      const flow = await pacs().api.flow(`${pacs().tenantId}/destination/ws1`);
      return flow.state === 'DESTINATION_AWAY' && flow.sentence;
    });
    const folder = await startStorescp(port);
    const instances = await delivered(study, 'ws1');

    assert.deepEqual(waiting.map(({ state }) => state), ['waiting', 'waiting', 'waiting']);
    for (const { lastProblem, nextAttemptAt } of waiting) {
      assert.match(lastProblem ?? '', new RegExp(`127\\.0\\.0\\.1.*${port}|ECONNREFUSED`));
      assert.ok(Date.parse(nextAttemptAt ?? '') > 0);
    }
    assert.match(circuit, /^Destination ws1 has not answered as it should since 20.* the next try is at 20/);
    assert.ok(instances.every(({ attempts, lastStatus }) => attempts >= 2 && lastStatus === 0));
    assert.deepEqual(dataSetDigests(folder), digestsOf(study));
  });

  it('get a study once for each key of a request, and the study\'s history tells it in order', async () => {
    const port = await freePort();
    const folder = await startStorescp(port);
    await configure(storescp(port));
    const study = await archivedStudy('CT_small.dcm', 2);
    const key = randomUUID();

    const answers = [await requestRoute(study, 'ws1', key), await requestRoute(study, 'ws1', key)];
    const { flowId } = await answers[0]!.json() as { readonly flowId: string };
    const flow = await eventually('the flow is done and has a result', async () => {
      const now = await pacs().api.flow(flowId);
      return now.state === 'DONE' && now.result !== undefined && now;
    });
    const again = await requestRoute(study, 'ws1', key);
    const history = await eventually('the history tells of the delivery', async () => {
      const events = await pacs().api.history(study.studyInstanceUID);
      return events.some(({ action }) => action === 'route.delivered') && events.some(({ action }) => action === 'study.stable') && events;
    });

    assert.deepEqual([...answers, again].map(({ status, headers }) => [status, headers.get('location')]), Array(3).fill([202, answers[0]!.headers.get('location')]));
    assert.deepEqual(flow.result, { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 });
    assert.deepEqual((await pacs().api.ledger('ws1', study.studyInstanceUID)).instances.map(({ attempts }) => attempts), [1, 1]);
    assert.deepEqual(dataSetDigests(folder), digestsOf(study));
    const actions = history.map(({ action }) => action);
    assert.deepEqual(history.map(({ at }) => at), history.map(({ at }) => at).toSorted());
    assert.equal(actions.filter((action) => action === 'route.requested').length, 1);
    for (const [earlier, later] of [['pack.archived', 'study.indexed'], ['study.indexed', 'study.stable'], ['route.requested', 'route.delivered']] as const) {
      assert.ok(actions.includes(earlier) && actions.indexOf(earlier) < actions.indexOf(later), `${earlier} before ${later}: ${actions.join(' ')}`);
    }
  });

  it('that lost their disk get again what they had, on an admin\'s word: also when they come back later, and what came since is left alone', async () => {
    const port = await freePort();
    await startStorescp(port);
    await configure({ ...storescp(port), destinationId: 'ws2' }, [{ ruleId: 'all', destinationId: 'ws2' }]);
    const lost = [await archivedStudy('CT_small.dcm', 2), await archivedStudy('MR_small_RLE.dcm', 2)];
    for (const study of lost) await delivered(study, 'ws2');
    const until = new Date().toISOString();
    const since = await archivedStudy('CT_small.dcm', 1);
    await delivered(since, 'ws2');
    for (const peer of running.splice(0)) await peer.stop();

    const key = randomUUID();
    const replay = () => pacs().api.call('destinations/ws2/replays', { method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ since: new Date(Date.now() - 86_400_000).toISOString().slice(0, 11) + '00:00:00Z', until, why: 'ws2 lost its disk' }) });
    const [answer, again] = [await replay(), await replay()];
    const { flowId } = await answer.json() as { readonly flowId: string };
    await eventually('both deliveries wait for the destination', async () => (await (await pacs().api.call('flows?destinationId=ws2&state=DESTINATION_AWAY')).json() as { readonly flows: readonly unknown[] }).flows.length >= 2);
    const folder = await startStorescp(port);
    const done = await eventually('the replay is done', async () => {
      const flow = await pacs().api.flow(flowId);
      return flow.state === 'DONE' && flow.result !== undefined && flow;
    });

    assert.deepEqual([answer.status, again.status, again.headers.get('location')], [202, 202, answer.headers.get('location')]);
    assert.deepEqual(done.result, { studyCount: 2, instanceCount: 4, startedCount: 2, deliveredCount: 4, refusedCount: 0, leftCount: 0 });
    assert.deepEqual(dataSetDigests(folder), lost.flatMap(digestsOf).toSorted());
    const { instances } = await pacs().api.ledger('ws2', lost[0]!.studyInstanceUID);
    assert.deepEqual(instances.map((entry) => (entry as InstanceDelivery).earlier?.map(({ state }) => state)), [['delivered'], ['delivered']]);
    const asked = await eventually('the history says who asked', async () => (await pacs().api.history(lost[1]!.studyInstanceUID)).find(({ action }) => action === 'route.requested'));
    assert.deepEqual([asked.actor, asked.detail], ['test', 'Sent again: ws2 lost its disk']);
  });

  it('that take Implicit VR Little Endian alone get a compressed study so, and the ledger says it', async () => {
    const [port, folder] = [await freePort(), await tempFolder()];
    running.push(startPeer(peers().storescp, ['+B', '+xi', '-od', folder, '-aet', 'STORESCP', `${port}`]));
    await eventually('storescp answers', async () => (await runPeer(peers().echoscu, ['127.0.0.1', `${port}`])).code === 0);
    await configure(storescp(port), [{ ruleId: 'all', destinationId: 'ws1' }]);

    const study = await archivedStudy('MR_small_jpeg_ls_lossless.dcm', 3);
    const instances = await delivered(study, 'ws1');

    assert.deepEqual(instances.map(({ sentAs, attempts }) => [sentAs, attempts]), Array(3).fill(['1.2.840.10008.1.2', 1]));
    const original = readFileSync(study.files[0]!.file);
    for (const name of readdirSync(folder)) {
      const kept = readFileSync(path.join(folder, name));
      assert.equal(metaOf(kept).transferSyntaxUID, '1.2.840.10008.1.2');
      assert.equal(await pixelsOf(kept), sha256((await codecs.decodeFrame(await frameOf(original))).bytes));
    }
  });

  it('whose certificate is of another CA are away, and their flow says why', async () => {
    const [port, folder] = [await freePort(), await tempFolder()];
    await makePublicKeys(folder, ['workstation']);
    running.push(startPeer(peers().storescp, ['+B', '-od', await tempFolder(), '-aet', 'STORESCP', '+tls', path.join(folder, 'workstation.key'), path.join(folder, 'workstation.pem'), '+cf', path.join(folder, 'ca.pem'), `${port}`]));
    await configure({ ...storescp(port), tls: {} } as Destination);
    const study = await archivedStudy('CT_small.dcm', 1);

    await requestRoute(study, 'ws1', randomUUID());

    const sentence = await eventually('the destination\'s flow says why it waits', async () => {
      const flow = await pacs().api.flow(`${pacs().tenantId}/destination/ws1`);
      return flow.state === 'DESTINATION_AWAY' && /certificate/.test(flow.sentence ?? '') && flow.sentence;
    });
    assert.match(sentence, /its certificate is not of the CA that is trusted here/);
  });

  it('of another make keep it: Orthanc has every instance with its pixels', async () => {
    const [dicomPort, httpPort] = [await freePort(), await freePort()];
    const folder = await tempFolder();
    writeFileSync(path.join(folder, 'orthanc.json'), JSON.stringify({
      Name: 'test', StorageDirectory: folder, IndexDirectory: folder, DicomAet: 'ORTHANC', DicomPort: dicomPort, HttpPort: httpPort, Plugins: [],
      DicomCheckCalledAet: true, DicomAlwaysAllowStore: true, AuthenticationEnabled: false, RemoteAccessAllowed: false, HttpServerEnabled: true,
    }));
    running.push(startPeer(peers().orthanc, [path.join(folder, 'orthanc.json')]));
    const rest = async <T>(at: string): Promise<T> => await (await fetch(`http://127.0.0.1:${httpPort}/${at}`)).json() as T;
    await eventually('Orthanc answers', () => rest('system'));
    await configure({ kind: 'dicom', destinationId: 'orthanc', gatewayId: 'gw1', host: '127.0.0.1', port: dicomPort, calledAETitle: 'ORTHANC' },
      [{ ruleId: 'all', destinationId: 'orthanc' }]);

    const study = await archivedStudy('MR_small_jpeg_ls_lossless.dcm', 3);
    await delivered(study, 'orthanc');

    // A study of another test that becomes quiet meanwhile comes by the same rule.
    const wanted = new Set(study.files.map(({ sopInstanceUID }) => sopInstanceUID));
    const instances = (await rest<readonly { readonly ID: string; readonly MainDicomTags: { readonly SOPInstanceUID: string } }[]>('instances?expand'))
      .filter(({ MainDicomTags }) => wanted.has(MainDicomTags.SOPInstanceUID));
    const files = await Promise.all(instances.map(async ({ ID: id }) => Buffer.from(await (await fetch(`http://127.0.0.1:${httpPort}/instances/${id}/file`)).arrayBuffer())));
    assert.deepEqual(files.map(sopInstanceUIDOf).toSorted(), study.files.map(({ sopInstanceUID }) => sopInstanceUID).toSorted());
    assert.deepEqual(new Set(files.map((file) => metaOf(file).transferSyntaxUID)), new Set([study.files[0]!.transferSyntaxUID]));
    assert.deepEqual(new Set(await Promise.all(files.map(pixelsOf))), new Set([await pixelsOf(readFileSync(study.files[0]!.file))]));
  });

  it('by STOW-RS get the study: the archive of another tenant has it, byte for byte', async () => {
    const other = await pacs().clientOf(pacs().otherTenantId, [pacs().otherTenantId]);
    await configure({ kind: 'dicomweb', destinationId: 'partner', url: `${other.base}/dicom-web`, authorization: `Bearer ${other.token}` },
      [{ ruleId: 'all', destinationId: 'partner' }]);

    const study = await archivedStudy('JPEG2000.dcm', 3);
    await delivered(study, 'partner');
    await eventually('the other tenant finds it', async () => await other.findInstances(study.studyInstanceUID) === 3);

    assert.deepEqual((await other.retrieve(study.studyInstanceUID)).map(({ dataSetSha256 }) => dataSetSha256).toSorted(), digestsOf(study));
  });
});

function metaOf(file: Buffer) {
  const meta = parseFileMeta(file);
  if ('needMore' in meta) throw new Error('no whole Part 10 file');
  return meta;
}
const sopInstanceUIDOf = (file: Buffer): string => metaOf(file).mediaStorageSOPInstanceUID ?? '';
/** The only frame of a compressed file. */
async function frameOf(file: Buffer) {
  const { header, pixelData } = await readInstanceHeader({ lengthBytes: file.length, read: async (at, length) => file.subarray(at, at + length) });
  const bytes = Buffer.concat(pixelData!.frames![0]!.map(([offset, length]) => file.subarray(offset, offset + length)));
  return { header, bytes, transferSyntaxUID: metaOf(file).transferSyntaxUID };
}
/** SHA-256 of the value of Pixel Data. */
async function pixelsOf(file: Buffer): Promise<string> {
  const { pixelData } = await readInstanceHeader({ lengthBytes: file.length, read: async (at, length) => file.subarray(at, at + length) });
  return sha256(file.subarray(pixelData!.offsetBytes, pixelData!.offsetBytes + pixelData!.lengthBytes));
}

const dataSetDigests = (folder: string): readonly string[] => readdirSync(folder).map((name) => {
  const file = readFileSync(path.join(folder, name));
  return sha256(file.subarray(metaOf(file).dataSetOffsetBytes));
}).toSorted();
