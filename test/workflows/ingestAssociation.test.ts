import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { associationEndedSignal, packReadySignal, retrySignal } from '../../workflows/contracts.ts';
import { permanent } from '../../activities/failure.ts';
import type { GivenUp } from '../../domain/pack.ts';
import { anAssociation } from './flows.ts';
import { aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('ingestAssociation', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  it('takes every pack once and ends when the last is released, though the end comes first and signals come twice', async () => {
    const site = aSite();
    await server.openGateway(site.tenantId, site.gatewayId);
    const packs = Array.from({ length: 6 }, () => site.aPack());
    const flow = await anAssociation(server.client, site);

    await flow.end(6);
    for (const pack of [...packs, ...packs]) await flow.ready(pack);
    await flow.end(7);

    assert.deepEqual(await flow.result(), { packCount: 6, acceptedCount: 12, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0, abandonedPackCount: 0 });
    for (const name of ['stagePack', 'validatePack', 'archivePack', 'registerPack', 'releasePack'] as const) {
      assert.deepEqual(site.called(name).toSorted(), packs.map(({ packId }) => packId).toSorted(), name);
    }
    assert.equal(await flow.state(), 'DONE');
  });

  it('stages a pack again that a sweep removed, and asks a person when it is gone each time', async () => {
    const gone = new Map<string, number>();
    const site = aSite({ archivePack: async (pack) => {
      const times = gone.get(pack.packId) ?? 0;
      gone.set(pack.packId, times - 1);
      if (times > 0) throw permanent('PackUnstaged', 'Pack');
      return { ...pack, committed: true, outcome: { acceptedCount: 2, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 } };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const [once, often] = [site.aPack(), site.aPack()];
    gone.set(once.packId, 1).set(often.packId, 3);
    const flow = await anAssociation(server.client, site);

    for (const pack of [once, often]) await flow.ready(pack);
    await flow.end(2);
    await flow.reaches('ATTENTION');
    const errorType = await flow.errorType();
    await flow.decide('retry');

    assert.equal((await flow.result()).acceptedCount, 4);
    assert.equal(errorType, 'PackUnstaged');
    assert.deepEqual([once, often].map(({ packId }) => site.called('stagePack').filter((each) => each === packId).length), [2, 4]);
  });

  it('releases a pack only after its study knows it, and never registers one that was not committed', async () => {
    const site = aSite({ archivePack: async (pack) => ({ ...pack, committed: false, outcome: { acceptedCount: 0, quarantinedCount: 0, duplicateCount: 2, conflictCount: 0 } }) });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);

    await flow.ready(site.aPack());
    await flow.end(1);

    assert.equal((await flow.result()).duplicateCount, 2);
    assert.deepEqual(site.calls.map(({ name }) => name), ['stagePack', 'validatePack', 'archivePack', 'releasePack']);
  });

  it('parks bad packs where a person sees them, and takes the others to the end', async () => {
    const bad = new Set<string>();
    const site = aSite({ validatePack: async (pack) => {
      if (bad.has(pack.packId)) throw permanent('PackCorrupt', 'Pack');
      return { acceptedCount: 2, quarantinedCount: 0, rules: [] };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const packs = Array.from({ length: 10 }, () => site.aPack());
    for (const { packId } of packs.slice(0, 5)) bad.add(packId);
    const flow = await anAssociation(server.client, site);

    for (const pack of packs) await flow.ready(pack);
    await flow.end(10);
    await flow.reaches('ATTENTION');
    await until('the good ones are released', () => site.called('releasePack').length === 5);

    assert.equal(await flow.errorType(), 'PackCorrupt');
    const { sentence, counts } = await until('all five are parked', async () => {
      const status = await flow.status();
      return status.counts['waiting'] === 5 && status;
    });
    assert.match(sentence, /Compare the gateway's spool with the archive, then retry/);
    assert.equal(counts['packCount'], 5);

    bad.clear();
    await flow.decide('retry');
    assert.equal((await flow.result()).packCount, 10);
    assert.equal(await flow.errorType(), undefined);
    const parked = site.audit.filter(({ action }) => action === 'flow.parked');
    assert.equal(new Set(parked.map(({ eventId }) => eventId)).size, 5);
    assert.deepEqual(site.audit.filter(({ action }) => action === 'flow.retried').map(({ actor, detail }) => [actor, detail]), [['Ada', 'test']]);
  });

  it('gives up one pack by skip and another by reject, and tries a third again, each by its ID', async () => {
    const bad = new Set<string>();
    const site = aSite({ archivePack: async (pack) => {
      if (bad.has(pack.packId)) throw permanent('PackCorrupt', 'Pack');
      return { ...pack, committed: true, outcome: { acceptedCount: 2, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 } };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const [one, two, three] = [site.aPack(), site.aPack(), site.aPack()];
    for (const { packId } of [one, two, three]) bad.add(packId);
    const flow = await anAssociation(server.client, site);
    for (const pack of [one, two, three]) await flow.ready(pack);
    await flow.end(3);
    await until('all are parked', () => site.audit.length === 3);

    await flow.decide('skip', { by: 'Ada', why: 'sent again', packId: one.packId });
    await flow.decide('reject', { by: 'Ada', why: 'not ours', packId: two.packId });
    assert.equal(await flow.state(), 'ATTENTION');
    bad.clear();
    await flow.decide('retry', { by: 'Ada', why: 'mended', packId: three.packId });

    assert.deepEqual(await flow.result(), { packCount: 3, acceptedCount: 2, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0, abandonedPackCount: 2 });
    assert.deepEqual(site.called('releasePack'), [three.packId]);
    assert.deepEqual(site.called('setAsidePack').toSorted(), [one.packId, two.packId].toSorted());
  });

  it('asks a person once more when a pack that was given up cannot be set aside', async () => {
    let failure: string | undefined = 'SpoolUnreadable';
    const given: GivenUp[] = [];
    const site = aSite({
      validatePack: async () => {
        throw permanent('PackCorrupt', 'Pack');
      },
      setAsidePack: async (_, why) => {
        if (failure) throw permanent('SpoolUnreadable', 'Pack');
        given.push(why);
      },
    });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    await flow.ready(site.aPack());
    await flow.end(1);
    await flow.reaches('ATTENTION');

    await flow.decide('skip', { by: 'Ada', why: 'sent again' });
    await until('it is parked once more', async () => await flow.errorType() === 'SpoolUnreadable');
    failure = undefined;
    await flow.decide('reject', { by: 'Bob', why: 'the disk is mended' });

    assert.equal((await flow.result()).abandonedPackCount, 1);
    assert.deepEqual(given.map(({ kind, by, why }) => [kind, by, why]), [['reject', 'Bob', 'the disk is mended']]);
  });

  it('refuses a decision without who and why, about a pack that is not parked, and while nothing waits', async () => {
    let fails = true;
    const site = aSite({ validatePack: async () => {
      if (fails) throw permanent('PackCorrupt', 'Pack');
      return { acceptedCount: 2, quarantinedCount: 0, rules: [] };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    const refused = (decision: object) => assert.rejects(flow.decide('skip', decision), { name: 'WorkflowUpdateFailedError' });

    await refused({ by: 'Ada', why: 'nothing waits' });
    await flow.ready(site.aPack());
    await flow.reaches('ATTENTION');
    await refused({ by: 'Ada' });
    await refused({ by: 'Ada', why: ' ' });
    await refused({ by: 7, why: 'x' });
    await refused({ by: 'Ada', why: 'x', packId: 'other' });
    await assert.rejects(flow.handle.executeUpdate('skip'), { name: 'WorkflowUpdateFailedError' });

    assert.equal(await flow.state(), 'ATTENTION');
    fails = false;
    await flow.handle.signal(retrySignal);
    await flow.end(1);
    assert.equal((await flow.result()).acceptedCount, 2);
  });

  it('goes on by the bulk signal, which asks for nothing', async () => {
    let fails = true;
    const site = aSite({ validatePack: async () => {
      if (fails) throw permanent('PackCorrupt', 'Pack');
      return { acceptedCount: 2, quarantinedCount: 0, rules: [] };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    await flow.handle.signal(retrySignal);
    await flow.ready(site.aPack());
    await flow.end(1);
    await flow.reaches('ATTENTION');

    fails = false;
    await flow.handle.signal(retrySignal, { by: 7, why: null });

    await flow.result();
    assert.deepEqual(site.audit.map(({ action, actor }) => [action, actor]), [['flow.parked', 'flow'], ['flow.retried', 'signal']]);
  });

  it('retries by itself what a retry may cure', async () => {
    let attempts = 0;
    const site = aSite({ archivePack: async (pack) => {
      if (++attempts < 3) throw ApplicationFailure.create({ message: 'S3 is away', nextRetryDelay: 10 });
      return { ...pack, committed: true, outcome: { acceptedCount: 2, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 } };
    } });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);

    await flow.ready(site.aPack());
    await flow.end(1);

    assert.equal((await flow.result()).acceptedCount, 2);
    assert.equal(attempts, 3);
    assert.deepEqual(site.audit, []);
  });

  it('is not wedged by malformed signals', async () => {
    const site = aSite();
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);

    for (const payload of [undefined, null, 7, {}, { kind: 'spooled' }, { kind: 'spooled', pack: { packId: 1 } }, { kind: 'other', pack: site.aPack() }]) {
      await flow.handle.signal(packReadySignal, payload);
      await flow.handle.signal(associationEndedSignal, payload);
    }
    await flow.handle.signal(packReadySignal);
    await flow.ready(site.aPack());
    await flow.end(1);

    assert.equal((await flow.result()).packCount, 1);
  });

  it('touches no pack of another tenant or gateway, whatever a signal says', async () => {
    const site = aSite();
    const other = aSite();
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);

    await flow.ready(other.aPack());
    await flow.ready(site.aPack({ gatewayId: 'gw2' }));
    await flow.end(2);
    await flow.reaches('ATTENTION');
    await until('both are parked', () => site.audit.length === 2);
    await flow.decide('retry');
    await until('both are parked again', () => site.audit.length === 5);
    await flow.decide('reject');

    assert.equal((await flow.result()).abandonedPackCount, 2);
    assert.deepEqual([...site.calls, ...other.calls], []);
  });

  it('ends when it is cancelled, at work or parked', async () => {
    const site = aSite({ validatePack: async () => {
      throw permanent('PackCorrupt', 'Pack');
    }, archivePack: () => new Promise(() => undefined) });
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    await flow.ready(site.aPack());
    await flow.reaches('ATTENTION');

    await flow.handle.cancel();

    await assert.rejects(flow.result(), { name: 'WorkflowFailedError' });
    assert.equal((await flow.handle.describe()).status.name, 'CANCELLED');
  });
});
