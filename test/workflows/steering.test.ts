import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Flows } from '../../api/flowsClient.ts';
import type { FlowFilter } from '../../api/flowQuery.ts';
import { steerPage, type Steering, type SteeredFlow } from '../../api/steering.ts';
import { createTemporalFlows } from '../../api/temporalFlows.ts';
import { permanent } from '../../activities/failure.ts';
import type { IngestOutcome } from '../../workflows/contracts.ts';
import { ingestWorkflowId, routeWorkflowId } from '../../workflows/ids.ts';
import { aUID } from '../support/aStudy.ts';
import { aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('decisions about many flows', () => {
  let server: Temporal;
  let flows: Flows;
  before(async function start() {
    server = await temporal(this);
    flows = createTemporalFlows(server.client);
  });
  const allPages = async (steering: Steering, filter: FlowFilter, dryRun = false): Promise<readonly SteeredFlow[]> => {
    const all: SteeredFlow[] = [];
    for (let cursor: string | undefined, more = true; more;) {
      const { steered, next } = await steerPage(flows, steering, filter, { limit: 10, cursor, dryRun, decisionId: randomUUID() });
      all.push(...steered);
      cursor = next;
      more = next !== undefined;
    }
    return all;
  };
  const found = async (filter: FlowFilter, count: number) => until(`${count} flows are found`, async () => {
    const page = await flows.page(filter, 200);
    return page.flows.length === count && page.flows;
  });

  it('reach every parked delivery to one destination over several pages, and no other; a second time there is nothing to do', async function bulk() {
    this.timeout(60_000);
    let fails = true;
    const site = aSite({ sendInstances: async () => {
      if (fails) throw permanent('UnknownDestination', 'Destination');
      return { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 };
    } });
    const { tenantId } = site;
    for (let count = 0; count < 25; count++) {
      const studyInstanceUID = aUID();
      const destinationId = count < 22 ? 'ws1' : 'ws2';
      await flows.startRoute(routeWorkflowId(tenantId, studyInstanceUID, 'request', 'k'), { tenantId, studyInstanceUID, destinationId, priority: 2 }, 'r');
    }
    const filter: FlowFilter = { tenantId, destinationId: 'ws1', errorType: 'UnknownDestination', since: new Date(Date.now() - 86_400_000).toISOString() };
    const retry: Steering = { kind: 'retry', by: 'Ada', why: 'added again' };
    await found({ tenantId, states: ['ATTENTION'] }, 25);

    const dry = await allPages(retry, filter, true);
    fails = false;
    const taken = await allPages(retry, filter);
    await found({ tenantId, states: ['DONE'] }, 22);
    const again = await allPages(retry, filter);

    assert.deepEqual([dry.length, new Set(dry.map(({ answer }) => answer))], [22, new Set(['would'])]);
    assert.deepEqual([taken.length, new Set(taken.map(({ answer }) => answer))], [22, new Set(['taken'])]);
    assert.deepEqual(again, []);
    assert.equal(site.audit.filter(({ action, actor }) => action === 'flow.retried' && actor === 'Ada').length, 22);
    assert.equal((await flows.page({ tenantId, states: ['ATTENTION'] }, 200)).flows.length, 3);
  });

  it('set the priority of everything that works on one study, its associations too', async () => {
    const site = aSite({ registerPack: 'real', sendInstances: async () => { throw permanent('UnknownDestination', 'Destination'); } });
    const { tenantId } = site;
    const pack = site.aPack();
    await flows.startRoute(routeWorkflowId(tenantId, pack.studyInstanceUID, 'request', 'k'), { tenantId, studyInstanceUID: pack.studyInstanceUID, destinationId: 'ws1', priority: 2 }, 'r');
    const flowId = ingestWorkflowId(tenantId, site.gatewayId, site.origin.associationId);
    await server.client.workflow.signalWithStart('ingestAssociation', { workflowId: flowId, taskQueue: 'pacs-core', args: [{ tenantId, origin: site.origin, priority: 3 }],
      signal: 'packReady', signalArgs: [{ kind: 'spooled', pack }], searchAttributes: { TenantId: [tenantId], FlowState: ['RUNNING'] } });
    await found({ tenantId, studyInstanceUID: pack.studyInstanceUID, open: true }, 2);

    const steered = await allPages({ kind: 'priority', priority: 1, by: 'Ada', why: 'stroke' }, { tenantId, studyInstanceUID: pack.studyInstanceUID });

    assert.deepEqual(steered.map(({ answer }) => answer), ['taken', 'taken']);
    for (const { flow } of steered) {
      const { raw } = await server.client.workflow.getHandle(flow.flowId).describe();
      assert.deepEqual([raw.workflowExecutionInfo?.priority?.priorityKey, raw.workflowExecutionInfo?.priority?.fairnessKey], [1, tenantId]);
      await server.client.workflow.getHandle(flow.flowId).terminate();
    }
  });

  it('list what did not take them, and go on', async () => {
    const site = aSite({ sendInstances: async () => { throw permanent('UnknownDestination', 'Destination'); } });
    const { tenantId } = site;
    for (const key of ['a', 'b']) await flows.startRoute(routeWorkflowId(tenantId, '1.2.3', 'request', key), { tenantId, studyInstanceUID: '1.2.3', destinationId: 'ws1', priority: 2 }, 'r');
    await found({ tenantId, states: ['ATTENTION'] }, 2);
    const broken: Flows = { ...flows, decide: async (flowId, ...rest) => {
      if (flowId.endsWith('/a')) throw new Error('the link is cut');
      return flows.decide(flowId, ...rest);
    } };

    const { steered } = await steerPage(broken, { kind: 'skip', by: 'Ada', why: 'old' }, { tenantId, destinationId: 'ws1' }, { limit: 10, dryRun: false, decisionId: 'd' });

    assert.deepEqual(steered.map(({ flow, answer }) => [flow.flowId.at(-1), answer]).toSorted(), [['a', 'failed'], ['b', 'taken']]);
    await server.client.workflow.getHandle(routeWorkflowId(tenantId, '1.2.3', 'request', 'a')).terminate();
  });

  it('find an upload whose API process died right after it was started: its packs and its end came with the start', async () => {
    const site = aSite();
    const { tenantId } = site;
    const flowId = ingestWorkflowId(tenantId, 'stow', site.origin.associationId);
    const packs = Array.from({ length: 3 }, () => ({ kind: 'staged', pack: site.aPack({ gatewayId: 'stow' }) }) as const);
    const died = { ...server.client, workflow: Object.assign(Object.create(server.client.workflow) as typeof server.client.workflow, { getHandle: () => assert.fail('a second call was made') }), options: server.client.options };

    await createTemporalFlows(died as never).startIngest(flowId, { tenantId, origin: { ...site.origin, kind: 'stow', gatewayId: 'stow' }, priority: 3 }, packs,
      { how: 'released', at: new Date().toISOString() });

    assert.deepEqual(await server.client.workflow.getHandle(flowId).result(), { packCount: 3, acceptedCount: 6, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0, abandonedPackCount: 0 });
  });

  it('find an upload of more packs than one start takes whole, as far as it was started', async () => {
    const site = aSite();
    const { tenantId } = site;
    const flowId = ingestWorkflowId(tenantId, 'stow', site.origin.associationId);
    const packs = Array.from({ length: 70 }, () => ({ kind: 'staged', pack: site.aPack({ gatewayId: 'stow' }) }) as const);
    let starts = 0;
    const start = (...args: Parameters<typeof server.client.workflow.start>) => (++starts === 2 ? Promise.reject(new Error('the process dies')) : server.client.workflow.start(...args));
    const dying = { ...server.client, workflow: Object.assign(Object.create(server.client.workflow) as typeof server.client.workflow, { start }), options: server.client.options };
    const input = { tenantId, origin: { ...site.origin, kind: 'stow', gatewayId: 'stow' }, priority: 3 } as const;
    const end = { how: 'released', at: new Date().toISOString() } as const;

    await assert.rejects(createTemporalFlows(dying as never).startIngest(flowId, input, packs, end), /the process dies/);
    const first = await server.client.workflow.getHandle(flowId).result() as IngestOutcome;
    const again = await flows.startIngest(`${flowId}x`, input, packs, end);
    const all = await Promise.all(again.map((each) => server.client.workflow.getHandle(each).result())) as readonly IngestOutcome[];

    assert.deepEqual([first.packCount, again, all.map(({ packCount }) => packCount)], [50, [`${flowId}x`, `${flowId}x-2`], [50, 20]]);
  });
});
