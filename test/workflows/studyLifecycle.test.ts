import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { permanent } from '../../activities/failure.ts';
import { createAskRewrite } from '../../activities/index/askRewrite.ts';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { routeWorkflowId } from '../../workflows/ids.ts';
import { flowOf } from './flows.ts';
import { until } from './site.ts';
import { aStudyOf } from './studies.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('studyLifecycle', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });
  const register = (times: { readonly quietMs: number; readonly closeAfterMs: number }) => createRegisterPack({ client: () => server.client, ...times });

  it('indexes a pack, calls the study stable when it is quiet, starts its routes once and closes', async () => {
    const study = aStudyOf({ findRoutes: async () => [{ ruleId: 'all', destinationId: 'archive', priority: 2 }] });
    const registerPack = register({ quietMs: 200, closeAfterMs: 400 });

    const first = await registerPack(study.pack(), 3);
    const flow = flowOf(server.client.workflow.getHandle(study.workflowId));
    await flow.result();

    assert.deepEqual(first, { duplicate: false });
    assert.equal(await flow.state(), 'DONE');
    assert.deepEqual(study.site.called('sendInstances'), ['archive']);
    await until('the route has ended', () => study.site.audit.some(({ action }) => action === 'route.delivered'));
    assert.deepEqual(study.site.audit.map(({ action }) => action).filter((action) => !action.startsWith('route.delivered')), ['study.indexed', 'study.stable', 'route.started']);
    assert.deepEqual(study.site.audit[0]!.counts?.['instanceCount'], 1);
  });

  it('starts no new route for a duplicate, and one more for a new revision', async () => {
    const study = aStudyOf({ findRoutes: async () => [{ ruleId: 'all', destinationId: 'archive', priority: 2 }] });
    const registerPack = register({ quietMs: 100, closeAfterMs: 300 });
    const [one, two] = [study.pack(), study.pack()];
    const closed = () => server.client.workflow.getHandle(study.workflowId).result();

    await registerPack(one, 3);
    assert.deepEqual(await registerPack(one, 3), { duplicate: false }, 'the same update has the same answer');
    assert.deepEqual(await registerPack({ ...one, origin: { ...one.origin, associationId: 'a2' } }, 3), { duplicate: true });
    await closed();
    await registerPack(one, 3);
    await closed();
    assert.deepEqual(study.site.called('sendInstances'), ['archive']);
    await registerPack(two, 3);
    await closed();

    assert.deepEqual(study.site.called('sendInstances'), ['archive', 'archive']);
    for (const revision of [1, 2]) await server.client.workflow.getHandle(routeWorkflowId(study.site.tenantId, study.uid, 'all', revision)).result();
  });

  it('writes all documents again when asked, opened for it or not, and routes nothing for it', async () => {
    const study = aStudyOf({ findRoutes: async () => [{ ruleId: 'all', destinationId: 'archive', priority: 2 }],
      indexStudy: async () => ({ packCount: 3, seriesCount: 1, instanceCount: 3, quarantinedCount: 0, duplicateCount: 0, conflictCount: 1 }) });
    const askRewrite = createAskRewrite({ client: () => server.client, quietMs: 100, closeAfterMs: 300 });
    const flow = flowOf(server.client.workflow.getHandle(study.workflowId));

    await askRewrite({ tenantId: study.site.tenantId, studyInstanceUID: study.uid });
    await flow.result();
    const { searchAttributes } = await server.client.workflow.getHandle(study.workflowId).describe();

    assert.deepEqual(study.site.called('indexStudy'), [study.uid]);
    assert.deepEqual(study.site.called('findRoutes'), []);
    assert.deepEqual(searchAttributes['ConflictCount'], [1]);
  });

  it('writes itself again before it is routed when another study holds an instance', async () => {
    const settled = [2, 0];
    const study = aStudyOf({ findRoutes: async () => [{ ruleId: 'all', destinationId: 'archive', priority: 2 }], settleStudy: async () => ({ yieldedCount: settled.shift() ?? 0 }) });

    await register({ quietMs: 100, closeAfterMs: 200 })(study.pack(), 3);
    await server.client.workflow.getHandle(study.workflowId).result();

    const order = study.site.calls.map(({ name }) => name).filter((name) => ['indexStudy', 'settleStudy', 'findRoutes'].includes(name));
    assert.deepEqual(order, ['indexStudy', 'settleStudy', 'indexStudy', 'settleStudy', 'findRoutes']);
  });

  it('brings packs whose index step was skipped into the index with the next pack', async () => {
    let isBroken = true;
    const asked: (readonly string[] | undefined)[] = [];
    const study = aStudyOf({ indexStudy: async ({ packIds }) => {
      asked.push(packIds);
      if (isBroken) throw permanent('PackCorrupt', 'Pack x');
      return { packCount: 2, seriesCount: 1, instanceCount: 2, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 };
    } });
    const registerPack = register({ quietMs: 100, closeAfterMs: 200 });
    const [one, two] = [study.pack(), study.pack()];
    await registerPack(one, 3);
    const flow = flowOf(server.client.workflow.getHandle(study.workflowId));
    await flow.reaches('ATTENTION');
    await flow.decide('skip');
    isBroken = false;
    await until('it says that it is behind', async () => (await flow.status()).sentence.includes('given up'));
    await sleep(1_500); // longer than it would stay open

    await registerPack(two, 3);
    await flow.result();

    assert.deepEqual(asked, [[one.packId], undefined]);
  });

  it('loses no pack that arrives while it closes', async function race() {
    this.timeout(60_000);
    const registerPack = register({ quietMs: 1, closeAfterMs: 1 });

    await Promise.all(Array.from({ length: 8 }, async (_, at) => {
      const study = aStudyOf();
      const packs = Array.from({ length: 5 }, study.pack);
      const stable = () => study.site.audit.filter(({ action }) => action === 'study.stable').length;
      for (const pack of packs) {
        const before = stable();
        await registerPack(pack, 3);
        await until('the pack is indexed and the study is about to close', () => stable() > before);
        await sleep(at * 130 + Math.random() * 130); // the server fires a timer of 1 ms within a second: the studies spread over it
      }
      await until('the study is closed', async () => (await server.client.workflow.getHandle(study.workflowId).describe()).status.name === 'COMPLETED');

      assert.deepEqual(new Set(study.indexed()), new Set(packs.map(({ packId }) => packId)));
    }));
  });

  it('refuses a pack of another study or tenant, and registerPack gives it up', async () => {
    const study = aStudyOf();
    const registerPack = register({ quietMs: 500, closeAfterMs: 500 });
    await registerPack(study.pack(), 3);

    const handle = server.client.workflow.getHandle(study.workflowId);
    for (const wrong of [{ ...study.pack(), tenantId: 'other' }, { ...study.pack(), studyInstanceUID: '1.2.3' }, undefined, { packId: 7 }]) {
      await assert.rejects(handle.executeUpdate('addPack', { args: [wrong] }), { name: 'WorkflowUpdateFailedError' });
    }
    await handle.result();

    assert.equal(study.indexed().length, 1);
  });

  it('keeps the audit of a study that has nothing but quarantined instances short: no route, no stable', async () => {
    const study = aStudyOf({ indexStudy: async () => ({ packCount: 1, seriesCount: 0, instanceCount: 0, quarantinedCount: 2, duplicateCount: 0, conflictCount: 0 }) });

    await register({ quietMs: 50, closeAfterMs: 100 })(study.pack(), 3);
    await server.client.workflow.getHandle(study.workflowId).result();

    assert.deepEqual(study.site.called('findRoutes'), []);
  });
});
