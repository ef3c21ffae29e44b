import { readdirSync, readlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { eventually } from '../../support/stack.ts';
import type { Site, SitePart } from './site.ts';

interface GatewayStatus { readonly spool: Readonly<Record<'liveAssociations' | 'openPacks' | 'waitingPacks', number>> }

/** What keeps a site from being quiet, in words; empty when nothing waits and no flow runs. */
export async function unrest(site: Site): Promise<readonly string[]> {
  const { spool } = await (await fetch(`${site.gatewayUrl}/status`)).json() as GatewayStatus;
  const waiting = Object.entries({ liveAssociations: spool.liveAssociations, openPacks: spool.openPacks, waitingPacks: spool.waitingPacks }).filter(([, count]) => count > 0);
  const running = await runningFlows(site);
  return [...waiting.map(([name, count]) => `gateway: ${count} ${name}`), ...running.map((flow) => `runs: ${flow}`)];
}

async function runningFlows({ temporal, tenantId }: Site): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { workflowId, searchAttributes } of temporal.workflow.list({ query: `ExecutionStatus = 'Running' AND TenantId = '${tenantId}'` })) {
    found.push(`${workflowId} (${String(searchAttributes['FlowState'])})`);
  }
  return found;
}

/** Waits until every part answers, nothing lies in the spool and every flow has ended. @throws naming what does not come to rest */
export async function untilQuiet(site: Site, timeoutMs: number): Promise<void> {
  let last: readonly string[] = [];
  try {
    await eventually('the site is quiet', async () => {
      last = await unrest(site);
      return last.length === 0;
    }, timeoutMs);
  } catch (error) {
    throw new Error(`The site does not come to rest: ${last.slice(0, 12).join('; ')}`, { cause: error });
  }
}

/** Files below the gateway's spool that a process holds open. */
export function openSpoolFiles(site: Site): readonly string[] {
  const holders: readonly SitePart[] = ['gateway', 'edgeWorker'];
  return holders.flatMap((part) => {
    const folder = `/proc/${site.pid(part)}/fd`;
    return readdirSync(folder).flatMap((fd) => {
      try {
        const target = readlinkSync(`${folder}/${fd}`);
        return target.startsWith(site.spoolFolder) ? [`${part}: ${target}`] : [];
      } catch {
        return []; // closed while we looked
      }
    });
  });
}

/** What lies in the spool's folder, without the packs that are kept after their release. */
export async function spoolFiles(site: Site): Promise<readonly string[]> {
  const names = await readdir(site.spoolFolder, { recursive: true }).catch(() => []);
  return names.filter((name) => !name.startsWith('kept'));
}
