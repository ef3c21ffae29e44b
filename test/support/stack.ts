import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig, type External } from '../../infra/config.ts';
import { startStack, type Stack } from '../../infra/native/stack.ts';
import { tokenKey } from '../../infra/secrets.ts';
import { signToken, type Role } from '../../infra/token.ts';
import { aTenant } from './aStudy.ts';
import { PacsClient } from './pacsClient.ts';

/** The whole PACS: gateway, worker and API as processes, in front of real servers. */
export interface Pacs {
  readonly stack: Stack;
  /** The tenant of its gateway `gw1`, and one that has only the API. */
  readonly tenantId: string;
  readonly otherTenantId: string;
  /** An admin of the gateway's tenant. */
  readonly api: PacsClient;
  clientOf(tenantId: string, tokenTenants: readonly string[], roles?: readonly Role[]): Promise<PacsClient>;
  stop(): Promise<void>;
}

export interface PacsOptions {
  /** Servers to use instead of starting them. */
  readonly external?: External;
  readonly env?: Readonly<Record<string, string>>;
  /** Where its own folder is made; default PACS_TEST_HOME, else the system's. */
  readonly folder?: string;
}

/** Starts a PACS with tenants of its own, so that it shares servers with others. Studies are stable after a second. */
export async function startPacs({ external = readConfig(process.env).external, env = {}, folder = process.env['PACS_TEST_HOME'] ?? tmpdir() }: PacsOptions = {}): Promise<Pacs> {
  const home = await mkdtemp(path.join(folder, 'pacs-'));
  const [tenantId, otherTenantId] = [aTenant(), aTenant()];
  const stack = await startStack({
    home, ports: 'free', external,
    env: { PACS_TENANT_ID: tenantId, PACS_TENANTS: `${tenantId},${otherTenantId}`, PACS_STUDY_QUIET_SECONDS: '1', PACS_ROUTE_RETRY_SECONDS: '1', ...env },
  });
  const key = tokenKey(stack.env['PACS_TOKEN_KEY_FILE']!);
  const clientOf = async (tenant: string, tokenTenants: readonly string[], roles: readonly Role[] = ['admin']): Promise<PacsClient> =>
    new PacsClient(stack.urls.api, tenant, await signToken({ sub: 'test', tenants: tokenTenants, roles }, key, '1h'));
  return {
    stack, tenantId, otherTenantId, clientOf,
    api: await clientOf(tenantId, [tenantId]),
    stop: async () => {
      await stack.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

let users = 0;
let shared: Promise<Pacs> | undefined;

/** One PACS for all suites that call this inside their `describe`: started before the first, stopped after the last of them. */
export function sharedPacs(): () => Pacs {
  let pacs: Pacs | undefined;
  users++;
  before('the PACS is up', async function () {
    this.timeout(180_000);
    shared ??= startPacs();
    pacs = await shared;
  });
  after('the PACS is stopped', async function () {
    this.timeout(90_000);
    if (--users === 0) await (await shared?.catch(() => undefined))?.stop();
  });
  return () => pacs!;
}

/** Asks again until there is an answer other than undefined or false; errors on the way count as no answer. @throws naming `what` */
export async function eventually<T>(what: string, ask: () => Promise<T | false | undefined> | T | false | undefined, timeoutMs = 60_000): Promise<T> {
  let problem: unknown;
  for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(100)) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
  }
  throw new Error(`it never happened within ${timeoutMs / 1000} s that ${what}`, { cause: problem });
}
