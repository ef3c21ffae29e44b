import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { permanent } from '../../activities/failure.ts';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { taskQueues } from '../../workflows/contracts.ts';
import type { reindexTenant } from '../../workflows/index.ts';
import { anAssociation, flowOf } from './flows.ts';
import { aSite, until } from './site.ts';
import { aStudyOf } from './studies.ts';
import { temporal, type Temporal } from './temporal.ts';

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
type HistoryEvent = NonNullable<History['events']>[number];

describe('continue-as-new', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this, { suggestContinueAsNewAt: 60 });
  });
  /** Every run of a flow, the last first, by the links between them. */
  const runsOf = async (workflowId: string): Promise<readonly { readonly events: number; readonly priority: number | undefined }[]> => {
    const runs: { readonly events: number; readonly priority: number | undefined }[] = [];
    for (let runId: string | undefined = ''; runId !== undefined;) {
      const { events }: History = await server.client.workflow.getHandle(workflowId, runId || undefined).fetchHistory();
      const started: NonNullable<HistoryEvent['workflowExecutionStartedEventAttributes']> = events![0]!.workflowExecutionStartedEventAttributes!;
      runs.push({ events: events!.length, priority: started.priority?.priorityKey ?? undefined });
      runId = started.continuedExecutionRunId || undefined;
    }
    return runs;
  };

  it('takes every pack of a long association once, over several runs', async function long() {
    this.timeout(60_000);
    const site = aSite();
    await server.openGateway(site.tenantId, site.gatewayId);
    const packs = Array.from({ length: 20 }, () => site.aPack());
    const flow = await anAssociation(server.client, site);

    for (const pack of packs) {
      await flow.ready(pack);
      if (Math.random() < 0.3) await flow.ready(pack);
    }
    await flow.end(20);

    assert.equal((await flow.result()).packCount, 20);
    assert.deepEqual(site.called('releasePack').toSorted(), packs.map(({ packId }) => packId).toSorted());
    const runs = await runsOf(flow.handle.workflowId);
    assert.ok(runs.length > 3, `${runs.length} runs`);
    assert.deepEqual(new Set(runs.map(({ priority }) => priority)), new Set([3]), 'every run has the priority of the first');
    assert.equal(await flow.state(), 'DONE');
  });

  it('carries a parked pack over: it holds up no other, and is decided in a later run', async function parked() {
    this.timeout(60_000);
    const site = aSite({ validatePack: async (pack) => {
      if (pack.packId === bad.packId && fails) throw permanent('PackCorrupt', 'Pack');
      return { acceptedCount: 2, quarantinedCount: 0, rules: [] };
    } });
    const bad = site.aPack();
    let fails = true;
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);

    await flow.ready(bad);
    for (let count = 0; count < 11; count++) await flow.ready(site.aPack());
    await flow.end(12);
    await until('the others are released', () => site.called('releasePack').length === 11);
    await until('the flow has gone on as new', async () => (await runsOf(flow.handle.workflowId)).length > 2);

    assert.equal(await flow.state(), 'ATTENTION');
    assert.match((await flow.status()).sentence, /Compare the gateway's spool/);
    assert.equal(site.audit.length, 1, 'it parked once');
    fails = false;
    await flow.decide('retry', { by: 'Ada', why: 'mended', packId: bad.packId });
    assert.equal((await flow.result()).packCount, 12);
    assert.equal(site.called('validatePack').filter((packId) => packId === bad.packId).length, 2);
    assert.equal(await flow.errorType(), undefined);
  });

  it('rebuilds a tenant page by page over several runs, and drops its documents once', async () => {
    const site = aSite();
    const workflowId = `${site.tenantId}/reindex/job-1`;

    const outcome = await server.client.workflow.execute<typeof reindexTenant>('reindexTenant', { workflowId, taskQueue: taskQueues.core, args: [{ tenantId: site.tenantId }] });

    assert.deepEqual(outcome, { studyCount: 3_000, instanceCount: 6_000, eventCount: 7 });
    assert.equal(site.called('rebuildPage').length, 30);
    assert.equal(site.called('dropIndex').length, 1);
    assert.ok((await runsOf(workflowId)).length > 2);
  });

  it('loses and doubles no pack of a study that twelve associations add to at once, and writes its index one at a time', async function busy() {
    this.timeout(60_000);
    const study = aStudyOf();
    const registerPack = createRegisterPack({ client: () => server.client, quietMs: 2_000, closeAfterMs: 2_000 });
    const packs = Array.from({ length: 12 }, () => Array.from({ length: 8 }, study.pack));

    await Promise.all(packs.map(async (ofAssociation) => {
      for (const pack of ofAssociation) await registerPack(pack, 3);
    }));
    const flow = flowOf(server.client.workflow.getHandle(study.workflowId));
    await flow.result();

    assert.deepEqual(study.indexed().toSorted(), packs.flat().map(({ packId }) => packId).toSorted());
    assert.equal(study.mostAtOnce(), 1);
    const runs = await runsOf(study.workflowId);
    assert.ok(runs.length > 1, `${runs.length} runs`);
    assert.deepEqual(study.site.audit.map(({ action, counts }) => [action, counts?.['instanceCount']]), [['study.indexed', 96], ['study.stable', undefined]]);
  });
});
