import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { printProgress } from '../infra/commands/show.ts';
import type { InfraConfig } from '../infra/config.ts';
import { startStack, type Stack } from '../infra/native/stack.ts';
import type { Ceiling } from './ceiling.ts';
import { startChild } from './child.ts';
import { Load, makeLoad } from './load.ts';
import { installedPeers } from './peers.ts';
import { ingestReport, save, settingOf } from './report.ts';
import { apiOf, pipelineHeld, runPacs, runPeer, wholePipeline, type Order, type Run } from './run.ts';

export interface IngestOptions {
  readonly instanceCount: number;
  readonly associationCounts: readonly number[];
  readonly repetitions: number;
  readonly peers: boolean;
}

/** A stack of its own on free ports below `.pacs/tmp/`, gone when the work is done. */
export async function withStack<T>(config: InfraConfig, work: (stack: Stack, home: string) => Promise<T>): Promise<T> {
  const home = path.join(config.home, 'tmp', `bench-${process.pid}`);
  const stop = new AbortController();
  let stack: Stack | undefined;
  const ask = (): void => {
    stop.abort();
    void stack?.stop().then(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  try {
    stack = await startStack({
      home, binDir: process.env['PACS_BIN_DIR'] ?? path.join(config.home, 'bin'), ports: 'free', external: config.external,
      env: { PACS_LOG_LEVEL: 'warn', ...config.passedOn }, onProgress: printProgress, signal: stop.signal,
      onCrash: (part) => printProgress({ subject: part, state: 'crashed', text: 'ended by itself' }),
    });
    return await work(stack, home);
  } finally {
    await stack?.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/**
 * Sends the same load to the PACS and to the DICOM receivers that are installed, in turns, and tells rates, cost and
 * memory.
 *
 * @returns 0 when every instance was accepted and found
 */
export async function benchIngest(config: InfraConfig, options: IngestOptions, command: string): Promise<number> {
  const setting = settingOf(command);
  const loadFolder = await makeLoad(config.home, 1, printProgress);
  const runs: Run[] = [];
  const ceilings: Ceiling[] = [];
  await withStack(config, async (stack, home) => {
    const systems = await systemsOf(stack, home, options.peers);
    await systems[0]!.run({ loadFolder, associationCount: 2, instanceCount: Math.min(100, options.instanceCount) });
    for (let repetition = 0; repetition < options.repetitions; repetition++) {
      ceilings.push(...await measureCeilings(loadFolder, path.join(home, 'tmp', 'ceiling'), options.instanceCount));
      for (const associationCount of options.associationCounts) {
        for (const { run } of rotated(systems, repetition)) {
          const result = await run({ loadFolder, associationCount, instanceCount: options.instanceCount });
          runs.push(result);
          printRun(result);
          await sleep(500);
        }
      }
    }
  });
  const ordered = runs.toSorted((a, b) => a.system.localeCompare(b.system));
  const text = ingestReport(setting, new Load(loadFolder).instanceBytes, ordered, ceilings);
  console.log(`\n${text}\n\n${save(config.home, 'ingest', text, { setting, options, runs, ceilings })}`);
  const wrong = runs.filter((run) => Object.keys(run.failures).length > 0 || (isOurs(run) && run.foundPerSecond === undefined));
  return wrong.some(isOurs) ? 1 : 0;
}

const isOurs = ({ system }: Run): boolean => system === pipelineHeld || system === wholePipeline;

interface System { readonly run: (order: Order) => Promise<Run> }

async function systemsOf(stack: Stack, home: string, withPeers: boolean): Promise<readonly System[]> {
  const api = await apiOf(stack);
  const peers = withPeers ? Object.values(installedPeers(path.join(home, 'tmp'))) : [];
  return [
    { run: (order) => runPacs(stack, api, order, false) },
    { run: (order) => runPacs(stack, api, order, true) },
    ...peers.map((start) => ({
      run: async (order: Order) => {
        const peer = await start();
        try {
          return await runPeer(peer, order);
        } finally {
          await peer.stop();
        }
      },
    })),
  ];
}

/** No system is always the first to find a warm or a busy machine. */
const rotated = <T>(items: readonly T[], by: number): readonly T[] => items.map((_, index) => items[(index + by) % items.length]!);

async function measureCeilings(loadFolder: string, folder: string, instanceCount: number): Promise<readonly Ceiling[]> {
  const child = startChild<readonly Ceiling[]>('ceiling.ts', { loadFolder, folder, instanceCount });
  try {
    await child.ready;
    return await child.go();
  } finally {
    child.stop();
  }
}

function printRun({ system, associationCount, acceptedPerSecond, foundPerSecond, receiverCpuMs, load1 }: Run): void {
  const cpu = receiverCpuMs === undefined ? '' : `, ${receiverCpuMs.toFixed(2)} ms CPU`;
  const found = foundPerSecond === undefined ? '' : `, ${foundPerSecond.toFixed(0)} found/s`;
  console.log(`  ${associationCount} associations  ${system.padEnd(21)} ${acceptedPerSecond.toFixed(0)} accepted/s${found}${cpu} (load ${load1.toFixed(1)})`);
}
