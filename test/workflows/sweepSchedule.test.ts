import assert from 'node:assert/strict';
import { ScheduleNotFoundError } from '@temporalio/client';
import { parseWorkflowId } from '../../workflows/ids.ts';
import { setSweepSchedule, sweepScheduleId } from '../../infra/sweepSchedule.ts';
import { aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('the schedule of sweeps', function () {
  this.timeout(30_000);
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  it('sweeps a tenant by itself, is changed by setting it again, and goes when it is switched off', async () => {
    const { schedule, workflow } = server.client;
    const site = aSite();
    const input = { tenantId: site.tenantId, verifyDays: 30, settleMs: 0, orphanAgeMs: 1000 };
    const handle = schedule.getHandle(sweepScheduleId(site.tenantId));

    await setSweepSchedule(server.client, input, 24);
    await setSweepSchedule(server.client, { ...input, verifyDays: 7 }, 12);
    const { spec, policies } = await handle.describe();
    await handle.trigger();
    const flowId = await until('a sweep is started', async () => (await handle.describe()).info.recentActions[0]?.action.workflow.workflowId);
    const { removedPackCount } = await workflow.getHandle(flowId).result() as { readonly removedPackCount: number };
    for (let times = 0; times < 2; times++) await setSweepSchedule(server.client, input, 'off');

    assert.deepEqual([spec.intervals?.map(({ every }) => every), policies.overlap], [[12 * 3_600_000], 'SKIP']);
    assert.equal(parseWorkflowId(flowId)?.kind, 'sweep');
    assert.equal(removedPackCount, 30);
    await assert.rejects(handle.describe(), ScheduleNotFoundError);
  });
});
