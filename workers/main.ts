import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { pino } from 'pino';
import { createTranscoder } from '../codecs/transcoder.ts';
import { createStores } from '../stores/compose.ts';
import { planWorkers, type WorkerPlan } from './compose.ts';
import { readConfig, type WorkerConfig } from './config.ts';
import { probeFairness, type Fairness } from './fairnessProbe.ts';
import { bundleWorkflows } from './workflowBundle.ts';

const config = readConfig(process.env);
const logger = pino({ name: 'worker', level: config.logLevel });
const shutdownGraceTime = '10 seconds';
/** A long series of frames may take it: nobody waits for a delivery as for a picture. */
const codecTimeoutMs = 3 * 60_000;

Runtime.install({ logger: temporalLogger(), shutdownSignals: ['SIGTERM', 'SIGINT'] });

/** Runs the workers of this process's roles until a signal; each finishes what it has begun within the grace time. */
async function main(): Promise<void> {
  // A flow may start right after the API changed the configuration: what is read must not be older than that.
  const stores = createStores({ s3: s3Values(config), openSearch: { url: config.openSearchUrl }, tenantCacheMs: 0 });
  const client = new Client({ connection: Connection.lazy({ address: config.temporal.address }), namespace: config.temporal.namespace });
  const connection = await connect();
  const codecs = createTranscoder({ ...config.codecs, jobTimeoutMs: codecTimeoutMs });
  const plans = planWorkers({ config, stores, client: () => client, codecs });
  const bundle = plans.some(({ workflows }) => workflows) ? await bundleWorkflows() : undefined;
  const workers = await Promise.all(plans.map((plan) => createWorker(plan, connection, bundle)));
  let fairness: Fairness = 'unknown';
  if (bundle) void probeFairness(client).then((found) => {
    fairness = found;
    if (found === 'ignored') logger.warn({ setting: 'matching.enableFairness' }, 'Temporal ignores fairness keys: a tenant that floods the queues holds up the others. Set matching.enableFairness=true in its dynamic configuration');
    else logger.info({ fairness }, 'fairness is probed');
  });
  const http = serveHealth(workers, () => fairness);
  logger.info({ roles: config.roles, queues: plans.map(({ taskQueue }) => taskQueue) }, 'worker runs');
  try {
    await Promise.all(workers.map((worker) => worker.run()));
  } finally {
    http.close();
    await codecs.close();
    await stores.close();
    await connection.close();
    await client.connection.close();
  }
}

/** Waits for Temporal: a worker that comes up before its server is no fault. */
async function connect(): Promise<NativeConnection> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await NativeConnection.connect({ address: config.temporal.address });
    } catch (error) {
      logger.warn({ address: config.temporal.address, attempt, err: error }, 'Temporal does not answer yet');
      await sleep(Math.min(10_000, 500 * attempt));
    }
  }
}

const createWorker = (plan: WorkerPlan, connection: NativeConnection, bundle: WorkflowBundle | undefined): Promise<Worker> =>
  Worker.create({
    connection, namespace: config.temporal.namespace, taskQueue: plan.taskQueue, shutdownGraceTime,
    maxConcurrentActivityTaskExecutions: plan.maxActivities, maxHeartbeatThrottleInterval: '1 second',
    activityTaskPollerBehavior: { type: 'autoscaling', minimum: 1, initial: 2, maximum: 8 },
    ...(plan.activities ? { activities: plan.activities } : {}),
    ...(plan.workflows && bundle ? { workflowBundle: bundle, maxCachedWorkflows: 300, ...versioned(config.version) } : {}),
  });

/** Workflows alone are versioned: activities serve every version, so that a gateway needs no two workers. */
const versioned = (version: WorkerConfig['version']) =>
  (version ? { workerDeploymentOptions: { version, useWorkerVersioning: true as const, defaultVersioningBehavior: 'PINNED' as const } } : {});

function serveHealth(workers: readonly Worker[], fairness: () => Fairness) {
  const server = createServer((request, response) => {
    const states = workers.map((worker) => worker.getState());
    const healthy = states.every((state) => state === 'RUNNING');
    response.writeHead(request.url === '/healthz' ? (healthy ? 200 : 503) : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ roles: config.roles, states, fairness: fairness() }));
  });
  return server.listen(config.httpPort, '127.0.0.1');
}

const s3Values = ({ s3 }: WorkerConfig) => ({ endpoint: s3.endpoint, bucket: s3.bucket, region: s3.region,
  credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey } });

/** Temporal's own lines in our log, its level names as ours. */
function temporalLogger() {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  type Level = keyof typeof levels;
  const log = (level: Level, message: string, meta?: object) => logger[levels[level]](meta ?? {}, message);
  return {
    log,
    trace: (message: string, meta?: object) => log('TRACE', message, meta),
    debug: (message: string, meta?: object) => log('DEBUG', message, meta),
    info: (message: string, meta?: object) => log('DEBUG', message, meta),
    warn: (message: string, meta?: object) => log('WARN', message, meta),
    error: (message: string, meta?: object) => log('ERROR', message, meta),
  };
}

await main();
