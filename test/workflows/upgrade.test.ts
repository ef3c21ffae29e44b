import assert from 'node:assert/strict';
import path from 'node:path';
import { permanent } from '../../activities/failure.ts';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { useVersion } from '../../infra/commands/workers.ts';
import { aRoute, anAssociation } from './flows.ts';
import { startTemporal, type Temporal } from './server.ts';
import { aSite, until } from './site.ts';
import { aStudyOf } from './studies.ts';

const upgraded = { './routeStudy.ts': path.join(import.meta.dirname, 'upgraded/routeStudy.ts') };

describe('an upgrade of the workers', function upgrades() {
  this.timeout(120_000);
  let server: Temporal;
  before(async () => {
    server = await startTemporal();
  });
  after(() => server?.stop());

  const buildOf = async (workflowId: string): Promise<string | undefined> => {
    const { raw } = await server.client.workflow.getHandle(workflowId).describe();
    return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId ?? undefined;
  };
  const makeCurrent = (buildId: string) => until(`version ${buildId} is current`, () => useVersion(server.client, 'pacs', buildId).then(() => true, () => false));

  it('in mid-flow leaves running flows with their version, starts new ones on the new, and moves a study over', async () => {
    let fails = true;
    const parked = aSite({ sendInstances: async () => {
      if (fails) throw permanent('UnknownDestination', 'Destination');
      return { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 };
    } });
    const away = aSite();
    const study = aStudyOf();
    const registerPack = createRegisterPack({ client: () => server.client, quietMs: 1_000, closeAfterMs: 60_000 });
    await server.openVersion('v1');
    await makeCurrent('v1');
    const route = await aRoute(server.client, parked);
    await route.reaches('ATTENTION');
    const association = await anAssociation(server.client, away);
    await association.ready(away.aPack());
    await association.reaches('EDGE_OFFLINE');
    await registerPack(study.pack(), 3);
    await until('the study is indexed', () => study.indexed().length === 1);

    await server.openVersion('v2', upgraded);
    await makeCurrent('v2');
    fails = false;
    await route.decide('retry');
    await route.result();
    await server.openGateway(away.tenantId, away.gatewayId);
    await association.end(1);
    await association.result();
    const later = aSite();
    const newRoute = await aRoute(server.client, later);
    await newRoute.result();
    await registerPack(study.pack(), 3);
    await until('the study runs on the new version', async () => await buildOf(study.workflowId) === 'v2');
    await registerPack(study.pack(), 3);
    await until('nothing of the study is lost', () => new Set(study.indexed()).size === 3);

    assert.deepEqual(await Promise.all([route, association, newRoute].map(({ handle }) => buildOf(handle.workflowId))), ['v1', 'v1', 'v2']);
    assert.deepEqual(parked.audit.map(({ action }) => action), ['flow.parked', 'flow.retried', 'route.delivered'], 'by the old order of steps');
    assert.deepEqual(later.audit.map(({ action }) => action), ['route.started'], 'by the new order of steps');
    await server.client.workflow.getHandle(study.workflowId).terminate();
  });
});
