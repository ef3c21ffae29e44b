import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { isDestinationId } from '../../api/history.ts';
import { createTemporalFlows } from '../../api/temporalFlows.ts';
import { replayStates, type ReplayState } from '../../domain/delivery.ts';
import { isPriority, isTenantId, priorities } from '../../domain/tenant.ts';
import { replayWorkflowId } from '../../workflows/ids.ts';
import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { NAMESPACE } from '../native/temporal.ts';
import { timeOf } from './flowArguments.ts';

const usage = `Usage: ./pacs deliveries replay --tenant T --destination D --since yesterday|24h|7d|2026-01-31 --why REASON
         [--until 2026-01-31T12:00:00Z] [--states ${replayStates.join(',')}] [--priority 5] [--by NAME] [--dry-run] [--wait]`;

/**
 * Sends to a destination again what it took, or refused, within a time: by a flow that outlives this command. `--wait` prints what became
 * of it. `./pacs flows reject` stops it; the same command with the `--until` that it printed goes on with the rest.
 */
export async function deliveries(config: InfraConfig, args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {
    tenant: text, destination: text, since: text, until: text, states: { ...text, default: 'delivered' }, priority: { ...text, default: `${priorities.bulk}` }, why: text,
    by: { ...text, default: userInfo().username }, 'dry-run': { type: 'boolean', default: false }, wait: { type: 'boolean', default: false } } });
  const [tenantId, destinationId, now] = [values.tenant ?? '', values.destination ?? '', new Date()];
  const [since, until, priority] = [timeOf(values.since ?? '', now), values.until === undefined ? now.toISOString() : timeOf(values.until, now), Number(values.priority)];
  const states = replayStates.filter((state) => values.states.split(',').includes(state));
  const isWhole = positionals.join() === 'replay' && isTenantId(tenantId) && isDestinationId(destinationId) && isPriority(priority) && states.length === values.states.split(',').length;
  if (!isWhole || since === undefined || until === undefined || !(values.why?.trim() || values['dry-run'])) throw new StackError(usage);
  const address = config.external.temporalAddress ?? liveStack(pathsOf(config.home))?.urls?.temporalAddress;
  if (address === undefined) throw new StackError('Nothing is running here. `./pacs up` starts the PACS; TEMPORAL_ADDRESS points at one that runs elsewhere.');
  const connection = await Connection.connect({ address });
  try {
    const flows = createTemporalFlows(new Client({ connection, namespace: NAMESPACE }));
    const jobId = randomUUID();
    const { flowId } = await flows.startReplay(replayWorkflowId(tenantId, destinationId, jobId), { tenantId, destinationId, jobId, priority, by: values.by, why: values.why ?? 'dry run', dryRun: values['dry-run'],
      selection: { since, until, states: states satisfies readonly ReplayState[] } }, jobId);
    console.log(`Flow ${flowId} is started; it goes on if this command ends. It is about what was sent from ${since} to ${until}.`);
    if (values.wait || values['dry-run']) console.log(JSON.stringify(await flows.result(flowId), undefined, 2));
    return 0;
  } finally {
    await connection.close();
  }
}
