import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { permanent } from '../../activities/failure.ts';
import { createTemporalFlows } from '../../api/temporalFlows.ts';
import type { ReplayCounts, ReplayDeliveriesInput } from '../../workflows/contracts.ts';
import { replayWorkflowId, routeWorkflowId } from '../../workflows/ids.ts';
import { flowOf } from './flows.ts';
import { aSite, until, type Site } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('replayDeliveries', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });
  const selection = { since: '2024-05-01T00:00:00.000Z', until: '2024-05-02T00:00:00.000Z', states: ['delivered'] } as const;
  const replay = async ({ tenantId }: Site, more: Partial<ReplayDeliveriesInput> = {}) => {
    const flowId = replayWorkflowId(tenantId, 'ws1', 'job 1');
    await createTemporalFlows(server.client).startReplay(flowId, { tenantId, destinationId: 'ws1', jobId: 'job 1', selection, by: 'Ada', why: 'lost its disk', dryRun: false, priority: 5, ...more }, 'r');
    return flowOf(server.client.workflow.getHandle<() => Promise<ReplayCounts>>(flowId));
  };
  const studies = Array.from({ length: 5 }, (_, at) => `1.2.${at}`);
  const pages = (page: { readonly cursor?: string }) => ({ studyInstanceUIDs: page.cursor === undefined ? studies.slice(0, 3) : studies.slice(3), instanceCount: page.cursor === undefined ? 6 : 4,
    maxAssociations: 2, ...(page.cursor === undefined ? { next: 'more' } : {}) });

  it('sends each study that the ledgers name, page by page and no more at once than the destination takes, and says who asked', async () => {
    let [atOnce, most] = [0, 0];
    const asked: unknown[] = [];
    const site = aSite({ pageReplay: async (page) => pages(page), sendInstances: async ({ again, resend, flowId }) => {
      asked.push([again, resend, flowId]);
      most = Math.max(most, ++atOnce);
      await sleep(100);
      atOnce--;
      return { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 };
    } });

    const flow = await replay(site);
    const counts = await flow.result();

    assert.deepEqual(counts, { studyCount: 5, instanceCount: 10, startedCount: 5, deliveredCount: 10, refusedCount: 0, leftCount: 0 });
    assert.equal(most, 2);
    assert.deepEqual(asked.toSorted(), studies.map((study) => [selection, true, routeWorkflowId(site.tenantId, study, 'replay', 'job 1')]));
    assert.deepEqual(site.audit.filter(({ action }) => action === 'deliveries.replayed').map(({ actor, destinationId, detail }) => [actor, destinationId, detail?.endsWith(': lost its disk')]), [['Ada', 'ws1', true]]);
    assert.equal(await flow.state(), 'DONE');
  });

  it('stops when it is told to, and lets what is under way end', async () => {
    let isHeld = true;
    const site = aSite({ pageReplay: async (page) => pages(page), sendInstances: async () => {
      while (isHeld) await sleep(50);
      return { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 };
    } });
    const flow = await replay(site);
    await until('two are under way', async () => (await flow.status()).counts['underWay'] === 2);

    await flow.decide('reject', { by: 'Ada', why: 'the disk is found' });
    const counts = await flow.result();
    isHeld = false;
    await until('both have ended', async () => site.audit.filter(({ action }) => action === 'route.delivered').length === 2);

    assert.deepEqual([counts.startedCount, site.called('sendInstances').length, await flow.state()], [2, 2, 'REJECTED']);
  });

  it('counts alone in a dry run', async () => {
    const site = aSite({ pageReplay: async (page) => pages(page) });

    const counts = await (await replay(site, { dryRun: true })).result();

    assert.deepEqual([counts.studyCount, counts.instanceCount, counts.startedCount], [5, 10, 0]);
    assert.deepEqual([site.called('sendInstances'), site.audit], [[], []]);
  });

  it('goes over many pages as several runs, and starts nothing twice', async function many() {
    this.timeout(60_000);
    const pageCount = 4;
    const site = aSite({ pageReplay: async ({ cursor = '0' }) => ({ studyInstanceUIDs: Array.from({ length: 60 }, (_, at) => `1.2.${cursor}.${at}`), instanceCount: 60, maxAssociations: 8,
      ...(Number(cursor) + 1 < pageCount ? { next: `${Number(cursor) + 1}` } : {}) }) });

    const flow = await replay(site);
    const counts = await flow.result();

    assert.deepEqual([counts.startedCount, counts.deliveredCount, counts.leftCount], [240, 480, 0]);
    assert.equal(site.called('sendInstances').length, 240);
    const { historyLength } = await flow.handle.describe();
    assert.ok(Number(historyLength) < 2_600, `${historyLength} events in the last run`);
  });

  it('asks a person about a destination that is not configured any more', async () => {
    const site = aSite({ pageReplay: async () => { throw permanent('UnknownDestination', 'Destination ws1'); } });

    const flow = await replay(site);
    await flow.reaches('ATTENTION');
    await flow.decide('skip');

    assert.equal((await flow.result()).startedCount, 0);
  });
});
