import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { External } from '../config.ts';
import { s3Keys, tokenKey } from '../secrets.ts';
import { signToken } from '../token.ts';
import { bootstrap, syncBucketWrites } from './bootstrap.ts';
import { Children, stopLeftovers } from './children.ts';
import { claimHome } from './claim.ts';
import { ensureBinaries } from './download.ts';
import { ENTRY_POINTS, ownEnvironment, urlsOf, type Urls } from './environment.ts';
import { OWN_PROCESSES, PARTS, SERVERS, StackError, type OnProgress, type Part } from './parts.ts';
import { CHECKOUT, makeFolders, pathsOf, type Paths } from './paths.ts';
import { freePorts, portsWithOffset, requireFree, type Ports } from './ports.ts';
import type { Exit } from './process.ts';
import { BUCKET } from './s3.ts';
import { answers, type Site } from './server.ts';
import { temporalAnswers } from './temporal.ts';
import { ensureViewer } from './viewer.ts';

export type StackOptions = {
  /** Where everything is kept; one stack at a time. */
  readonly home: string;
  /** The downloaded servers; default: `PACS_BIN_DIR`, or the checkout's `.pacs/bin`. */
  readonly binDir?: string;
  readonly ports?: Ports | 'free';
  readonly parts?: readonly Part[];
  readonly external?: External;
  /** Settings for our own processes that win over the defaults. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onProgress?: OnProgress;
  /** Gives up a start that is under way. */
  readonly signal?: AbortSignal;
  /** Called when a part ends that nobody stopped. */
  readonly onCrash?: (part: Part, exit: Exit) => void;
};

/** A running stack. Its parts die with the process that started it. */
export type Stack = {
  readonly home: string;
  readonly ports: Ports;
  readonly urls: Urls;
  /** The environment handed to our own processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly parts: readonly Part[];
  readonly pid: (part: Part) => number | undefined;
  /** Starts a part that was killed or has crashed, or stops and starts one that runs; settles when it is healthy. */
  readonly restart: (part: Part) => Promise<void>;
  /** Sends a signal; settles when the part has ended if the signal ends it. It stays down until `restart`. */
  readonly kill: (part: Part, signal?: NodeJS.Signals) => Promise<void>;
  readonly healthy: (part: Part) => Promise<boolean>;
  readonly logFile: (part: Part) => string;
  readonly stop: () => Promise<void>;
};

const EXTERNAL: Readonly<Record<'temporal' | 's3' | 'opensearch', keyof External>> = {
  temporal: 'temporalAddress', s3: 's3Endpoint', opensearch: 'opensearchUrl',
};

/**
 * Starts servers and own processes, healthy when it returns. What was started is stopped again when a part fails.
 *
 * @throws StackError naming the part, its log and the remedy
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const paths = pathsOf(path.resolve(options.home));
  const ports = options.ports === 'free' ? await freePorts() : options.ports ?? portsWithOffset(0);
  const external = options.external ?? {};
  const onProgress = options.onProgress ?? (() => {});
  const wanted = options.parts ?? PARTS;
  const servers = SERVERS.filter((part) => wanted.includes(part) && external[EXTERNAL[part]] === undefined);
  const own = OWN_PROCESSES.filter((part) => wanted.includes(part) && hasEntryPoint(part, onProgress));
  const started = [...servers, ...own];

  makeFolders(paths);
  const claim = claimHome(paths, ports);
  try {
    await stopLeftovers(paths);
    const binDir = options.binDir ?? process.env['PACS_BIN_DIR'] ?? path.join(CHECKOUT, '.pacs', 'bin');
    const [binaries, viewer] = await Promise.all([
      ensureBinaries(binDir, paths.cache, onProgress, options.signal),
      own.includes('api') ? ensureViewer(binDir, paths.cache, onProgress, options.signal) : undefined,
    ]);
    const keys = external.s3Keys ?? s3Keys(paths.secrets);
    tokenKey(paths.tokenKey);
    const env = ownEnvironment({ paths, ports, s3Keys: keys, external }, { ...(viewer ? { PACS_VIEWER_DIR: viewer } : {}), ...options.env });
    await writeGatewayToken(paths, env);
    await requireFree([...servers, ...own], ports);
    const site: Site = { paths, ports, s3Keys: keys };
    const parts = new Children(site, env, binaries, (part, exit) => { if (isUp) options.onCrash?.(part, exit); }, onProgress);
    let isUp = false;
    const giveUp = (): void => void parts.stop();
    options.signal?.addEventListener('abort', giveUp);
    try {
      options.signal?.throwIfAborted();
      await Promise.all(servers.map((part) => parts.start(part)));
      if (SERVERS.every((part) => servers.includes(part) || external[EXTERNAL[part]])) {
        await requireExternal(external, env, onProgress);
        await bootstrap(env);
      }
      if (servers.includes('s3')) await syncBucketWrites(binaries.weed, ports, BUCKET);
      await Promise.all(own.map((part) => parts.start(part)));
      const ended = started.find((part) => parts.pid(part) === undefined);
      if (ended) throw new StackError(`${ended} ended again while the others started. Log: ${paths.logOf(ended)}`);
      isUp = true;
    } catch (error) {
      await parts.stop();
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', giveUp);
    }
    claim.update('up', started, urlsOf(env));
    return {
      home: paths.home, ports, env, urls: urlsOf(env), parts: started,
      pid: (part) => parts.pid(part),
      restart: (part) => parts.restart(part),
      kill: (part, signal) => parts.kill(part, signal ?? 'SIGKILL'),
      healthy: (part) => parts.healthy(part),
      logFile: (part) => paths.logOf(part),
      stop: async () => {
        claim.update('stopping', started, urlsOf(env));
        await parts.stop();
        claim.release();
      },
    };
  } catch (error) {
    claim.release();
    throw error;
  }
}

/** What the gateway queries and retrieves with: for its own tenant, renewed at each start. */
async function writeGatewayToken(paths: Paths, env: Readonly<Record<string, string>>): Promise<void> {
  const [tenantId, gatewayId] = [env['PACS_TENANT_ID'] ?? '', env['PACS_GATEWAY_ID'] ?? ''];
  const token = await signToken({ sub: `gateway/${gatewayId}`, tenants: [tenantId], roles: ['gateway'] }, tokenKey(env['PACS_TOKEN_KEY_FILE'] ?? paths.tokenKey), '365d');
  writeFileSync(paths.gatewayToken, token, { mode: 0o600 });
}

function hasEntryPoint(part: (typeof OWN_PROCESSES)[number], onProgress: OnProgress): boolean {
  if (existsSync(path.join(CHECKOUT, ENTRY_POINTS[part]))) return true;
  onProgress({ subject: part, state: 'warning', text: `${ENTRY_POINTS[part]} does not exist: ${part} is not started` });
  return false;
}

async function requireExternal(external: External, env: Readonly<Record<string, string>>, onProgress: OnProgress): Promise<void> {
  const checks: readonly (readonly ['temporal' | 's3' | 'opensearch', string, (address: string) => Promise<boolean>])[] = [
    ['temporal', 'TEMPORAL_ADDRESS', temporalAnswers],
    ['opensearch', 'OPENSEARCH_URL', answers],
  ];
  for (const [part, setting, check] of checks) {
    const address = env[setting] ?? '';
    if (external[EXTERNAL[part]] === undefined) continue;
    if (!(await check(address))) throw new StackError(`${setting}=${address} does not answer. Start that server, or unset ${setting} to have one started.`);
    onProgress({ subject: part, state: 'external', text: `at ${address}` });
  }
}
