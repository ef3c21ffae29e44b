import assert from 'node:assert/strict';
import { permanent } from '../../activities/failure.ts';
import { aRoute, anAssociation } from './flows.ts';
import { aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('a gateway that is away', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  it('shows as EDGE_OFFLINE, costs one lane alone, and the flow goes on by itself when it is back', async () => {
    const site = aSite();
    const flow = await anAssociation(server.client, site);
    for (let count = 0; count < 6; count++) await flow.ready(site.aPack());
    await flow.end(6);

    await flow.reaches('EDGE_OFFLINE');
    assert.match((await flow.status()).sentence, /Waits for gateway gw1/);
    assert.equal(await flow.errorType(), 'EdgeOffline');
    const misses = async () => (await flow.handle.fetchHistory()).events!.filter(({ activityTaskTimedOutEventAttributes }) => activityTaskTimedOutEventAttributes).length;
    const first = await until('all lanes have missed once', async () => (await misses()) >= 4 && misses());
    await until('one lane tries again', async () => (await misses()) >= first + 2);
    assert.ok((await misses()) <= first + 3, 'one lane alone tries again');
    await server.openGateway(site.tenantId, site.gatewayId);

    assert.equal((await flow.result()).packCount, 6);
    assert.equal(await flow.errorType(), undefined);
  });

  it('hides no pack that waits for a person: ATTENTION stays when the gateway comes back', async () => {
    let fails = true;
    const site = aSite({ validatePack: async () => {
      if (fails) throw permanent('PackCorrupt', 'Pack');
      return { acceptedCount: 2, quarantinedCount: 0, rules: [] };
    } });
    const gateway = await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    await flow.ready(site.aPack());
    await flow.reaches('ATTENTION');

    await gateway.close();
    await flow.ready(site.aPack());
    await until('the second pack waits for the gateway', async () => /Waits for gateway/.test((await flow.status()).sentence));
    assert.equal(await flow.state(), 'ATTENTION');
    await server.openGateway(site.tenantId, site.gatewayId);
    await until('both are parked', () => site.audit.length === 2);

    assert.equal(await flow.state(), 'ATTENTION');
    fails = false;
    await flow.decide('retry');
    await flow.end(2);
    assert.equal((await flow.result()).packCount, 2);
  });

  it('is waited for by a pack that was given up', async () => {
    const site = aSite({ validatePack: async () => {
      throw permanent('PackCorrupt', 'Pack');
    } });
    const gateway = await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    const pack = site.aPack();
    await flow.ready(pack);
    await flow.end(1);
    await flow.reaches('ATTENTION');
    await gateway.close();

    await flow.decide('skip');
    await flow.reaches('EDGE_OFFLINE');
    assert.deepEqual(site.called('setAsidePack'), []);
    await server.openGateway(site.tenantId, site.gatewayId);

    assert.equal((await flow.result()).abandonedPackCount, 1);
    assert.deepEqual(site.called('setAsidePack'), [pack.packId]);
  });

  it('holds a delivery through it until it is back', async () => {
    const site = aSite();
    const flow = await aRoute(server.client, site, { gatewayId: site.gatewayId });
    await flow.reaches('EDGE_OFFLINE');

    await server.openGateway(site.tenantId, site.gatewayId);

    assert.equal((await flow.result()).deliveredCount, 2);
    assert.equal(await flow.state(), 'DONE');
  });

  it('is given up by a person when it never comes back: its flows end, also an association that never told its end', async () => {
    const site = aSite();
    const flow = await anAssociation(server.client, site);
    for (let count = 0; count < 6; count++) await flow.ready(site.aPack());
    await flow.reaches('EDGE_OFFLINE');

    await assert.rejects(flow.decide('retry'), /goes on by itself|failed/);
    await flow.decide('reject', { by: 'Ada', why: 'gw1 is retired' });

    const { packCount, abandonedPackCount } = await flow.result();
    assert.deepEqual([packCount, abandonedPackCount, await flow.state()], [6, 6, 'DONE']);
    assert.equal(await flow.errorType(), undefined);
    assert.deepEqual(site.audit.map(({ action, actor, detail }) => [action, actor, detail]), [['flow.rejected', 'Ada', 'gw1 is retired']]);
  });

  it('is given up with what is archived already: nothing of it is lost', async () => {
    let archived: (() => void) | undefined;
    const site = aSite({ archivePack: async ({ tenantId, studyInstanceUID, seriesInstanceUID, packId }) => {
      await new Promise<void>((resolve) => { archived = resolve; });
      return { tenantId, studyInstanceUID, seriesInstanceUID, packId, committed: true, outcome: { acceptedCount: 2, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 } };
    } });
    const gateway = await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    await flow.ready(site.aPack());
    await flow.end(1);
    await until('the pack is staged', () => archived);
    await gateway.close();
    archived!();
    await flow.reaches('EDGE_OFFLINE');

    await flow.decide('skip', { by: 'Ada', why: 'gw1 is retired' });

    const { acceptedCount, abandonedPackCount } = await flow.result();
    assert.deepEqual([acceptedCount, abandonedPackCount], [2, 0]);
  });

  it('is given up for a delivery, which ends as rejected', async () => {
    const site = aSite();
    const flow = await aRoute(server.client, site, { gatewayId: site.gatewayId });
    await flow.reaches('EDGE_OFFLINE');

    await flow.decide('reject', { by: 'Ada', why: 'gw1 is retired' });

    assert.equal((await flow.result()).deliveredCount, 0);
    assert.equal(await flow.state(), 'REJECTED');
    assert.deepEqual(site.audit.map(({ action }) => action), ['flow.rejected', 'route.failed']);
  });
});
