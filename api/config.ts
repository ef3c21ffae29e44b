import path from 'node:path';
import { createTrusts } from './publicUrl.ts';

export interface ApiConfig {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly temporal: { readonly address: string; readonly namespace: string; readonly uiUrl: string };
  readonly openSearchUrl: string;
  readonly s3: { readonly endpoint: string; readonly bucket: string; readonly region: string; readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly tokenKeyFile: string;
  /** How clients reach this API, when that is not what their Host header says: behind a proxy. No slash at the end. */
  readonly publicUrl: string | undefined;
  /** Peers whose Forwarded headers are believed: addresses, networks, or `loopback`. */
  readonly trustedProxies: readonly string[];
  readonly corsOrigins: readonly string[];
  /** Packs that were read are kept here, up to so many bytes; undefined keeps none. */
  readonly packCache: { readonly folder: string; readonly maxBytes: number } | undefined;
  readonly codecThreads: number;
  readonly headerCacheBytes: number;
  /** The built web viewer that /viewer serves. */
  readonly viewerDir: string | undefined;
  readonly stow: { readonly folder: string; readonly maxBytes: number; readonly waitMs: number };
}

const mib = 1024 ** 2;
const gib = 1024 ** 3;

/**
 * Reads the API's environment (infra/env.example).
 *
 * @throws an Error that names every variable that is missing or wrong
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): ApiConfig {
  const problems: string[] = [];
  const need = (name: string): string => env[name] || (problems.push(`${name} is not set`), '');
  const url = (name: string, given: string | undefined): string => {
    if (given && !URL.canParse(given)) problems.push(`${name} is no URL: ${given}`);
    return (given ?? '').replace(/\/+$/, '');
  };
  const whole = (name: string, byDefault: number, min: number, max = Number.MAX_SAFE_INTEGER): number => {
    const value = Number(env[name] || byDefault);
    if (!Number.isSafeInteger(value) || value < min || value > max) problems.push(`${name} is not a whole number from ${min} to ${max}: ${env[name]}`);
    return value;
  };
  const list = (name: string): readonly string[] => (env[name] ?? '').split(',').map((item) => item.trim()).filter(Boolean);
  const config: ApiConfig = {
    host: env['PACS_API_HOST'] || '127.0.0.1',
    port: whole('PACS_API_PORT', 8080, 0, 65_535),
    logLevel: env['PACS_LOG_LEVEL'] || 'info',
    temporal: {
      address: need('TEMPORAL_ADDRESS'), namespace: env['PACS_TEMPORAL_NAMESPACE'] || 'pacs',
      uiUrl: url('PACS_TEMPORAL_UI_URL', env['PACS_TEMPORAL_UI_URL'] || 'http://127.0.0.1:8233'),
    },
    openSearchUrl: url('OPENSEARCH_URL', need('OPENSEARCH_URL')),
    s3: {
      endpoint: need('S3_ENDPOINT'), bucket: env['PACS_S3_BUCKET'] || 'pacs', region: env['PACS_S3_REGION'] || 'us-east-1',
      accessKeyId: need('AWS_ACCESS_KEY_ID'), secretAccessKey: need('AWS_SECRET_ACCESS_KEY'),
    },
    tokenKeyFile: need('PACS_TOKEN_KEY_FILE'),
    publicUrl: url('PACS_API_PUBLIC_URL', env['PACS_API_PUBLIC_URL']) || undefined,
    trustedProxies: list('PACS_API_TRUSTED_PROXIES'),
    corsOrigins: list('PACS_API_CORS_ORIGINS'),
    packCache: env['PACS_PACK_CACHE_DIR'] ? { folder: env['PACS_PACK_CACHE_DIR'], maxBytes: whole('PACS_PACK_CACHE_BYTES', 4 * gib, 1) } : undefined,
    codecThreads: whole('PACS_API_CODEC_THREADS', 2, 1, 64),
    headerCacheBytes: whole('PACS_API_HEADER_CACHE_MB', 64, 0, 65_536) * mib,
    viewerDir: env['PACS_VIEWER_DIR'] || undefined,
    stow: {
      folder: env['PACS_STOW_DIR'] || path.join(env['PACS_HOME'] || '.pacs', 'stow'),
      maxBytes: whole('PACS_STOW_MAX_BYTES', 32 * gib, 1),
      waitMs: whole('PACS_STOW_WAIT_SECONDS', 60, 1, 3600) * 1000,
    },
  };
  try {
    createTrusts(config.trustedProxies);
  } catch (error) {
    problems.push(`PACS_API_TRUSTED_PROXIES: ${(error as Error).message}`);
  }
  if (problems.length) throw new Error(`The API cannot start: ${problems.join('; ')}. See infra/env.example.`);
  return config;
}

/** The key of access tokens: 32 bytes as base64url text. @throws when the text is not that */
export function decodeTokenKey(text: string): Uint8Array {
  const key = Buffer.from(text.trim(), 'base64url');
  if (!/^[A-Za-z0-9_-]{43}=?$/.test(text.trim()) || key.length !== 32) throw new Error('PACS_TOKEN_KEY_FILE does not hold 32 bytes as base64url text');
  return key;
}
