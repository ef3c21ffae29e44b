import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Worker, bundleWorkflowCode, type WorkerOptions, type WorkflowBundle } from '@temporalio/worker';
import { taskQueues } from '../../workflows/contracts.ts';
import { edgeTaskQueue } from '../../workflows/ids.ts';
import { silence } from './silence.ts';
import { activitiesOf, edgeActivitiesOf } from './site.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** A Temporal server of these tests alone, with the product's workflows on their queues and fake activities behind them. */
export interface Temporal {
  readonly client: Client;
  /** Runs a worker on a gateway's queue, with so many activities at once, until the tests end or it is closed. */
  openGateway(tenantId: string, gatewayId: string, slots?: number): Promise<{ close(): Promise<void> }>;
  /** Runs a worker of a version on the workflows' queue; `replaced` has modules of workflows/ by name, and what stands in for them. */
  openVersion(buildId: string, replaced?: Readonly<Record<string, string>>): Promise<{ close(): Promise<void> }>;
  stop(): Promise<void>;
}

export interface TemporalOptions {
  /** After how many events the server suggests to continue as new; the server's default is 4096. */
  readonly suggestContinueAsNewAt?: number;
  /** Whether queues are shared between fairness keys, as the product's server does. */
  readonly fairness?: boolean;
}

/** Starts the server and the cloud's workers. */
export async function startTemporal({ suggestContinueAsNewAt, fairness = true }: TemporalOptions = {}): Promise<Temporal> {
  silence();
  const environment = await TestWorkflowEnvironment.createLocal({ server: {
    executable: { type: 'existing-path', path: temporalBinary() }, namespace: 'pacs', log: { format: 'pretty', level: 'never' },
    extraArgs: [
      '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL',
      ...dynamicConfig().map((value) => (fairness ? value : value.replace('enableFairness=true', 'enableFairness=false'))).flatMap((value) => ['--dynamic-config-value', value]),
      ...Object.entries(searchAttributeTypes()).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
      ...(suggestContinueAsNewAt === undefined ? [] : ['--dynamic-config-value', `limit.historyCount.suggestContinueAsNew=${suggestContinueAsNewAt}`]),
    ],
  } });
  const running: { readonly worker: Worker; readonly run: Promise<void> }[] = [];
  const run = async (taskQueue: string, what: { readonly workflowBundle: WorkflowBundle; readonly workerDeploymentOptions?: WorkerOptions['workerDeploymentOptions'] } | { readonly activities: object; readonly maxConcurrentActivityTaskExecutions?: number }) => {
    const worker = await Worker.create({ connection: environment.nativeConnection, namespace: 'pacs', taskQueue, ...what,
      shutdownGraceTime: '1 second', maxHeartbeatThrottleInterval: '1 second' });
    const entry = { worker, run: worker.run() };
    running.push(entry);
    return { close: async () => {
      running.splice(running.indexOf(entry), 1);
      worker.shutdown();
      await entry.run;
    } };
  };
  await run(taskQueues.core, { workflowBundle: await workflowBundle() });
  for (const taskQueue of [taskQueues.ingest, taskQueues.index, taskQueues.route]) await run(taskQueue, { activities: activitiesOf(environment.client) });
  return {
    client: environment.client,
    openGateway: (tenantId, gatewayId, slots = 100) => run(edgeTaskQueue(tenantId, gatewayId), { activities: edgeActivitiesOf(), maxConcurrentActivityTaskExecutions: slots }),
    openVersion: async (buildId, replaced) => run(taskQueues.core, { workflowBundle: await workflowBundle(replaced),
      workerDeploymentOptions: { version: { deploymentName: 'pacs', buildId }, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' } }),
    async stop() {
      for (const { worker } of running) worker.shutdown();
      await Promise.all(running.map((entry) => entry.run));
      await environment.teardown();
    },
  };
}

const bundles = new Map<string, Promise<WorkflowBundle>>();

/** The product's workflows; a gateway counts as away after one second instead of minutes. */
function workflowBundle(replaced: Readonly<Record<string, string>> = {}): Promise<WorkflowBundle> {
  const key = JSON.stringify(replaced);
  if (!bundles.has(key)) bundles.set(key, bundleWorkflowCode({
  workflowsPath: path.join(root, 'workflows/index.ts'), logger: new DefaultLogger('ERROR'),
  webpackConfigHook: (config) => ({ ...config, resolve: { ...config.resolve,
    alias: { ...config.resolve?.alias, ...replaced, './waits.ts': path.join(import.meta.dirname, 'shortWaits.ts') } } }),
  }));
  return bundles.get(key)!;
}

function temporalBinary(): string {
  const folder = process.env['PACS_BIN_DIR'] ?? path.join(process.env['PACS_HOME'] ?? path.join(root, '.pacs'), 'bin');
  const found = globSync('servers-*/bin/temporal', { cwd: folder }).map((file) => path.join(folder, file)).find(existsSync);
  if (!found) throw new Error(`There is no Temporal server in ${folder}; ./pacs bootstrap fetches it`);
  return found;
}

const dynamicConfig = (): readonly string[] =>
  Object.entries(JSON.parse(readFileSync(path.join(root, 'infra/temporal/dynamicConfig.json'), 'utf8')) as Record<string, unknown>).map(([name, value]) => `${name}=${String(value)}`);

const searchAttributeTypes = (): Readonly<Record<string, string>> =>
  JSON.parse(readFileSync(path.join(root, 'infra/temporal/searchAttributes.json'), 'utf8')) as Record<string, string>;
