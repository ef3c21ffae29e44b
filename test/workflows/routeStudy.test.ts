import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { permanent } from '../../activities/failure.ts';
import type { SendInstancesInput } from '../../activities/route/sendInstances.ts';
import { aRoute } from './flows.ts';
import { aSite } from './site.ts';
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
