import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastLines } from '../../../infra/native/process.ts';
import { Book } from './book.ts';
import type { ArmedFault } from './faultList.ts';
import { compareLists, problemsOf } from './lists.ts';
import { openSpoolFiles, spoolFiles, untilQuiet } from './quiet.ts';
import { createRandom, type Random } from './random.ts';
import { startSite, type Site, type SiteOptions } from './site.ts';

/** A site of one suite, the book of its senders, and choices that are the same in every run. */
export interface FaultSuite {
  readonly site: Site;
  readonly book: Book;
  readonly random: Random;
}

/** Started before the first test of the suite that calls this, stopped after its last. */
export function faultSuite(options: Omit<SiteOptions, 'home'> = {}): () => FaultSuite {
  let suite: FaultSuite | undefined;
  let home: string | undefined;
  before('cloud and edge are up', async function () {
    this.timeout(180_000);
    home = await mkdtemp(path.join(process.env['PACS_TEST_HOME'] ?? tmpdir(), 'faults-'));
    suite = { site: await startSite({ ...options, home }), book: new Book(), random: createRandom(this.test?.parent?.title ?? '') };
  });
  afterEach('the logs of what failed', function () {
    if (this.currentTest?.state !== 'failed' || !suite) return;
    for (const part of ['gateway', 'edgeWorker', 'worker', 'api'] as const) console.log(`${part}:\n${lastLines(suite.site.logFile(part), 8)}`);
  });
  after('cloud and edge are stopped', async function () {
    this.timeout(90_000);
    await suite?.site.stop();
    if (home) await rm(home, { recursive: true, force: true });
  });
  return () => suite!;
}

/** Waits until a fault has met its call. @throws naming it when none came */
export async function hasFired(what: string, fault: ArmedFault, timeoutMs = 60_000): Promise<void> {
  const timer = new AbortController();
  const late = sleep(timeoutMs, undefined, { signal: timer.signal, ref: false }).then(() => { throw new Error(`Nothing came to ${what} within ${timeoutMs / 1000} s`); });
  late.catch(() => undefined);
  await Promise.race([fault.done, late]).finally(() => timer.abort());
}

/** Waits for quiet and holds what senders were told against archive, index, retrieval, ledger and destination. */
export async function assertNothingLostOrDoubled({ site, book }: FaultSuite, timeoutMs = 180_000): Promise<void> {
  await untilQuiet(site, timeoutMs);
  const found = await compareLists(site, book);

  assert.deepEqual(problemsOf(found), []);
  assert.equal(found.archivedCount, new Set([...book.acknowledged.keys()].map((key) => key.split(' ')[0])).size);
  assert.deepEqual(openSpoolFiles(site), []);
  assert.deepEqual((await spoolFiles(site)).filter((name) => name.endsWith('.tar')), []);
  assert.deepEqual(site.crashes, []);
}
