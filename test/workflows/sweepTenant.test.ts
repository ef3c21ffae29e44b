import assert from 'node:assert/strict';
import { taskQueues } from '../../workflows/contracts.ts';
import { sweepWorkflowId } from '../../workflows/ids.ts';
import type { sweepTenant } from '../../workflows/index.ts';
import { startTemporal, type Temporal } from './server.ts';
import { aSite } from './site.ts';

describe('sweepTenant', function () {
  this.timeout(60_000);
  let server: Temporal;
  before(async () => { server = await startTemporal({ suggestContinueAsNewAt: 60 }); });
  after(() => server?.stop());

  const sweep = (tenantId: string, orphanAgeMs?: number) => server.client.workflow.start<typeof sweepTenant>('sweepTenant', { workflowId: sweepWorkflowId(tenantId, 'job-1'), taskQueue: taskQueues.core,
    args: [{ tenantId, verifyDays: 1, settleMs: 0, ...(orphanAgeMs === undefined ? {} : { orphanAgeMs }) }] });

  it('adds up what it saw and removed over every run, and tells the audit once', async () => {
    const site = aSite();

    const handle = await sweep(site.tenantId, 1000);
    const { studyCount, removedPackCount, removedPackBytes, abortedUploadCount, abortedUploadBytes } = await handle.result();

    assert.deepEqual([studyCount, removedPackCount, removedPackBytes, abortedUploadCount, abortedUploadBytes], [31, 30, 300, 1, 5]);
    assert.notEqual((await handle.describe()).runId, handle.firstExecutionRunId);
    assert.deepEqual(site.audit.map(({ action, counts }) => [action, counts?.['removedPackCount']]), [['tenant.swept', 30]]);
  });

  it('removes nothing when it is not told after how long', async () => {
    const site = aSite();

    const { removedPackCount } = await (await sweep(site.tenantId)).result();

    assert.equal(removedPackCount, undefined);
    assert.deepEqual([site.called('removeOrphans'), site.called('abortUploads')], [[], []]);
  });
});
