import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { permanent } from '../../activities/failure.ts';
import type { SendInstancesInput } from '../../activities/route/sendInstances.ts';
import { aRoute } from './flows.ts';
import { aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('routeStudy', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  it('tries again when our side failed, and records the delivery', async () => {
    const requests: SendInstancesInput[] = [];
    const site = aSite({ sendInstances: async (request) => {
      requests.push(request);
      if (requests.length < 3) throw ApplicationFailure.create({ type: 'DeliveryInterrupted', message: 'away', nextRetryDelay: 10 });
      return { deliveredCount: 5, refusedCount: 0, alreadyThereCount: 1 };
    } });

    const flow = await aRoute(server.client, site);

    assert.deepEqual(await flow.result(), { deliveredCount: 5, refusedCount: 0, alreadyThereCount: 1 });
    assert.deepEqual(requests.map(({ resend, retryRefused }) => [resend, retryRefused]), [[false, false], [false, false], [false, false]]);
    assert.equal(requests[0]!.flowId, flow.handle.workflowId);
    assert.deepEqual(site.audit.map(({ action, counts }) => [action, counts]), [['route.delivered', { deliveredCount: 5, refusedCount: 0, alreadyThereCount: 1 }]]);
  });

  it('asks a person about refused instances, and sends them again on retry', async () => {
    const requests: SendInstancesInput[] = [];
    const site = aSite({ sendInstances: async (request) => {
      requests.push(request);
      return request.retryRefused ? { deliveredCount: 5, refusedCount: 0, alreadyThereCount: 0 } : { deliveredCount: 3, refusedCount: 2, alreadyThereCount: 0 };
    } });
    const flow = await aRoute(server.client, site, { requestedBy: 'integrator' });
    await flow.reaches('ATTENTION');
    assert.equal(await flow.errorType(), 'DestinationRefused');

    await flow.decide('retry', { by: 'Ada', why: 'the destination was mended' });

    assert.equal((await flow.result()).deliveredCount, 5);
    assert.deepEqual(requests.map(({ resend, retryRefused }) => [resend, retryRefused]), [[true, false], [true, true]]);
    assert.deepEqual(site.audit.map(({ action }) => action), ['flow.parked', 'flow.retried', 'route.delivered']);
  });

  it('delivers nothing that the destination does not confirm: asks thrice, sends twice, then asks a person', async () => {
    let mended = false;
    const checks: number[] = [];
    const counts = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
    const site = aSite({
      sendInstances: async () => ({ ...counts, sentCount: 2 }),
      confirmInstances: async (request) => {
        checks.push(request.checks);
        return mended ? { ...counts, deliveredCount: 2, missingCount: 0, pauseMs: 10 } : { ...counts, sentCount: 2, missingCount: 2, pauseMs: 10 };
      },
    });
    const flow = await aRoute(server.client, site);
    await flow.reaches('ATTENTION');
    const [errorType, { sentence }, sends] = [await flow.errorType(), await flow.status(), site.called('sendInstances').length];
    mended = true;
    await flow.decide('retry');

    assert.equal((await flow.result()).deliveredCount, 2);
    assert.deepEqual([errorType, sends, checks], ['DeliveryUnconfirmed', 2, [0, 1, 2, 0, 1, 2, 0]]);
    assert.match(sentence, /answered success for 2 instances and does not confirm them/);
  });

  it('looks until a destination has committed itself, says so, and asks anew when its time is over', async () => {
    const counts = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
    const looks: (readonly [checks: number, transactionId: string | undefined])[] = [];
    let isHeld = true;
    const site = aSite({
      sendInstances: async () => ({ ...counts, sentCount: 2 }),
      confirmInstances: async ({ checks, transactionId }) => {
        looks.push([checks, transactionId]);
        if (looks.length < 3 || isHeld) return { ...counts, sentCount: 2, missingCount: 2, pauseMs: 50, isAwaited: true, problem: 'It was asked.' };
        if (checks === 0) return { ...counts, sentCount: 2, missingCount: 2, pauseMs: 10, problem: 'It has not reported.' };
        return { ...counts, deliveredCount: 2, missingCount: 0, pauseMs: 10 };
      },
    });
    const flow = await aRoute(server.client, site);
    await until('it says what it waits for', async () => /Waits until archive commits itself to keep 2 instances\. It was asked\./.test((await flow.status()).sentence));
    isHeld = false;

    assert.equal((await flow.result()).deliveredCount, 2);
    assert.deepEqual(looks.map(([checks]) => checks), [...Array(looks.length - 1).fill(0), 1]);
    assert.deepEqual([new Set(looks.slice(0, -1).map(([, id]) => id)).size, new Set(looks.map(([, id]) => id)).size, site.called('sendInstances').length], [1, 2, 1]);
  });

  it('sends again at once what a destination says that it has not', async () => {
    const counts = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
    let looks = 0;
    const site = aSite({ sendInstances: async () => ({ ...counts, sentCount: 1 }), confirmInstances: async () =>
      (++looks === 1 ? { ...counts, missingCount: 1, pauseMs: 60_000, isSettled: true } : { ...counts, deliveredCount: 1, missingCount: 0, pauseMs: 60_000, isSettled: true }) });
    const flow = await aRoute(server.client, site);

    assert.equal((await flow.result()).deliveredCount, 1);
    assert.equal(site.called('sendInstances').length, 2);
  });

  it('remembers what a person skipped', async () => {
    const skipped: string[] = [];
    const site = aSite({ sendInstances: async () => ({ deliveredCount: 1, refusedCount: 2, alreadyThereCount: 0 }), skipInstances: async ({ by }) => void skipped.push(by) });
    const flow = await aRoute(server.client, site);
    await flow.reaches('ATTENTION');

    await flow.decide('skip');
    await flow.result();

    assert.deepEqual(skipped, ['Ada']);
  });

  it('ends as REJECTED when a person gives a delivery up, and says that it failed', async () => {
    const site = aSite({ sendInstances: async () => {
      throw permanent('UnknownDestination', 'Destination archive');
    } });
    const flow = await aRoute(server.client, site);
    await flow.reaches('ATTENTION');

    await flow.decide('reject');

    assert.equal((await flow.result()).deliveredCount, 0);
    assert.equal(await flow.state(), 'REJECTED');
    assert.equal(site.audit.at(-1)!.action, 'route.failed');
  });

  it('ends when it is cancelled while it waits for a person', async () => {
    const site = aSite({ sendInstances: async () => ({ deliveredCount: 0, refusedCount: 2, alreadyThereCount: 0 }) });
    const flow = await aRoute(server.client, site);
    await flow.reaches('ATTENTION');

    await flow.handle.cancel();

    await assert.rejects(flow.result(), { name: 'WorkflowFailedError' });
    assert.equal((await flow.handle.describe()).status.name, 'CANCELLED');
  });
});
