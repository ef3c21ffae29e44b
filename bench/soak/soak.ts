import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { printProgress } from '../../infra/commands/show.ts';
import type { InfraConfig } from '../../infra/config.ts';
import { ensureTestPeers } from '../../infra/native/peers.ts';
import { Book } from '../../test/faults/harness/book.ts';
import { compareLists, nothingCompared, problemsOf } from '../../test/faults/harness/lists.ts';
import { openSpoolFiles, spoolFiles, untilQuiet } from '../../test/faults/harness/quiet.ts';
import { createRandom } from '../../test/faults/harness/random.ts';
import { siteParts, startSite, type Site } from '../../test/faults/harness/site.ts';
import { save, settingOf } from '../report.ts';
import { clearFaults, inject } from './inject.ts';
import { Keeper } from './keeper.ts';
import { makePlan, nameOf, type PlannedFault } from './plan.ts';
import { Progress } from './progress.ts';
import { soakReport, type SoakResult } from './report.ts';
import { runWorkload } from './workload.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: string;
  readonly faultCount: number;
}

/** Of the gateway's disk; it fills up on its own when the cloud is away for long. */
const spoolMiB = 768;
const quietTimeoutMs = 1_500_000;

/**
 * Sends studies for some minutes while the faults of a seeded plan come down on every process, link and disk; then waits for
 * quiet and compares what senders were told with archive, index, retrieval, delivery ledger and destination.
 *
 * @returns 0 when nothing was lost, doubled or left behind
 */
export async function soak(config: InfraConfig, options: SoakOptions, command: string): Promise<number> {
  const setting = settingOf(command);
  const home = path.join(config.home, 'tmp', `soak-${process.pid}`);
  const peers = await ensureTestPeers(printProgress).catch(() => undefined);
  const progress = new Progress();
  const site = await startSite({ home, spoolMiB, binDir: process.env['PACS_BIN_DIR'] ?? path.join(config.home, 'bin'), onProgress: () => progress.mark(), onStart: printProgress });
  const stop = (): void => void site.stop().then(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  try {
    const result = await run(site, options, progress, { storescu: peers?.storescu, folder: home });
    const text = soakReport(setting, options, result);
    console.log(`\n${text}\n\n${save(config.home, `soak-${options.seed}`, text, { setting, options, ...result })}`);
    return result.problems.length === 0 ? 0 : 1;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
    await site.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

async function run(site: Site, options: SoakOptions, progress: Progress, sender: { readonly storescu: string | undefined; readonly folder: string }): Promise<SoakResult> {
  const random = createRandom(options.seed);
  const durationMs = options.minutes * 60_000;
  const plan = makePlan(random.fork('plan'), options.faultCount, durationMs);
  const book = new Book(() => progress.mark());
  const handlesBefore = openHandles(site);
  const began = Date.now();
  const keeper = new Keeper(site);
  let over = false;
  const workload = runWorkload({ ...sender, site, book, random: random.fork('workload'), isOver: () => over });
  const ticker = setInterval(() => console.log(`  ${((Date.now() - began) / 60_000).toFixed(1)} min: ${progress.metCount} faults, ${book.acknowledged.size} instances acknowledged, ${book.resent} resent`), 60_000);
  const failures = await bringDown(site, keeper, plan, progress, began);
  over = true;
  await clearFaults(site);
  await keeper.settle(siteParts);
  const refused = await workload;
  const sentMs = Date.now() - began;
  console.log(`  ${(sentMs / 60_000).toFixed(1)} min: all was sent; waits for quiet`);
  const unrest: string[] = await untilQuiet(site, quietTimeoutMs).then(() => [], (error: Error) => [error.message]);
  clearInterval(ticker);
  const quietMs = Date.now() - began - sentMs;
  const comparison = await compareLists(site, book).catch((error: Error) => {
    unrest.push(`The lists could not be read: ${error.message}`);
    return nothingCompared;
  });
  return {
    seed: options.seed, durationMs: sentMs, quietMs, faults: tally(plan, progress), comparison,
    sent: book.sent, refused: book.refused, resent: book.resent, acknowledged: book.acknowledged.size,
    longestGapMs: progress.longestGapMs, failedStarts: keeper.failedStarts, crashes: site.crashes, handlesBefore, handlesAfter: openHandles(site),
    problems: [...failures, ...unrest, ...refused.map((study) => `not wholly accepted: ${study}`), ...await leftovers(site), ...problemsOf(comparison)],
  };
}

/** @returns what went wrong with the faults themselves */
async function bringDown(site: Site, keeper: Keeper, plan: readonly PlannedFault[], progress: Progress, began: number): Promise<readonly string[]> {
  const failures: string[] = [];
  const running = new Set<Promise<void>>();
  for (const fault of plan) {
    await sleep(Math.max(0, began + fault.atMs - Date.now()));
    const name = nameOf(fault);
    const one = inject(site, keeper, fault, () => progress.hit(name)).then(() => undefined, (error: Error) => void failures.push(`${name}: ${error.message}`));
    running.add(one);
    void one.finally(() => running.delete(one));
  }
  await Promise.all(running);
  return failures;
}

function tally(plan: readonly PlannedFault[], progress: Progress): SoakResult['faults'] {
  const names = [...new Set(plan.map(nameOf))].toSorted();
  return names.map((name) => ({ name, planned: plan.filter((fault) => nameOf(fault) === name).length, met: progress.met(name), longestMs: progress.longestMs(name) }));
}

async function leftovers(site: Site): Promise<readonly string[]> {
  const tars = (await spoolFiles(site)).filter((name) => name.endsWith('.tar'));
  return [...tars.map((name) => `left in the spool: ${name}`), ...openSpoolFiles(site).map((file) => `held open: ${file}`)];
}

/** Open file handles by process, sockets included. */
const openHandles = (site: Site): Readonly<Record<string, number>> => Object.fromEntries((['gateway', 'edgeWorker', 'worker', 'api'] as const)
  .map((part) => [part, readdirSync(`/proc/${site.pid(part)}/fd`).length]));
