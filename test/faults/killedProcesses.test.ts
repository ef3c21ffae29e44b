import assert from 'node:assert/strict';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { createS3, type Bucket } from '../../stores/s3/s3.ts';
import { aUID } from '../support/aStudy.ts';
import type { PacsClient } from '../support/pacsClient.ts';
import { associatedPeer, pdu, pdv, storeRQ, command, ctImage, explicitLE } from '../support/scriptedPeer.ts';
import { ctInstances, sendUntilItBreaks, type TestInstance } from '../support/sender.ts';
import { eventually, startPacs, type Pacs } from '../support/stack.ts';
import { s3ValuesOf } from '../support/storeValues.ts';

const MiB = 1024 * 1024;

/** A PACS with servers of its own, of which each test takes something away. */
describe('a PACS that loses a part', function () {
  this.timeout(120_000);
  let pacs: Pacs;
  let bucket: Bucket;
  before(async function () {
    this.timeout(180_000);
    const openSearch = process.env['OPENSEARCH_URL'];
    pacs = await startPacs({ external: openSearch ? { opensearchUrl: openSearch } : {} });
    bucket = createS3(s3ValuesOf(pacs.stack.env));
  });
  after(async function () {
    this.timeout(90_000);
    bucket?.s3.destroy();
    await pacs?.stop();
  });

  const send = (instances: readonly TestInstance[], onAcknowledged?: (count: number) => void) => sendUntilItBreaks(pacs.stack.urls.dicom, instances, onAcknowledged);
  const archived = (study: string, instances: readonly TestInstance[]) =>
    eventually(`all ${instances.length} instances are archived`, () => pacs.api.isFound(study, instances.length), 90_000);

  it('loses nothing that the gateway acknowledged when the gateway is killed; the sender sends the rest, and each is there once', async () => {
    const study = aUID();
    const instances = ctInstances({ study, count: 40 });
    let killed: Promise<void> | undefined;

    const acknowledged = await send(instances, (count) => {
      if (count === 15) killed = pacs.stack.kill('gateway');
    });
    await killed;
    await pacs.stack.restart('gateway');
    const rest = instances.filter((instance) => !acknowledged.includes(instance));
    const later = await send(rest);
    await archived(study, instances);

    assert.ok(acknowledged.length >= 15 && acknowledged.length < 40, `${acknowledged.length} were acknowledged`);
    assert.equal(later.length, rest.length);
    await assertEachOnce(pacs.api, study, instances);
  });

  it('finishes an upload that was cut off when the worker is killed, without doubling it', async () => {
    const study = aUID();
    const instances = ctInstances({ study, count: 3, pixelBytes: 20 * MiB });

    assert.equal((await send(instances)).length, 3);
    await eventually('a multipart upload is under way', async () => {
      const { Uploads } = await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket }));
      return Uploads?.some(({ Key }) => Key?.includes(study));
    });
    await pacs.stack.kill('worker');
    assert.equal(await pacs.api.findInstances(study), 0);
    await pacs.stack.restart('worker');
    await archived(study, instances);

    await assertEachOnce(pacs.api, study, instances);
    await eventually('the gateway has given its disk back', async () => (await metricOf(pacs, 'pacs_gateway_waiting_packs')) === 0);
  });

  it('takes instances while Temporal is away and archives them when it is back', async () => {
    const study = aUID();
    const instances = ctInstances({ study, count: 5 });

    await pacs.stack.kill('temporal');
    const acknowledged = await send(instances);
    await eventually('they wait on the gateway\'s disk', async () => await metricOf(pacs, 'pacs_gateway_waiting_instances') === 5);
    await pacs.stack.restart('temporal');
    await archived(study, instances);

    assert.equal(acknowledged.length, 5);
    await assertEachOnce(pacs.api, study, instances);
  });

  it('takes instances while S3 is away and archives them when it is back', async () => {
    const study = aUID();
    const instances = ctInstances({ study, count: 5 });

    await pacs.stack.kill('s3');
    const acknowledged = await send(instances);
    const foundMeanwhile = await pacs.api.findInstances(study);
    await pacs.stack.restart('s3');
    await archived(study, instances);

    assert.equal(acknowledged.length, 5);
    assert.equal(foundMeanwhile, 0);
    await assertEachOnce(pacs.api, study, instances);
  });

  it('keeps no half instance of a sender that vanishes in the middle of one', async () => {
    const study = aUID();
    const [whole, half] = ctInstances({ study, count: 2, pixelBytes: 300_000 }) as [TestInstance, TestInstance];
    const fragments = ({ dataSet }: TestInstance): Buffer[] => {
      const pieces: Buffer[] = [];
      for (let at = 0; at < dataSet.length; at += 8192) pieces.push(pdu(4, pdv(1, at + 8192 >= dataSet.length ? 2 : 0, dataSet.subarray(at, at + 8192))));
      return pieces;
    };
    const peer = await associatedPeer(pacs.stack.urls.dicom.port, { calledAETitle: pacs.stack.urls.dicom.aeTitle, contexts: [[1, ctImage, explicitLE]] });

    peer.send(command(1, storeRQ(1, whole.sopInstanceUID)), ...fragments(whole));
    const answer = await peer.receive();
    peer.send(command(1, storeRQ(2, half.sopInstanceUID)), ...fragments(half).slice(0, 20));
    peer.reset();
    await archived(study, [whole]);

    assert.equal(answer?.type, 4);
    await assertEachOnce(pacs.api, study, [whole]);
    await eventually('the history has the pack', async () => (await pacs.api.history(study)).some(({ action }) => action === 'pack.archived'));
    await eventually('nothing is left on the gateway\'s disk', async () => (await metricOf(pacs, 'pacs_gateway_waiting_packs')) === 0 && (await metricOf(pacs, 'pacs_gateway_open_packs')) === 0);
  });
});

/** Every instance is current once, with the bytes that were sent, and nothing but copies of the same bytes stands beside. */
async function assertEachOnce(api: PacsClient, study: string, instances: readonly TestInstance[]): Promise<void> {
  const back = await api.retrieve(study);
  const pairs = (list: readonly { readonly sopInstanceUID: string; readonly dataSetSha256: string }[]): readonly string[] =>
    list.map(({ sopInstanceUID, dataSetSha256 }) => `${sopInstanceUID} ${dataSetSha256}`).toSorted();
  assert.deepEqual(pairs(back), pairs(instances));
  assert.deepEqual((await api.setAside(study)).filter(({ verdict }) => verdict !== 'duplicate'), []);
}

async function metricOf({ stack }: Pacs, name: string): Promise<number> {
  const text = await (await fetch(`${stack.urls.gatewayHttp}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
}
