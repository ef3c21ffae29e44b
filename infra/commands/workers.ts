import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { NAMESPACE } from '../native/temporal.ts';

const usage = 'Usage: ./pacs workers [list | use BUILD_ID] [--deployment pacs]';

/** `workers list`: versions of the workers, and which one new flows get; `use BUILD_ID` makes one current. */
export async function workers(config: InfraConfig, args: readonly string[]): Promise<number> {
  const { values, positionals: [action = 'list', buildId] } = parseArgs({ args: [...args], allowPositionals: true, options: { deployment: { type: 'string', default: 'pacs' } } });
  if (action !== 'list' && !(action === 'use' && buildId)) throw new StackError(usage);
  const address = config.external.temporalAddress ?? liveStack(pathsOf(config.home))?.urls?.temporalAddress;
  if (address === undefined) throw new StackError('Nothing is running here. `./pacs up` starts the PACS; TEMPORAL_ADDRESS points at one that runs elsewhere.');
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace: NAMESPACE });
    if (action === 'use') await useVersion(client, values.deployment, buildId!);
    for (const line of await versionsOf(client, values.deployment)) console.log(line);
    return 0;
  } finally {
    await connection.close();
  }
}

/** New flows start on this version from now on; a study moves to it when it next continues as new. */
export async function useVersion(client: Client, deploymentName: string, buildId: string): Promise<void> {
  try {
    await client.workflowService.setWorkerDeploymentCurrentVersion({ namespace: client.options.namespace, deploymentName, buildId, identity: client.options.identity });
  } catch (error) {
    throw new StackError(`Version ${buildId} was not made current: ${(error as { details?: string }).details ?? String(error)}. Start its workers first, with PACS_WORKER_BUILD_ID=${buildId}.`);
  }
}

async function versionsOf(client: Client, deploymentName: string): Promise<readonly string[]> {
  const found = await client.workflowService.describeWorkerDeployment({ namespace: client.options.namespace, deploymentName }).catch((error: { code?: number }) => {
    if (error.code === 5) return undefined;
    throw error;
  });
  const info = found?.workerDeploymentInfo;
  if (!info) return ['The workers have no versions: PACS_WORKER_BUILD_ID is not set. Running flows go on with whatever code a restarted worker has.'];
  const current = info.routingConfig?.currentDeploymentVersion?.buildId;
  return (info.versionSummaries ?? []).map(({ deploymentVersion, status }) => {
    const id = deploymentVersion?.buildId ?? '';
    return `${id.padEnd(20)} ${id === current ? 'current: new flows start here' : String(status).replace('WORKER_DEPLOYMENT_VERSION_STATUS_', '').toLowerCase()}`;
  });
}
