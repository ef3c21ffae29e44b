import path from 'node:path';
import type { External } from '../config.ts';
import type { S3Keys } from '../secrets.ts';
import type { OwnProcess } from './parts.ts';
import type { Paths } from './paths.ts';
import type { Ports } from './ports.ts';
import { BUCKET, REGION } from './s3.ts';
import { NAMESPACE } from './temporal.ts';

/** What a child needs of our own environment to run at all. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'FORCE_COLOR', 'NO_COLOR'] as const;

export const inherited = (): Record<string, string> => Object.fromEntries(
  INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
) as Record<string, string>;

export type Site = { readonly paths: Paths; readonly ports: Ports; readonly s3Keys: S3Keys; readonly external: External };

export type Urls = {
  readonly temporalAddress: string;
  readonly temporalUI: string;
  readonly opensearch: string;
  readonly s3Endpoint: string;
  readonly api: string;
  readonly gatewayHttp: string;
  readonly workerHttp: string;
  readonly dicom: { readonly host: string; readonly port: number; readonly aeTitle: string; readonly tls: boolean };
};

/**
 * The environment handed to gateway, worker and API: addresses and secrets of this stack, and the settings'
 * defaults. What `given` names wins over a default.
 */
export function ownEnvironment({ paths, ports, s3Keys, external }: Site, given: Readonly<Record<string, string>>): Record<string, string> {
  const tenantId = given['PACS_TENANT_ID'] ?? 'demo';
  const gatewayId = given['PACS_GATEWAY_ID'] ?? 'gw1';
  return {
    TEMPORAL_ADDRESS: external.temporalAddress ?? `127.0.0.1:${ports.temporal}`,
    PACS_TEMPORAL_NAMESPACE: NAMESPACE,
    PACS_TEMPORAL_UI_URL: `http://127.0.0.1:${ports.temporalUI}`,
    OPENSEARCH_URL: external.opensearchUrl ?? `http://127.0.0.1:${ports.opensearch}`,
    S3_ENDPOINT: external.s3Endpoint ?? `http://127.0.0.1:${ports.s3}`,
    PACS_S3_BUCKET: BUCKET,
    PACS_S3_REGION: REGION,
    AWS_ACCESS_KEY_ID: s3Keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3Keys.secretAccessKey,
    PACS_LOG_LEVEL: 'info',
    PACS_TENANT_ID: tenantId,
    PACS_GATEWAY_ID: gatewayId,
    PACS_AE_TITLE: 'PACS',
    PACS_DICOM_HOST: '127.0.0.1',
    PACS_DICOM_PORT: `${ports.dicom}`,
    PACS_GATEWAY_HTTP_PORT: `${ports.gatewayHttp}`,
    PACS_API_URL: `http://127.0.0.1:${ports.api}`,
    PACS_API_TOKEN_FILE: paths.gatewayToken,
    PACS_SPOOL_DIR: path.join(paths.spool, tenantId, gatewayId),
    PACS_WORKER_ROLES: 'core,ingest,index,route,edge',
    PACS_WORKER_HTTP_PORT: `${ports.workerHttp}`,
    PACS_STUDY_QUIET_SECONDS: '20',
    PACS_API_HOST: '127.0.0.1',
    PACS_API_PORT: `${ports.api}`,
    PACS_TOKEN_KEY_FILE: paths.tokenKey,
    PACS_TENANTS: tenantId,
    PACS_STOW_DIR: path.join(paths.spool, 'stow'),
    PACS_PACK_CACHE_DIR: paths.packCache,
    ...given,
  };
}

export function urlsOf(env: Readonly<Record<string, string>>): Urls {
  const value = (name: string): string => env[name] ?? '';
  const tls = value('PACS_DICOM_PORT').trim() === 'off';
  return {
    temporalAddress: value('TEMPORAL_ADDRESS'),
    temporalUI: value('PACS_TEMPORAL_UI_URL'),
    opensearch: value('OPENSEARCH_URL'),
    s3Endpoint: value('S3_ENDPOINT'),
    api: `http://${reachable(value('PACS_API_HOST'))}:${value('PACS_API_PORT')}`,
    gatewayHttp: `http://127.0.0.1:${value('PACS_GATEWAY_HTTP_PORT')}`,
    workerHttp: `http://127.0.0.1:${value('PACS_WORKER_HTTP_PORT')}`,
    dicom: { host: reachable(value('PACS_DICOM_HOST')), port: Number(value(tls ? 'PACS_DICOM_TLS_PORT' : 'PACS_DICOM_PORT')), aeTitle: value('PACS_AE_TITLE'), tls },
  };
}

/** Where to reach on this machine what listens on `host`. */
const reachable = (host: string): string => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);

/** Entry points of our own processes, from the checkout. */
export const ENTRY_POINTS: Readonly<Record<OwnProcess, string>> = {
  gateway: 'edge-gateway/main.ts',
  worker: 'workers/main.ts',
  api: 'api/main.ts',
};

/**
 * `--max-semi-space-size`: the gateway's short-lived objects are socket buffers outside the heap; with V8's default the heap
 * waits so long that their size alone forces about ten full collections a second (1.9–2.4 ms of CPU an instance against 1.8).
 */
export const NODE_ARGS: Readonly<Record<OwnProcess, readonly string[]>> = {
  gateway: ['--max-semi-space-size=1'],
  worker: [],
  api: [],
};

/** `UV_THREADPOOL_SIZE`: the gateway syncs a file per instance, and four threads for that would be its ceiling. */
export const EXTRA_ENVIRONMENT: Readonly<Record<OwnProcess, Readonly<Record<string, string>>>> = {
  gateway: { UV_THREADPOOL_SIZE: '16' },
  worker: {},
  api: {},
};

export const healthUrl = (part: OwnProcess, urls: Urls): string =>
  `${{ gateway: urls.gatewayHttp, worker: urls.workerHttp, api: urls.api }[part]}/healthz`;
