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
