import { isGatewayId, isTenantId } from '../domain/tenant.ts';
import type { CloudTarget } from './cloudArchive.ts';
import { defaultKeepHours } from './spool/kept.ts';
import type { TlsFiles } from './tls.ts';

/** What the gateway process is told by its environment. */
export interface GatewayConfig {
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly logLevel: string;
  readonly temporal: { readonly address: string; readonly namespace: string };
  readonly dicom: {
    readonly host: string;
    /** Undefined: nobody is let in without TLS. */
    readonly port: number | undefined;
    readonly tls: (TlsFiles & { readonly port: number }) | undefined;
    readonly aeTitle: string;
    /** Empty: any may call. */
    readonly callingAETitles: readonly string[];
    /** What these send goes first, here and in the cloud. */
    readonly urgentCallingAETitles: readonly string[];
    readonly acceptPrivateStorage: boolean;
    readonly maxAssociations: number;
    /** For A-ASSOCIATE-RQ to come, and for the peer to close after the association (PS3.8 9.1.5). */
    readonly artimTimeoutMs: number;
    /** For an association without a sign of its peer. */
    readonly idleTimeoutMs: number;
  };
  readonly http: { readonly host: string; readonly port: number };
  readonly spool: {
    readonly dir: string;
    readonly minFreeBytes: number | undefined;
    readonly maxSpoolBytes: number | undefined;
    /** How long packs are kept after their release; 0: not at all. */
    readonly keepMs: number;
  };
  /** The cloud's API, for queries and retrievals; undefined: they are not offered. */
  readonly cloud: CloudTarget | undefined;
  /** Matches that one query is answered with. */
  readonly maxMatches: number;
  /** For how long a storage commitment request waits for instances that the archive does not have yet. */
  readonly commitmentWaitMs: number;
  /** How long associations may go on after SIGTERM. */
  readonly drainMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the gateway's environment (infra/env.example).
 *
 * @throws an Error that names every variable that is missing or wrong
 */
export function readConfig(env: Environment): GatewayConfig {
  const read = reader(env);
  const config: GatewayConfig = {
    tenantId: read.text('PACS_TENANT_ID', undefined, isTenantId, 'a tenant name'),
    gatewayId: read.text('PACS_GATEWAY_ID', undefined, isGatewayId, 'a gateway name'),
    logLevel: read.text('PACS_LOG_LEVEL', 'info', (text) => logLevels.includes(text), `one of ${logLevels.join(', ')}`),
    temporal: { address: read.text('TEMPORAL_ADDRESS'), namespace: read.text('PACS_TEMPORAL_NAMESPACE', 'pacs') },
    dicom: {
      host: read.text('PACS_DICOM_HOST', '127.0.0.1'),
      port: env['PACS_DICOM_PORT']?.trim() === 'off' ? undefined : read.whole('PACS_DICOM_PORT', 11112, 65_535)!,
      tls: readTls(read),
      aeTitle: read.text('PACS_AE_TITLE', 'PACS', isAETitle, 'an AE title of up to 16 characters'),
      callingAETitles: read.list('PACS_CALLING_AE_TITLES', isAETitle, 'AE titles of up to 16 characters each'),
      urgentCallingAETitles: read.list('PACS_URGENT_CALLING_AE_TITLES', isAETitle, 'AE titles of up to 16 characters each'),
      acceptPrivateStorage: read.yesOrNo('PACS_ACCEPT_PRIVATE_STORAGE', true),
      maxAssociations: read.whole('PACS_MAX_ASSOCIATIONS', 64, 10_000)!,
      artimTimeoutMs: read.seconds('PACS_ARTIM_TIMEOUT_SECONDS', 30, 3600),
      idleTimeoutMs: read.seconds('PACS_IDLE_TIMEOUT_SECONDS', 300, 86_400),
    },
    http: { host: read.text('PACS_GATEWAY_HTTP_HOST', '127.0.0.1'), port: read.whole('PACS_GATEWAY_HTTP_PORT', 8081, 65_535)! },
    spool: {
      dir: read.text('PACS_SPOOL_DIR'),
      minFreeBytes: read.whole('PACS_SPOOL_MIN_FREE_BYTES', undefined),
      maxSpoolBytes: read.whole('PACS_SPOOL_MAX_BYTES', undefined),
      keepMs: read.whole('PACS_SPOOL_KEEP_HOURS', defaultKeepHours, 100_000)! * 3_600_000,
    },
    cloud: readCloud(read),
    maxMatches: read.whole('PACS_QUERY_MAX_MATCHES', 100_000, 10_000_000)!,
    commitmentWaitMs: read.whole('PACS_COMMITMENT_WAIT_SECONDS', 3600, 30 * 86_400)! * 1000,
    drainMs: read.whole('PACS_DRAIN_SECONDS', 20, 3600)! * 1000,
  };
  if (config.dicom.port === undefined && config.dicom.tls === undefined) read.problems.push('PACS_DICOM_PORT is off and PACS_DICOM_TLS_PORT is not set');
  if (read.problems.length > 0) throw new Error(`The gateway cannot start: ${read.problems.join('; ')}. See infra/env.example.`);
  return config;
}

/** Without a token there is nobody to ask as. */
function readCloud(read: ReturnType<typeof reader>): CloudTarget | undefined {
  const url = read.text('PACS_API_URL', '', (text) => text === '' || URL.canParse(text), 'a URL').replace(/\/+$/, '');
  const token = read.text('PACS_API_TOKEN', '');
  const file = read.text('PACS_API_TOKEN_FILE', '');
  if (url === '' || (token === '' && file === '')) return undefined;
  return { url, token: token === '' ? { file } : token };
}

/** A TLS port asks for key and certificate. */
function readTls(read: ReturnType<typeof reader>): GatewayConfig['dicom']['tls'] {
  const port = read.whole('PACS_DICOM_TLS_PORT', undefined, 65_535);
  const caFile = read.text('PACS_DICOM_TLS_CA_FILE', '') || undefined;
  if (port === undefined) return undefined;
  return { port, keyFile: read.text('PACS_DICOM_TLS_KEY_FILE'), certFile: read.text('PACS_DICOM_TLS_CERT_FILE'), caFile };
}

const logLevels: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent'];
const isAETitle = (text: string): boolean => /^[\x20-\x5b\x5d-\x7e]{1,16}$/.test(text);

/** Reads variables one by one and collects what is wrong with them. An empty variable is one that is not set. */
function reader(env: Environment) {
  const problems: string[] = [];
  const value = (name: string): string | undefined => env[name]?.trim() || undefined;
  return {
    problems,
    text: (name: string, byDefault?: string, isGood: (text: string) => boolean = () => true, what = 'a text'): string => {
      const text = value(name) ?? byDefault;
      if (text === undefined) problems.push(`${name} is not set`);
      else if (!isGood(text)) problems.push(`${name} is not ${what}`);
      return text ?? '';
    },
    list: (name: string, isGood: (text: string) => boolean, what: string): readonly string[] => {
      const items = (value(name) ?? '').split(',').map((item) => item.trim()).filter((item) => item !== '');
      if (!items.every(isGood)) problems.push(`${name} is not a list of ${what}`);
      return items;
    },
    whole: (name: string, byDefault: number | undefined, max = Number.MAX_SAFE_INTEGER): number | undefined => {
      const text = value(name);
      if (text === undefined) return byDefault;
      const number = Number(text);
      if (!/^\d+$/.test(text) || number > max) problems.push(`${name} is not a whole number from 0 to ${max}`);
      return number;
    },
    seconds: (name: string, byDefault: number, max: number): number => {
      const text = value(name);
      if (text !== undefined && (!/^[1-9]\d*$/.test(text) || Number(text) > max)) problems.push(`${name} is not a whole number from 1 to ${max}`);
      return (text === undefined ? byDefault : Number(text)) * 1000;
    },
    yesOrNo: (name: string, byDefault: boolean): boolean => {
      const text = value(name);
      if (text !== undefined && text !== 'yes' && text !== 'no') problems.push(`${name} is neither yes nor no`);
      return text === undefined ? byDefault : text === 'yes';
    },
  };
}
