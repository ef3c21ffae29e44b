import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { isTenantId, priorities } from '../../domain/tenant.ts';
import { taskQueues, type SweepResult, type SweepTenantInput } from '../../workflows/contracts.ts';
import { sweepWorkflowId } from '../../workflows/ids.ts';
import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { NAMESPACE } from '../native/temporal.ts';
import { setSweepSchedule, sweepAttributes, sweepScheduleId } from '../sweepSchedule.ts';

const usage = 'Usage: ./pacs sweep --tenant T [--verify all|DAYS] [--settle SECONDS] [--orphans DAYS|keep] [--wait | --every HOURS|off]';

/** Compares a tenant's index and packs with what its archive committed, and removes what nobody committed, by a flow that outlives this command. `--wait` prints what it found. */
export async function sweep(config: InfraConfig, args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { tenant: { type: 'string' }, verify: { type: 'string', default: '30' }, settle: { type: 'string', default: '300' }, orphans: { type: 'string', default: '7' }, wait: { type: 'boolean' }, every: { type: 'string' } } });
  const tenantId = values.tenant ?? '';
  const verifyDays = values.verify === 'all' ? 1 : Number(values.verify);
  const settleMs = Number(values.settle) * 1000;
  const orphanAgeMs = values.orphans === 'keep' ? undefined : Number(values.orphans) * 86_400_000;
  const every = values.every === undefined || values.every === 'off' ? values.every : Number(values.every);
  if (!isTenantId(tenantId) || (typeof every === 'number' && !(every > 0)) || (orphanAgeMs !== undefined && !(orphanAgeMs >= 0)) || !Number.isInteger(verifyDays) || verifyDays < 1 || !(settleMs >= 0)) throw new StackError(usage);
  const address = config.external.temporalAddress ?? liveStack(pathsOf(config.home))?.urls?.temporalAddress;
  if (address === undefined) throw new StackError('Nothing is running here. `./pacs up` starts the PACS; TEMPORAL_ADDRESS points at one that runs elsewhere.');
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace: NAMESPACE });
    const input: SweepTenantInput = { tenantId, verifyDays, settleMs, ...(orphanAgeMs === undefined ? {} : { orphanAgeMs }) };
    if (every !== undefined) {
      await setSweepSchedule(client, input, every);
      console.log(every === 'off' ? `Tenant ${tenantId} is swept by hand alone.` : `Tenant ${tenantId} is swept every ${every} hours (schedule ${sweepScheduleId(tenantId)}).`);
      return 0;
    }
    const handle = await client.workflow.start<(given: SweepTenantInput) => Promise<SweepResult>>('sweepTenant', {
      workflowId: sweepWorkflowId(tenantId, randomUUID()), taskQueue: taskQueues.core, args: [input],
      staticSummary: `Sweep of tenant ${tenantId}`, priority: { priorityKey: priorities.bulk, fairnessKey: tenantId }, typedSearchAttributes: sweepAttributes(tenantId),
    });
    console.log(`Flow ${handle.workflowId} is started; it goes on if this command ends.`);
    if (values.wait) console.log(JSON.stringify(await handle.result(), undefined, 2));
    return 0;
  } finally {
    await connection.close();
  }
}
