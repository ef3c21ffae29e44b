import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { healthUrl, type Urls } from '../native/environment.ts';
import { isServer, PARTS, type Part } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { PORTS_OF } from '../native/ports.ts';
import { isAlive, readRecord, type RunRecord } from '../native/process.ts';
import { answers } from '../native/server.ts';
import { temporalAnswers } from '../native/temporal.ts';
import { duration, printUrls } from './show.ts';

/** @returns 0 when everything that was started is healthy, 1 otherwise */
export async function status(config: InfraConfig): Promise<number> {
  const paths = pathsOf(config.home);
  const stack = liveStack(paths);
  if (!stack) {
    console.log(`Nothing is running in ${config.home}. \`./pacs up\` starts it.`);
    return 1;
  }
  console.log(`The PACS is ${stack.state} (process ${stack.pid}, for ${duration(Date.now() - Date.parse(stack.startedAt))}).`);
  console.log(`${'part'.padEnd(12)}${'health'.padEnd(12)}${'pid'.padEnd(9)}${'uptime'.padEnd(11)}ports`);
  const rows = await Promise.all(PARTS.filter((part) => stack.parts?.includes(part) ?? true).map(async (part) => {
    const found = readRecord<RunRecord>(paths.runFileOf(part));
    const record = found && isAlive(found) ? found : undefined;
    return { part, record, healthy: stack.urls ? await isHealthy(part, stack.urls) : false };
  }));
  for (const { part, record, healthy } of rows) {
    const health = healthy ? 'healthy' : record ? 'not ready' : 'down';
    const uptime = record ? duration(Date.now() - Date.parse(record.startedAt)) : healthy ? 'external' : '-';
    const ports = PORTS_OF[part].map((name) => stack.ports[name]).join(' ');
    console.log(`${part.padEnd(12)}${health.padEnd(12)}${`${record?.pid ?? '-'}`.padEnd(9)}${uptime.padEnd(11)}${ports}`);
  }
  if (stack.urls && await fairnessOf(stack.urls) === 'ignored') console.log(fairnessIgnored);
  if (stack.urls) printUrls(stack.urls);
  return rows.every(({ healthy }) => healthy) ? 0 : 1;
}

export const fairnessIgnored = 'Temporal ignores fairness keys: a tenant that floods the queues holds up the others. Set matching.enableFairness=true in its dynamic configuration.';

/** What the worker's probe found; undefined when it does not say. */
export async function fairnessOf(urls: Urls): Promise<string | undefined> {
  const answer = await fetch(healthUrl('worker', urls), { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
  return (await answer?.json().catch(() => undefined) as { readonly fairness?: string } | undefined)?.fairness;
}

function isHealthy(part: Part, urls: Urls): Promise<boolean> {
  if (!isServer(part)) return answers(healthUrl(part, urls));
  if (part === 'temporal') return temporalAnswers(urls.temporalAddress);
  return answers(part === 's3' ? `${urls.s3Endpoint}/healthz` : `${urls.opensearch}/_cluster/health`);
}
