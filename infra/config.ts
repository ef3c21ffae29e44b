import path from 'node:path';
import { StackError } from './native/parts.ts';
import { CHECKOUT } from './native/paths.ts';
import { DEFAULT_PORTS, portsWithOffset, type PortName, type Ports } from './native/ports.ts';
import type { S3Keys } from './secrets.ts';

/** Servers that exist already: what is named here is used, and not started. */
export type External = {
  readonly temporalAddress?: string;
  readonly opensearchUrl?: string;
  readonly s3Endpoint?: string;
  readonly s3Keys?: S3Keys;
};

export type InfraConfig = {
  readonly home: string;
  readonly ports: Ports;
  readonly external: External;
  /** Settings of our own processes that a person made, handed on unchanged. */
  readonly passedOn: Readonly<Record<string, string>>;
};

type Environment = Readonly<Record<string, string | undefined>>;

const OWN = new Set(['PACS_HOME', 'PACS_PORT_OFFSET', 'PACS_BIN_DIR']);
const PORT_SETTINGS: Readonly<Record<string, PortName>> = {
  PACS_DICOM_PORT: 'dicom',
  PACS_API_PORT: 'api',
  PACS_GATEWAY_HTTP_PORT: 'gatewayHttp',
  PACS_WORKER_HTTP_PORT: 'workerHttp',
};

/** @throws StackError listing everything that is wrong at once */
export function readConfig(env: Environment): InfraConfig {
  const problems: string[] = [];
  const given: Partial<Record<PortName, number>> = {};
  for (const [setting, name] of Object.entries(PORT_SETTINGS)) {
    const value = name === 'dicom' ? listeningDicomPort(env, problems) : env[setting];
    if (!value) continue;
    if (/^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 65535) given[name] = Number(value);
    else problems.push(`${setting} must be a port from 1 to 65535, not "${value}".`);
  }
  const { external, missing } = externalServers(env);
  problems.push(...missing);
  let ports: Ports = DEFAULT_PORTS;
  try {
    ports = portsWithOffset(Number(env['PACS_PORT_OFFSET'] || 0), given);
  } catch (error) {
    problems.push((error as Error).message);
  }
  if (problems.length > 0) throw new StackError(problems.join('\n'));
  const passedOn = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[0].startsWith('PACS_') && !OWN.has(entry[0]) && entry[1] !== undefined),
  );
  return { home: path.resolve(env['PACS_HOME'] || path.join(CHECKOUT, '.pacs')), ports, external, passedOn };
}

/** The gateway's port without TLS, or the one with it when nobody is let in without. */
function listeningDicomPort(env: Environment, problems: string[]): string | undefined {
  if (env['PACS_DICOM_PORT']?.trim() !== 'off') return env['PACS_DICOM_PORT'];
  if (!env['PACS_DICOM_TLS_PORT']) problems.push('PACS_DICOM_PORT is off: give PACS_DICOM_TLS_PORT.');
  return env['PACS_DICOM_TLS_PORT'];
}

function externalServers(env: Environment): { readonly external: External; readonly missing: readonly string[] } {
  const accessKeyId = env['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'];
  const s3 = env['S3_ENDPOINT'];
  return {
    external: {
      ...(env['TEMPORAL_ADDRESS'] ? { temporalAddress: env['TEMPORAL_ADDRESS'] } : {}),
      ...(env['OPENSEARCH_URL'] ? { opensearchUrl: env['OPENSEARCH_URL'] } : {}),
      ...(s3 ? { s3Endpoint: s3 } : {}),
      ...(s3 && accessKeyId && secretAccessKey ? { s3Keys: { accessKeyId, secretAccessKey } } : {}),
    },
    missing: s3 && !(accessKeyId && secretAccessKey)
      ? ['S3_ENDPOINT points at a server that exists already: give its keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.']
      : [],
  };
}
