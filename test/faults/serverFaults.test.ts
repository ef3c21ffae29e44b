import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { studyWorkflowId } from '../../workflows/ids.ts';
import { PacsClient } from '../support/pacsClient.ts';
import { eventually } from '../support/stack.ts';
import type { Act, Call, Fault, Moment } from './harness/faultList.ts';
import { byStow, sendUntilAccepted } from './harness/senders.ts';
import type { SitePart } from './harness/site.ts';
import { spoolFiles } from './harness/quiet.ts';
import { makeInstance, makeStudy, type Instance } from './harness/studies.ts';
import { assertNothingLostOrDoubled, faultSuite, hasFired } from './harness/suite.ts';

const MiB = 1024 * 1024;
const cut: Act = { kind: 'cut' };
const s3Error = (status: number, code: string): Act => ({ kind: 'answer', status, body: `<Error><Code>${code}</Code><Message>injected</Message></Error>` });

/** Every test sends through a fault and waits for the fault alone; the last one compares what all of them left. */
describe('servers, links, disk and clock that fail', function () {
  this.timeout(240_000);
  const suite = faultSuite({ spoolMiB: 64 });
  const sent = async (kind: Parameters<typeof makeStudy>[1], count: number, transport?: typeof byStow) => {
    const { site, book, random } = suite();
    const study = makeStudy(random, kind, count);
    assert.ok(await sendUntilAccepted(site, study, book, { ...(transport ? { transport } : {}), pauseMs: 300 }), 'the sender had success in the end');
    return study;
  };
  const at = (method: string, part: string) => (call: Call): boolean => call.method === method && call.path.includes(part);

  // First: what a kill leaves waits for its time-out while the others run.
  const pairs: readonly (readonly [SitePart, SitePart])[] = [['gateway', 'temporal'], ['worker', 's3'], ['edgeWorker', 'opensearch'], ['worker', 'edgeWorker']];
  for (const pair of pairs) {
    it(`${pair.join(' and ')} are killed at once`, async () => {
      const { site } = suite();

      const sending = sent('ct', 12);
      await sleep(300);
      await Promise.all(pair.map((part) => site.kill(part)));
      await Promise.all(pair.map((part) => site.restart(part)));
      await sending;
    });
  }

  /** Six are more than one attempt of a step makes; an answer that breaks off is no matter for the S3 client, and costs an attempt each. */
  const s3Cases: readonly (readonly [what: string, link: 'edgeS3' | 'cloudS3', matches: (call: Call) => boolean, moment: Moment, act: Act, times: number])[] = [
    ['500 for a pack', 'edgeS3', at('PUT', '.tar'), 'before', s3Error(500, 'InternalError'), 6],
    ['503 SlowDown for a commit', 'cloudS3', at('PUT', '.index.json.gz'), 'before', s3Error(503, 'SlowDown'), 6],
    ['half of a pack, then a reset', 'edgeS3', at('PUT', '.tar'), 'halfway', cut, 6],
    ['a lost answer to a commit', 'cloudS3', at('PUT', '.index.json.gz'), 'after', cut, 6],
    ['half of the headers', 'cloudS3', at('GET', '.headers.json.gz'), 'after', { kind: 'half' }, 2],
    ['half of a pack index', 'cloudS3', at('GET', '.index.json.gz'), 'after', { kind: 'half' }, 2],
    ['a lost answer to the ledger', 'edgeS3', at('PUT', '/deliveries/'), 'after', cut, 6],
  ];
  for (const [what, link, matches, moment, act, times] of s3Cases) {
    it(`S3 gives ${what}, ${times} times`, async () => {
      const fault = suite().site.links[link].faults.arm({ matches, moment, act, times });

      await sent('ct', 2);
      await hasFired(what, fault, 120_000);

      assert.equal(fault.fired(), times);
    });
  }

  it('a part of a multipart upload breaks off, and so does its completion', async () => {
    const { faults } = suite().site.links.edgeS3;
    const [part, complete] = [
      faults.arm({ matches: (call) => call.method === 'PUT' && call.path.includes('partNumber=2'), moment: 'halfway', act: cut, times: 5 }),
      faults.arm({ matches: (call) => call.method === 'POST' && /[?&]uploadId=/.test(call.path), moment: 'after', act: cut, times: 4 })];

    await sent('large', 1);
    await Promise.all([hasFired('part 2', part, 120_000), hasFired('the completion', complete, 120_000)]);
  });

  it('a STOW-RS request whose commit, whose answer and whose body break off is sent again', async () => {
    const { links } = suite().site;
    const posted: Fault['matches'] = ({ method, path }) => method === 'POST' && path.includes('dicom-web');
    const faults = (['before', 'halfway', 'after'] as const).map((moment) => links.api.faults.arm({ matches: posted, moment, act: cut }));

    await sent('mr', 3, byStow);

    assert.deepEqual(faults.map((fault) => fault.fired()), [1, 1, 1]);
  });

  it('OpenSearch answers 429 and 503, loses an answer, and turns read-only', async () => {
    const { site } = suite();
    const bulk = at('POST', '/_bulk');
    const faults = [
      site.links.index.faults.arm({ matches: bulk, moment: 'before', act: { kind: 'answer', status: 429, body: '{}' }, times: 5 }),
      site.links.index.faults.arm({ matches: bulk, moment: 'after', act: cut, times: 5 })];
    const readOnly = (value: boolean | null) => fetch(`${site.openSearchUrl}/pacs-*/_settings`, { method: 'PUT', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ 'index.blocks.read_only_allow_delete': value }) });

    const study = await sent('ct', 2);
    await Promise.all(faults.map((fault, index) => hasFired(`write ${index}`, fault, 120_000)));
    assert.ok((await readOnly(true)).ok);
    await sent('ct', 2);
    await sleep(4_000);
    assert.ok((await readOnly(null)).ok);

    assert.ok(study.instances.length === 2);
  });

  it('OpenSearch is away for a while: images are archived and disks given back meanwhile, and all is found afterwards', async () => {
    const { site, book, random } = suite();
    const committed = (study: string, count: number) => eventually('it is committed', async () =>
      (await site.archive.listIndexes(site.tenantId, study)).flatMap(({ instances }) => instances).length === count, 60_000);
    await site.kill('opensearch');

    const first = await sent('ct', 2);
    await committed(first.studyInstanceUID, 2);
    const second = makeStudy(random, 'ct', 2);
    const twin = makeInstance(random, second.instances[0]!.shape, first.instances[0]!.sopInstanceUID);
    assert.ok(await sendUntilAccepted(site, { instances: [...second.instances, twin] }, book, { pauseMs: 300 }));
    const uploaded = await sent('mr', 2, byStow);
    await committed(second.studyInstanceUID, 3);
    await committed(uploaded.studyInstanceUID, 2);
    await eventually('the gateway has given its disk back', async () => !(await spoolFiles(site)).some((name) => name.endsWith('.tar')), 60_000);
    assert.match((await site.api.flow(studyWorkflowId(site.tenantId, first.studyInstanceUID))).sentence ?? '', /^Indexes 1 packs/);
    await site.restart('opensearch');

    for (const { studyInstanceUID } of [first, second, uploaded]) await eventually('it is found', () => site.api.isFound(studyInstanceUID, 2), 120_000);
    await eventually('the conflict is listed', async () => (await site.api.setAside(second.studyInstanceUID)).map(({ verdict, sopInstanceUID }) => `${verdict} ${sopInstanceUID}`).join() === `conflict ${twin.sopInstanceUID}`);
    await eventually('the history caught up', async () => (await site.api.history(first.studyInstanceUID)).some(({ action }) => action === 'pack.archived'));
  });

  it('the API dies while it hands a request over that one start does not take: no flow waits for the rest, and the sender sends it again', async () => {
    const { site, book, random } = suite();
    const [{ shape }] = makeStudy(random, 'mr', 1).instances as [Instance];
    const instances = Array.from({ length: 51 }, () => makeInstance(random, { ...shape, side: 8, seriesInstanceUID: random.uid() }));
    let starts = 0;
    const second = site.links.cloudTemporal.faults.arm({
      matches: ({ path, request }) => path.endsWith('/StartWorkflowExecution') && request.includes('/ingest/stow/') && ++starts === 2,
      moment: 'before', act: cut, meanwhile: () => site.kill('api') });

    const sending = sendUntilAccepted(site, { instances }, book, { transport: byStow, pauseMs: 300 });
    await hasFired('the second start', second, 120_000);
    await site.restart('api');

    assert.ok(await sending);
    await eventually('it is found', () => site.api.isFound(shape.studyInstanceUID, 51), 120_000);
  });

  it('Temporal is unavailable to the gateway, and forgets what it was told', async () => {
    const { edgeTemporal, cloudTemporal } = suite().site.links;
    const tell: Fault['matches'] = ({ path }) => path.endsWith('/SignalWithStartWorkflowExecution');
    const faults = [
      edgeTemporal.faults.arm({ matches: tell, moment: 'before', act: { kind: 'answer', status: 14 }, times: 3 }),
      edgeTemporal.faults.arm({ matches: tell, moment: 'after', act: cut, times: 2 }),
      cloudTemporal.faults.arm({ matches: ({ path }) => path.endsWith('/ExecuteMultiOperation'), moment: 'after', act: cut, times: 2 }),
      cloudTemporal.faults.arm({ matches: ({ path }) => path.endsWith('/RespondWorkflowTaskCompleted'), moment: 'after', act: cut, times: 2 })];

    await sent('ct', 2);
    await Promise.all(faults.map((fault, index) => hasFired(`call ${index}`, fault, 120_000)));
  });

  it('the link between hospital and cloud is cut for five seconds while a study is sent', async () => {
    const { edgeS3, edgeTemporal } = suite().site.links;
    edgeS3.cut();
    edgeTemporal.cut();

    await sent('cr', 2);
    await sleep(5_000);
    edgeS3.mend();
    edgeTemporal.mend();
  });

  it('the gateway dies with an instance synced and not answered', async () => {
    const { site, book, random } = suite();
    const study = makeStudy(random, 'ct', 60);
    const before = book.acknowledged.size;

    const sending = sendUntilAccepted(site, study, book, { pauseMs: 300 });
    for (const end = Date.now() + 20_000; book.acknowledged.size === before && Date.now() < end; await sleep(5));
    const release = site.links.dicom.holdAnswers();
    await eventually('what is not answered is in the spool', async () => /^pacs_gateway_open_packs(\{[^}]*\})? [1-9]/m.test(await (await fetch(`${site.gatewayUrl}/metrics`)).text()), 20_000);
    await site.kill('gateway');
    const unanswered = book.missing(study).length;
    release();
    await site.restart('gateway');

    assert.ok(await sending);
    assert.ok(unanswered > 0 && unanswered < 60, `${unanswered} had no answer when it died`);
  });

  it('the modality\'s connection breaks in the middle of an instance, again and again', async () => {
    const { site, book, random } = suite();
    const study = makeStudy(random, 'cr', 2);

    const sending = sendUntilAccepted(site, study, book, { pauseMs: 300 });
    const counts: number[] = [];
    for (const bytes of [400_000, 2_500_000]) {
      const broken = site.links.dicom.breakAfter(bytes);
      await eventually('the connection broke', () => broken() === 1, 20_000).catch(() => undefined);
      counts.push(broken());
    }

    assert.ok(await sending);
    assert.ok(counts[0] === 1, 'the first break met the sender');
  });

  it('the destination is away, hangs, is busy and breaks off', async () => {
    const { site } = suite();
    const busy = site.destination.refuse(3);
    const broken = site.links.delivery.breakAfter(20_000);

    await sent('ct', 3);
    await eventually('it was busy and broke off', () => busy() === 3 && broken() === 1, 120_000);
    site.links.delivery.set('cut');
    await sent('ct', 2);
    await sleep(5_000);
    site.links.delivery.set('open');
  });

  it('the gateway\'s disk fills up in the middle of an instance', async function () {
    const { site, book, random } = suite();
    if (!site.disk) return this.skip();
    const study = makeStudy(random, 'cr', 2);
    const before = book.refused;

    site.disk.fill(1 * MiB);
    const sending = sendUntilAccepted(site, study, book, { pauseMs: 300 });
    await eventually('the sender was told that the disk is full', () => book.refused > before, 30_000);
    site.disk.empty();

    assert.ok(await sending);
  });

  it('clocks go back an hour; a resend with other bytes does not replace the first', async function () {
    const { site, book, random } = suite();
    if (!site.clocks) return this.skip();
    const first = await sent('ct', 2);
    await eventually('it is found', () => site.api.isFound(first.studyInstanceUID, 2), 120_000);
    site.clocks.edge.set(-3_600);
    site.clocks.cloud.set(-3_600);
    await sleep(1_500);
    const other = first.instances.slice(0, 1).map((instance) => makeInstance(random, instance.shape, instance.sopInstanceUID));

    assert.ok(await sendUntilAccepted(site, { instances: other }, book));
    await sent('ct', 3);
    await eventually('the conflict is seen', async () => (await site.api.setAside(first.studyInstanceUID)).some(({ verdict }) => verdict === 'conflict'), 120_000);
    site.clocks.edge.set(0);
    site.clocks.cloud.set(0);

    const current = (await new PacsClient(site.api.origin, site.tenantId, site.api.token).retrieve(first.studyInstanceUID)).find(({ sopInstanceUID }) => sopInstanceUID === other[0]!.sopInstanceUID);
    assert.equal(current?.dataSetSha256, first.instances[0]!.dataSetSha256);
  });

  it('has every instance archived, indexed and delivered once in the end', async () => {
    await assertNothingLostOrDoubled(suite());
  });
});
