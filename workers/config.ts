import { defaultKeepHours } from '../edge-gateway/spool/kept.ts';

/** Which queues a worker process serves. `edge` serves one gateway's own queue and runs on the gateway's machine. */
export const workerRoles = ['core', 'ingest', 'index', 'route', 'edge'] as const;
export type WorkerRole = (typeof workerRoles)[number];

export interface WorkerConfig {
  readonly roles: readonly WorkerRole[];
  readonly httpPort: number;
  readonly logLevel: string;
  readonly temporal: { readonly address: string; readonly namespace: string };
  readonly openSearchUrl: string;
  readonly s3: { readonly endpoint: string; readonly bucket: string; readonly region: string; readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Set for the role `edge`. */
  readonly edge: { readonly tenantId: string; readonly gatewayId: string; readonly spoolDir: string; readonly keepsPacks: boolean; readonly aeTitle: string; readonly tlsDir: string | undefined } | undefined;
  readonly study: { readonly quietMs: number; readonly closeAfterMs: number };
  readonly firstRetryMs: number;
  /** How long a destination may take to commit itself before it is asked again. */
  readonly commitmentTimeoutMs: number;
  /** For instances that a destination takes in another transfer syntax than the stored one. */
  readonly codecs: { readonly threads: number; readonly maxBytes: number };
  /** Set when flows shall stay with the version of the code that started them. */
  readonly version: { readonly deploymentName: string; readonly buildId: string } | undefined;
  /** At which a sweep reads packs to verify them. */
  readonly sweepBytesPerSecond: number;
}

/**
 * Reads a worker's environment (infra/env.example).
 *
 * @throws an Error that names every variable that is missing or wrong
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): WorkerConfig {
  const problems: string[] = [];
  const need = (name: string): string => env[name] || (problems.push(`${name} is not set`), '');
  const seconds = (name: string, byDefault: number): number => {
    const value = Number(env[name] || byDefault);
    if (!(value >= 0)) problems.push(`${name} is not a number of seconds: ${env[name]}`);
    return value * 1000;
  };
  const positive = (name: string, byDefault: number): number => {
    const value = Number(env[name] || byDefault);
    if (!(value > 0)) problems.push(`${name} is not a number above 0: ${env[name]}`);
    return value;
  };
  const roles = readRoles(env['PACS_WORKER_ROLES'] || workerRoles.join(','), problems);
  const config: WorkerConfig = {
    roles,
    httpPort: Number(env['PACS_WORKER_HTTP_PORT'] || 8082),
    logLevel: env['PACS_LOG_LEVEL'] || 'info',
    temporal: { address: need('TEMPORAL_ADDRESS'), namespace: env['PACS_TEMPORAL_NAMESPACE'] || 'pacs' },
    openSearchUrl: need('OPENSEARCH_URL'),
    s3: {
      endpoint: need('S3_ENDPOINT'), bucket: env['PACS_S3_BUCKET'] || 'pacs', region: env['PACS_S3_REGION'] || 'us-east-1',
      accessKeyId: need('AWS_ACCESS_KEY_ID'), secretAccessKey: need('AWS_SECRET_ACCESS_KEY'),
    },
    edge: !roles.includes('edge') ? undefined : {
      tenantId: need('PACS_TENANT_ID'), gatewayId: need('PACS_GATEWAY_ID'), spoolDir: need('PACS_SPOOL_DIR'), keepsPacks: Number(env['PACS_SPOOL_KEEP_HOURS'] || defaultKeepHours) > 0, aeTitle: env['PACS_AE_TITLE'] || 'PACS', tlsDir: env['PACS_DESTINATION_TLS_DIR'] || undefined,
    },
    study: { quietMs: seconds('PACS_STUDY_QUIET_SECONDS', 20), closeAfterMs: seconds('PACS_STUDY_CLOSE_SECONDS', 900) },
    version: !env['PACS_WORKER_BUILD_ID'] ? undefined : { deploymentName: env['PACS_WORKER_DEPLOYMENT'] || 'pacs', buildId: env['PACS_WORKER_BUILD_ID'] },
    codecs: { threads: Math.ceil(positive('PACS_WORKER_CODEC_THREADS', 1)), maxBytes: positive('PACS_WORKER_CODEC_MAX_MB', 512) * 1024 ** 2 },
    sweepBytesPerSecond: positive('PACS_SWEEP_VERIFY_BYTES_PER_SECOND', 20_000_000),
    firstRetryMs: seconds('PACS_ROUTE_RETRY_SECONDS', 30),
    commitmentTimeoutMs: seconds('PACS_ROUTE_COMMITMENT_SECONDS', 14_400),
  };
  if (problems.length) throw new Error(`The worker cannot start: ${problems.join('; ')}. See infra/env.example.`);
  return config;
}

function readRoles(text: string, problems: string[]): readonly WorkerRole[] {
  const names = text.split(',').map((name) => name.trim()).filter(Boolean);
  const unknown = names.filter((name) => !(workerRoles as readonly string[]).includes(name));
  if (unknown.length || !names.length) problems.push(`PACS_WORKER_ROLES names ${unknown.join(', ') || 'no role'}; roles are ${workerRoles.join(', ')}`);
  return names as WorkerRole[];
}
