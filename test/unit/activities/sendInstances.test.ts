import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createPlaces } from '../../../activities/route/places.ts';
import { createSendInstances, type SendInstancesInput } from '../../../activities/route/sendInstances.ts';
import type { DeliveryLedger } from '../../../domain/delivery.ts';
import { MemoryArchive, MemoryCircuitStore, MemoryDeliveryStore, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { DestinationUnavailable, VersionConflict, type ArchiveStore, type DeliveryStore, type InstanceToSend, type Sender, type SendResult } from '../../../stores/ports.ts';
import { aPackIndex, aTenant } from '../../support/aStudy.ts';
import { CrashPoint, everyCrash, run, runAs } from './support.ts';

type Answer = (uid: string, sent: readonly string[]) => SendResult['outcome'] | Error;
const now = () => new Date('2024-05-01T12:00:00.000Z');

/** A study of some instances, a destination that answers as told, and a ledger. */
async function aDelivery({ instances = 4, answer = () => 'delivered' }: { readonly instances?: number; readonly answer?: Answer } = {}) {
  const tenantId = aTenant();
  const pack = aPackIndex({ tenantId, instances: Array.from({ length: instances }, () => ({})) });
  const { studyInstanceUID } = pack;
  const archive = new MemoryArchive();
  await archive.commitIndex(pack);
  const tenants = new MemoryTenantStore();
  await tenants.put({ tenantId, gateways: [], rules: [], destinations: [{ kind: 'dicomweb', destinationId: 'web', url: 'http://127.0.0.1/dicom-web' }] }, undefined);
  const deliveries = new MemoryDeliveryStore();
  const circuits = new MemoryCircuitStore();
  const places = createPlaces();
  const sent: string[] = [];
  const destination = { answer };
  const sender: Sender = { async *send(_destination, toSend: readonly InstanceToSend[], signal) {
    for (const { sopInstanceUID } of toSend) {
      signal.throwIfAborted();
      const outcome = destination.answer(sopInstanceUID, sent);
      if (outcome instanceof Error) throw outcome;
      sent.push(sopInstanceUID);
      yield { sopInstanceUID, outcome, ...(outcome === 'delivered' ? { status: 0 } : { status: outcome === 'later' ? 0xa700 : 0xa900, problem: `The destination said ${outcome}.` }) };
    }
  } };
  const uids = pack.instances.map(({ sopInstanceUID }) => sopInstanceUID);
  const input = (flowId = 'flow-1', more: Partial<SendInstancesInput> = {}): SendInstancesInput =>
    ({ tenantId, studyInstanceUID, destinationId: 'web', flowId, resend: false, retryRefused: false, ...more });
  const ledger = async (): Promise<DeliveryLedger> => (await deliveries.get(tenantId, 'web', studyInstanceUID)).value;
  return {
    archive, sent, uids, input, ledger, destination, deliveries, circuits, places, tenantId,
    send: (crash = new CrashPoint(), store: DeliveryStore = deliveries) => createSendInstances({ archive: crash.wrap<ArchiveStore>(archive), tenants: crash.wrap(tenants),
      deliveries: crash.wrap(store), circuits: crash.wrap(circuits), senders: { dicomweb: sender }, places, firstRetryMs: 30_000, now }),
    states: async () => Object.fromEntries((await ledger()).instances.map(({ sopInstanceUID, state }) => [uids.indexOf(sopInstanceUID), state])),
  };
}

describe('sendInstances', () => {
  it('sends each instance once, however often the flow asks', async () => {
    const delivery = await aDelivery();

    const results = [await run(delivery.send(), delivery.input()), await run(delivery.send(), delivery.input())];

    assert.deepEqual(results, Array(2).fill({ deliveredCount: 4, refusedCount: 0, alreadyThereCount: 0 }));
    assert.deepEqual(delivery.sent, delivery.uids);
  });

  it('goes on where it stopped when our side failed, and says when', async () => {
    const delivery = await aDelivery({ answer: (_, sent) => (sent.length === 2 ? new Error('connection reset') : 'delivered') });

    await assert.rejects(runAs({ attempt: 3 }, delivery.send(), delivery.input()), (error) => {
      assert.ok(error instanceof ApplicationFailure);
      assert.deepEqual([error.type, error.nonRetryable, error.nextRetryDelay], ['DeliveryInterrupted', false, 120_000]);
      assert.match(error.message, /2 instances .*connection reset.*120 s/);
      return true;
    });
    const waiting = (await delivery.ledger()).instances.filter(({ state }) => state === 'waiting');
    assert.deepEqual(waiting.map(({ attempts, nextAttemptAt, lastProblem }) => [attempts, nextAttemptAt, lastProblem]), Array(2).fill([1, '2024-05-01T12:02:00.000Z', 'connection reset']));
    delivery.destination.answer = () => 'delivered';
    await run(delivery.send(), delivery.input());

    assert.deepEqual(delivery.sent, delivery.uids);
  });

  it('tries A7xx again and leaves what is refused for a person', async () => {
    const delivery = await aDelivery({ answer: (uid) => (uid === delivery.uids[1] ? 'later' : uid === delivery.uids[2] ? 'refused' : 'delivered') });

    const { held } = await run(delivery.send(), delivery.input());
    assert.deepEqual(held, { why: 'failed', waitingCount: 1, progressed: true, problem: 'The destination said later.' });
    assert.deepEqual(await delivery.states(), { 0: 'delivered', 1: 'waiting', 2: 'refused', 3: 'delivered' });
    delivery.destination.answer = () => 'delivered';
    const second = await run(delivery.send(), delivery.input());
    const third = await run(delivery.send(), delivery.input('flow-1', { retryRefused: true }));

    assert.deepEqual([second, third], [{ deliveredCount: 3, refusedCount: 1, alreadyThereCount: 0 }, { deliveredCount: 4, refusedCount: 0, alreadyThereCount: 0 }]);
    assert.deepEqual((await delivery.ledger()).instances.map(({ attempts }) => attempts).toSorted(), [1, 1, 2, 2]);
  });

  it('tells of a destination that is away, with what it said of coming back, and sends the rest next time', async () => {
    const delivery = await aDelivery({ answer: (_, sent) => (sent.length === 2 ? new DestinationUnavailable('HTTP 503', { retryAfterMs: 7_000 }) : 'delivered') });

    const first = await run(delivery.send(), delivery.input());
    delivery.destination.answer = () => 'delivered';
    const second = await run(delivery.send(), delivery.input());

    assert.deepEqual(first, { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0, held: { why: 'failed', waitingCount: 2, progressed: true, problem: 'HTTP 503', retryAfterMs: 7_000 } });
    assert.deepEqual(second, { deliveredCount: 4, refusedCount: 0, alreadyThereCount: 0 });
    assert.deepEqual(delivery.sent, delivery.uids);
  });

  it('sends nothing to a destination whose circuit is open, unless it is its turn', async () => {
    const delivery = await aDelivery();
    await delivery.circuits.set(delivery.tenantId, 'web', { since: now().toISOString(), failures: 3, problem: 'nobody answers', nextTryAt: now().toISOString() });

    const held = await run(delivery.send(), delivery.input());
    const sentBefore = delivery.sent.length;
    const turn = await run(delivery.send(), delivery.input('flow-1', { turn: true }));

    assert.deepEqual([held.held, sentBefore, turn.deliveredCount], [{ why: 'open', waitingCount: 4, progressed: false, problem: 'nobody answers' }, 0, 4]);
  });

  it('sends nothing while as many deliveries as the destination takes are under way, and gives its own place back', async () => {
    const delivery = await aDelivery({ answer: () => new Error('our disk') });
    const others = [delivery.places.enter(`${delivery.tenantId}/web`, 2)!, delivery.places.enter(`${delivery.tenantId}/web`, 2)!];

    const busy = await run(delivery.send(), delivery.input());
    others[0]!();
    await assert.rejects(run(delivery.send(), delivery.input()), { type: 'DeliveryInterrupted' });
    delivery.destination.answer = () => 'delivered';
    const free = await run(delivery.send(), delivery.input());

    assert.deepEqual([busy.held?.why, busy.held?.waitingCount, free.deliveredCount], ['busy', 4, 4]);
  });

  it('sends nothing again for a rule, and everything again for a request, once', async () => {
    const delivery = await aDelivery();
    await run(delivery.send(), delivery.input('rule/1'));

    const byRule = await run(delivery.send(), delivery.input('rule/2'));
    delivery.destination.answer = (_, sent) => (sent.length === 6 ? new Error('away') : 'delivered');
    await assert.rejects(run(delivery.send(), delivery.input('request', { resend: true })));
    delivery.destination.answer = () => 'delivered';
    const byRequest = await run(delivery.send(), delivery.input('request', { resend: true }));

    assert.deepEqual([byRule, byRequest], [{ deliveredCount: 0, refusedCount: 0, alreadyThereCount: 4 }, { deliveredCount: 4, refusedCount: 0, alreadyThereCount: 0 }]);
    assert.deepEqual(delivery.sent, [...delivery.uids, ...delivery.uids]);
  });

  it('delivers everything wherever it is interrupted, and nothing twice that the ledger knew', async () => {
    const worlds = await Promise.all(Array.from({ length: 60 }, () => aDelivery({ instances: 60 })));
    const unwritten = 50;

    const calls = await everyCrash(() => {
      const world = worlds.pop()!;
      return { run: (crash) => run(world.send(crash), world.input()), end: () => ({ uids: world.uids, sent: world.sent }) };
    }, ({ uids, sent }, _whole, at) => {
      assert.deepEqual(new Set(sent), new Set(uids), at);
      assert.ok(sent.length <= uids.length + unwritten, `${at}: ${sent.length} sent`);
    });

    assert.ok(calls >= 7, `${calls} calls`);
  });

  describe('as a replay', () => {
    const again = { since: '2024-05-01T00:00:00.000Z', until: '2024-05-01T23:00:00.000Z', states: ['delivered', 'refused'] as const };

    it('sends again what the selection names, once, and keeps how it stood before', async () => {
      const delivery = await aDelivery({ answer: (uid) => (uid === delivery.uids[1] ? 'refused' : 'delivered') });
      await run(delivery.send(), delivery.input());
      delivery.destination.answer = () => 'delivered';

      const results = [await run(delivery.send(), delivery.input('replay-1', { again, resend: true })), await run(delivery.send(), delivery.input('replay-1', { again, resend: true }))];

      assert.deepEqual(results.map(({ deliveredCount, refusedCount }) => [deliveredCount, refusedCount]), Array(2).fill([4, 0]));
      assert.deepEqual(delivery.sent, [...delivery.uids, ...delivery.uids]);
      const { instances: [, refused] } = await delivery.ledger();
      assert.deepEqual([refused!.state, refused!.attempts, refused!.deliveredBy, refused!.replayedBy, refused!.earlier],
        ['delivered', 2, 'replay-1', 'replay-1', [{ state: 'refused', lastAttemptAt: '2024-05-01T12:00:00.000Z', deliveredBy: 'flow-1' }]]);
    });

    it('leaves alone what was never sent, what waits, and what was delivered at another time or state', async () => {
      const delivery = await aDelivery({ answer: (uid) => (uid === delivery.uids[1] ? 'refused' : uid === delivery.uids[2] ? 'later' : 'delivered') });
      const never = await run(delivery.send(), delivery.input('replay-0', { again, resend: true }));
      await run(delivery.send(), delivery.input());
      const sentBefore = delivery.sent.length;

      for (const selection of [{ ...again, until: again.since }, { ...again, since: again.until }, { ...again, states: ['skipped'] as const }]) {
        await run(delivery.send(), delivery.input('replay-1', { again: selection, resend: true }));
      }

      assert.equal(never.deliveredCount, 0);
      assert.equal(delivery.sent.length, sentBefore);
    });

    it('goes on when the destination was away in the midst', async () => {
      const delivery = await aDelivery();
      await run(delivery.send(), delivery.input());
      delivery.destination.answer = (_, sent) => (sent.length === 6 ? new DestinationUnavailable('away', {}) : 'delivered');

      const first = await run(delivery.send(), delivery.input('replay-1', { again, resend: true }));
      delivery.destination.answer = () => 'delivered';
      const second = await run(delivery.send(), delivery.input('replay-1', { again, resend: true }));

      assert.deepEqual([first.held?.waitingCount, second.deliveredCount], [2, 4]);
      assert.deepEqual(delivery.sent, [...delivery.uids, ...delivery.uids]);
    });
  });

  it('keeps the entries that another flow writes meanwhile', async () => {
    const delivery = await aDelivery();
    let disturbed = 0;
    const busy: DeliveryStore = {
      list: (...args) => delivery.deliveries.list(...args),
      get: (...args) => delivery.deliveries.get(...args),
      put: async (ledger, etag) => {
        if (disturbed++ < 3) {
          const { value, etag: latest } = await delivery.deliveries.get(ledger.tenantId, ledger.destinationId, ledger.studyInstanceUID);
          const other = { sopInstanceUID: `1.2.${disturbed}`, sha256: 'aa', state: 'delivered', attempts: 1 } as const;
          await delivery.deliveries.put({ ...value, instances: [...value.instances, other] }, latest);
        }
        return delivery.deliveries.put(ledger, etag);
      },
    };

    await run(delivery.send(new CrashPoint(), busy), delivery.input());

    assert.equal((await delivery.ledger()).instances.length, 7);
  });

  it('fails to be retried when the ledger cannot be written, and then sends again', async () => {
    const delivery = await aDelivery();
    const stuck: DeliveryStore = { list: (...args) => delivery.deliveries.list(...args), get: (...args) => delivery.deliveries.get(...args), put: async () => {
      throw new VersionConflict('changed');
    } };

    await assert.rejects(run(delivery.send(new CrashPoint(), stuck), delivery.input()), { name: 'VersionConflict' });
    const { deliveredCount } = await run(delivery.send(), delivery.input());

    assert.equal(deliveredCount, 4);
  });

  it('ends as cancelled when it is cancelled, with what was sent written down', async () => {
    const delivery = await aDelivery();
    const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
    delivery.destination.answer = (_, sent) => {
      if (sent.length === 1) environment.cancel();
      return 'delivered';
    };

    await assert.rejects(environment.run(delivery.send(), delivery.input()), (error) => !(error instanceof ApplicationFailure));

    assert.deepEqual(await delivery.states(), { 0: 'delivered', 1: 'delivered', 2: 'waiting', 3: 'waiting' });
  });

  it('gives up on a destination that is not configured', async () => {
    const delivery = await aDelivery();

    await assert.rejects(run(delivery.send(), delivery.input('flow-1', { destinationId: 'gone' })), { type: 'UnknownDestination', nonRetryable: true });
  });

  it('has nothing to do for a study without instances', async () => {
    const delivery = await aDelivery();

    assert.deepEqual(await run(delivery.send(), delivery.input('flow-1', { studyInstanceUID: '1.2.3' })), { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 });
  });
});
