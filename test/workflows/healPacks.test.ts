import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { aSweep } from './flows.ts';
import { aDamagedArchive, aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

const packId = (letter: string): string => letter.repeat(64);
/** The history but for the sweep's own event. */
const ofPacks = ({ audit }: ReturnType<typeof aSite>) => audit.filter(({ action }) => action !== 'tenant.swept');

describe('a sweep that finds damaged packs', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  it('heals them from their gateway, verifies them, writes it into the history and asks nobody', async () => {
    const site = aSite(aDamagedArchive(['a', 'b', 'c', 'd', 'e', 'f'].map(packId), () => true));
    await server.openGateway(site.tenantId, site.gatewayId);

    const flow = await aSweep(server.client, site);
    const { damagedCount, healedCount } = await flow.result();

    assert.deepEqual([damagedCount, healedCount, await flow.state()], [6, 6, 'DONE']);
    assert.deepEqual(ofPacks(site).map(({ action }) => action), Array<string>(6).fill('pack.healed'));
    const event = ofPacks(site).find((each) => each.packId === packId('a'))!;
    assert.deepEqual([event.actor, event.gatewayId, event.studyInstanceUID, event.detail], ['sweep', 'gw1', '1.2.3', `Pack ${'a'.repeat(12)}: its tar is gone. It was put back from what gateway gw1 had, and verified.`]);
    assert.equal(site.called('examinePack').length, 6, 'each when it was put back');
    assert.equal(site.called('mendPack').length, 6);
  });

  it('asks no gateway for what the archive itself mends', async () => {
    const damaged = aDamagedArchive([packId('a')], () => true);
    const site = aSite({ ...damaged, mendPack: async (pack) => damaged.putBackPack(pack) });

    const flow = await aSweep(server.client, site);

    assert.equal((await flow.result()).healedCount, 1);
    assert.deepEqual([site.called('putBackPack'), ofPacks(site)[0]!.gatewayId], [[], undefined]);
  });

  it('lets a pack that no source has wait with a sentence that says who was asked, and tries all of them again on retry', async () => {
    const lost = new Set([packId('b')]);
    const site = aSite(aDamagedArchive(['a', 'b'].map(packId), (pack) => !lost.has(pack.packId)));
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await aSweep(server.client, site);
    await flow.reaches('ATTENTION');

    const { sentence } = await flow.status();
    assert.match(sentence, /^Pack b{12} of study 1\.2\.3 \(tenant t-\S+\) is damaged: its tar is gone\. Asked for a copy: the archive has no intact copy; gateway gw1 does not have it any more\. What lies/);
    assert.equal(await flow.errorType(), 'PackDamaged');
    await until('both are in the history', () => ofPacks(site).map(({ action }) => action).toSorted().join() === 'flow.parked,pack.healed');
    await flow.decide('retry', { by: 'Ada', why: 'look again', packId: packId('b') });
    await until('it was asked again', () => site.called('putBackPack').filter((each) => each === packId('b')).length === 2);
    await flow.reaches('ATTENTION');
    lost.clear();
    await flow.decide('retry');

    assert.equal((await flow.result()).healedCount, 2);
    assert.deepEqual(ofPacks(site).filter(({ action }) => action === 'pack.healed').map((event) => event.packId), ['a', 'b'].map(packId));
  });

  it('waits for a gateway that is away as long as it says, once for all its packs, and asks it again on retry', async () => {
    const site = aSite(aDamagedArchive(['a', 'b', 'c', 'd', 'e', 'f', '1', '2'].map(packId), () => true));
    const flow = await aSweep(server.client, site);
    await flow.reaches('ATTENTION');
    await until('all wait', async () => ofPacks(site).filter(({ action }) => action === 'flow.parked').length === 8);
    assert.match((await flow.status()).sentence, /gateway gw1 took no work for 1 second\./);

    await server.openGateway(site.tenantId, site.gatewayId);
    await flow.decide('retry');

    assert.equal((await flow.result()).healedCount, 8);
  });

  it('leaves what a person gives up, and what was put back meanwhile', async () => {
    let isThere = false;
    const damaged = aDamagedArchive(['a', 'b'].map(packId), () => false);
    const site = aSite({ ...damaged, examinePack: async (pack) => (isThere && pack.packId === packId('b') ? {} : damaged.examinePack(pack)) });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await aSweep(server.client, site);
    await until('both wait', () => ofPacks(site).length === 2);

    await flow.decide('skip', { by: 'Ada', why: 'nobody has it', packId: packId('a') });
    isThere = true;
    await flow.decide('retry');

    assert.equal((await flow.result()).healedCount, 0);
    assert.equal(await flow.state(), 'DONE');
  });

  it('does not believe a source: what is damaged again when it was put back goes to the next source, and then to a person', async () => {
    const site = aSite({ ...aDamagedArchive([packId('a')], () => false), mendPack: async () => ({ healed: true }), putBackPack: async () => ({ healed: true }) });
    await server.openGateway(site.tenantId, site.gatewayId);

    const flow = await aSweep(server.client, site);
    await flow.reaches('ATTENTION');

    assert.match((await flow.status()).sentence, /the archive had it, and what was put back is damaged again: its tar is gone; gateway gw1 had it, and what was put back is damaged again/);
    await flow.decide('skip');
    assert.equal((await flow.result()).healedCount, 0);
  });

  it('tries again when the gateway fails on the way, and goes on where its worker ended', async () => {
    let attempts = 0;
    const site = aSite(aDamagedArchive([packId('a')], async () => {
      if (++attempts < 2) throw ApplicationFailure.create({ message: 'connect ECONNREFUSED', type: 'Away' });
      await sleep(10);
      return true;
    }));
    await server.openGateway(site.tenantId, site.gatewayId);

    assert.equal((await (await aSweep(server.client, site)).result()).healedCount, 1);
    assert.equal(attempts, 2);
  });
});
