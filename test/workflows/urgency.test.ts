import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { setPriorityUpdate } from '../../workflows/contracts.ts';
import { routeWorkflowId } from '../../workflows/ids.ts';
import { aRoute, anAssociation } from './flows.ts';
import { aSite, until, type Site } from './site.ts';
import { aStudyOf } from './studies.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('the priority of a flow that waits', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this, { suggestContinueAsNewAt: 60 });
  });
  const another = (site: Site): Site => ({ ...site, origin: { ...site.origin, associationId: randomUUID() } });
  const setPriority = (workflowId: string, decision: object) => server.client.workflow.getHandle(workflowId).executeUpdate(setPriorityUpdate, { args: [decision] });
  const priorityOf = async (workflowId: string, runId?: string) => {
    const { raw } = await server.client.workflow.getHandle(workflowId, runId).describe();
    return raw.workflowExecutionInfo?.priority?.priorityKey;
  };

  it('moves what is queued at its gateway: the last of a backlog goes first, and so do its next steps', async function overtake() {
    this.timeout(60_000);
    // An upload takes a while, as real ones do: what follows it in the cloud is done before the slot is free for the next but one.
    const site = aSite({ stagePack: async (pack) => {
      await sleep(300);
      return pack;
    } });
    const flows = [];
    for (let count = 0; count < 12; count++) {
      const flow = await anAssociation(server.client, another(site));
      const pack = site.aPack();
      await flow.ready(pack);
      await flow.end(1);
      flows.push({ flow, pack });
    }
    for (const { flow } of flows) await flow.reaches('EDGE_OFFLINE');
    const last = flows.at(-1)!;

    await setPriority(last.flow.handle.workflowId, { priority: 1, by: 'Ada', why: 'stroke' });
    await server.openGateway(site.tenantId, site.gatewayId, 1);
    await Promise.all(flows.map(({ flow }) => flow.result()));

    const place = (name: 'stagePack' | 'releasePack') => site.called(name).indexOf(last.pack.packId);
    // Every second each task of this test's gateway is queued anew, so that others may be queued alone for a moment. Without its priority it comes last.
    assert.ok(place('stagePack') <= 3, `staged at place ${place('stagePack')} of 12`);
    assert.ok(place('releasePack') <= 3, `released at place ${place('releasePack')} of 12`);
    assert.deepEqual(site.audit.filter(({ action }) => action === 'flow.prioritised').map(({ actor, detail }) => [actor, detail]), [['Ada', 'Priority 1: stroke']]);
  });

  it('stays with the runs that follow, and with the study', async function runs() {
    this.timeout(60_000);
    const priorities: number[] = [];
    const site = aSite({ registerPack: async (_pack, priority) => {
      priorities.push(priority);
      return { duplicate: false };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    await setPriority(flow.handle.workflowId, { priority: 1, by: 'Ada', why: 'stroke' });
    for (let count = 0; count < 12; count++) await flow.ready(site.aPack());
    await until('the flow has gone on as new', async () => (await server.client.workflow.getHandle(flow.handle.workflowId).describe()).runId !== flow.handle.firstExecutionRunId);
    await flow.end(12);
    await flow.result();

    assert.equal(await priorityOf(flow.handle.workflowId), 1);
    assert.deepEqual([...new Set(priorities)], [1]);
  });

  it('goes before the rule\'s when the study starts its routes', async () => {
    const study = aStudyOf({ findRoutes: async () => [{ ruleId: 'all', destinationId: 'archive', priority: 4 }] });
    await createRegisterPack({ client: () => server.client, quietMs: 1_500, closeAfterMs: 500 })(study.pack(), 3);

    await setPriority(study.workflowId, { priority: 1, by: 'Ada', why: 'stroke' });
    await server.client.workflow.getHandle(study.workflowId).result();

    assert.equal(await priorityOf(routeWorkflowId(study.site.tenantId, study.uid, 'all', 1)), 1);
  });

  it('is changed only with a priority, a who and a why', async () => {
    let sent = (): void => {};
    const site = aSite({ sendInstances: () => new Promise((resolve) => {
      sent = () => resolve({ deliveredCount: 1, refusedCount: 0, alreadyThereCount: 0 });
    }) });
    const flow = await aRoute(server.client, site);

    for (const decision of [{ priority: 0, by: 'Ada', why: 'x' }, { priority: 1, by: ' ', why: 'x' }, { priority: 1, by: 'Ada' }]) {
      await assert.rejects(setPriority(flow.handle.workflowId, decision));
    }
    await setPriority(flow.handle.workflowId, { priority: 5, by: 'Ada', why: 'can wait' });

    assert.equal(await priorityOf(flow.handle.workflowId), 5);
    await until('the delivery has begun', () => site.called('sendInstances').length === 1);
    sent();
    await flow.result();
  });
});
