import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import { isTenantId, priorities } from '../../domain/tenant.ts';
import { searchAttributes, statusQuery, taskQueues, type FlowStatus, type ReindexOutcome, type ReindexTenantInput } from '../../workflows/contracts.ts';
import { reindexWorkflowId } from '../../workflows/ids.ts';
import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { NAMESPACE } from '../native/temporal.ts';

/** Rebuilds a tenant's index from the archive by a flow that outlives this command, and shows how far it is. */
export async function reindex(config: InfraConfig, args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { tenant: { type: 'string' } } });
  const tenantId = values.tenant ?? '';
  if (!isTenantId(tenantId)) throw new StackError('Usage: ./pacs reindex --tenant T');
  const address = config.external.temporalAddress ?? liveStack(pathsOf(config.home))?.urls?.temporalAddress;
  if (address === undefined) throw new StackError('Nothing is running here. `./pacs up` starts the PACS; TEMPORAL_ADDRESS points at one that runs elsewhere.');
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace: NAMESPACE });
    const input: ReindexTenantInput = { tenantId };
    const handle = await client.workflow.start<(given: ReindexTenantInput) => Promise<ReindexOutcome>>('reindexTenant', {
      workflowId: reindexWorkflowId(tenantId, randomUUID()), taskQueue: taskQueues.core, args: [input],
      priority: { priorityKey: priorities.bulk, fairnessKey: tenantId },
      typedSearchAttributes: new TypedSearchAttributes([searchAttributes.tenantId, searchAttributes.flowState].map((name, at) =>
        ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value: at === 0 ? tenantId : 'RUNNING' }))),
    });
    console.log(`Flow ${handle.workflowId} is started; it goes on if this command ends.`);
    const result = handle.result();
    for (let last = '', open = true; open;) {
      open = await Promise.race([result.then(() => false), sleep(1000, true)]);
      const status = open ? await handle.query<FlowStatus>(statusQuery).catch(() => undefined) : undefined;
      if (status && status.sentence !== last) console.log((last = status.sentence));
    }
    const { studyCount, instanceCount, eventCount } = await result;
    console.log(`Rebuilt from the archive: ${studyCount} studies, ${instanceCount} instances, ${eventCount} events.`);
    return 0;
  } finally {
    await connection.close();
  }
}
