import path from 'node:path';
import type { InfraConfig } from '../infra/config.ts';
import { startChild } from './child.ts';
import { withStack } from './ingest.ts';
import { installedPeers } from './peers.ts';
import { plotSvg, type Series } from './plot.ts';
import { save, savePlot, settingOf, settingText } from './report.ts';
import { loadSources, startApi, startFileServer, type Size, type Source, type Systems } from './retrieveSources.ts';
import type { RetrieverReport } from './retriever.ts';
import { markdownTable, show, spread } from './statistics.ts';
import { cpuMs } from './usage.ts';

export interface RetrieveOptions {
  readonly workerCounts: readonly number[];
  readonly studyCount: number;
  readonly instancesPerStudy: number;
  readonly repetitions: number;
  /** Also studies of instances of 8, 16 and 100 MB, with one worker. */
  readonly sizes: boolean;
}

/** One reading of a whole load. */
interface Retrieval {
  readonly system: string;
  readonly what: string;
  readonly instanceMB: number;
  readonly workerCount: number;
  readonly mbPerSecond: number;
  readonly firstByteMs: number;
  readonly serverCpuMsPerMB: number | undefined;
  readonly failures: number;
}

const frameMB = 0.525;
const sizes: readonly Size[] = [
  { what: '0.5 MB', frameCount: 1, studies: 4, instances: 50 }, { what: '8 MB', frameCount: 16, studies: 2, instances: 8 },
  { what: '16 MB', frameCount: 32, studies: 2, instances: 4 }, { what: '100 MB', frameCount: 200, studies: 2, instances: 1 },
];

/**
 * Reads whole studies by WADO-RS, from S3 and from kept packs, with several readers and API processes, beside Orthanc, a raw S3 read of
 * the same packs and a bare file server, in turns. @returns 0 when nothing failed
 */
export async function benchRetrieve(config: InfraConfig, options: RetrieveOptions, command: string): Promise<number> {
  const setting = settingOf(command);
  const byWorkers: Retrieval[] = [];
  const bySize: Retrieval[] = [];
  await withStack(config, (stack, home) => withSystems({ config, stack, home }, async (systems) => {
    const main: Size = { what: '0.5 MB', frameCount: 1, studies: options.studyCount, instances: options.instancesPerStudy };
    await measureAll(byWorkers, main, await loadSources(systems, main), options.workerCounts, options.repetitions);
    for (const size of options.sizes ? sizes : []) await measureAll(bySize, size, await loadSources(systems, size), [1], options.repetitions);
  }));
  const text = [`${settingText(setting)} ${options.studyCount} studies of ${options.instancesPerStudy} instances; median (min–max).`, table(byWorkers), ...(options.sizes ? ['One worker, by the size of an instance:', table(bySize)] : [])].join('\n\n');
  const mbPerSecond = (each: Retrieval): number => each.mbPerSecond;
  savePlot(config.home, 'retrieve-workers', plotSvg({ title: 'Whole studies by parallel workers', x: 'workers', y: 'MB/s', series: seriesOf(byWorkers, (each) => each.workerCount, mbPerSecond) }));
  if (options.sizes) savePlot(config.home, 'retrieve-size', plotSvg({ title: 'Whole studies by size of an instance, one worker', x: 'MB an instance', y: 'MB/s', logX: true, series: seriesOf(bySize, (each) => each.instanceMB, mbPerSecond) }));
  console.log(`\n${text}\n\n${save(config.home, 'retrieve', text, { setting, options, byWorkers, bySize })}`);
  return [...byWorkers, ...bySize].some(({ failures }) => failures > 0) ? 1 : 0;
}

/** Starts what is read from beside the stack, and ends it. */
async function withSystems({ config, stack, home }: Pick<Systems, 'config' | 'stack'> & { readonly home: string }, work: (systems: Systems) => Promise<void>): Promise<void> {
  const kept = path.join(home, 'kept');
  const orthanc = await installedPeers(path.join(home, 'tmp'))['Orthanc']?.();
  const apis = [await startApi(stack, ''), await startApi(stack, kept), await startApi(stack, kept)] as const;
  const files = await startFileServer(kept);
  try {
    await work({ config, stack, orthanc, withoutCache: apis[0], withCache: [apis[1], apis[2]], files });
  } finally {
    files.child.stop();
    for (const { child } of apis) child.kill('SIGKILL');
    await orthanc?.stop();
  }
}

/** The first round warms every process and every cache: it does not count. */
async function measureAll(results: Retrieval[], size: Size, sources: readonly Source[], workerCounts: readonly number[], repetitions: number): Promise<void> {
  for (let round = 0; round <= repetitions; round++) {
    for (const workerCount of workerCounts) {
      for (const source of sources) {
        const result = await measure(size, source, workerCount);
        if (round > 0 || result.failures > 0) results.push(result);
        if (round > 0) console.log(`  ${size.what}, ${workerCount} workers  ${source.system.padEnd(30)} ${result.mbPerSecond.toFixed(0)} MB/s`);
      }
    }
  }
}

async function measure({ what, frameCount }: Size, source: Source, workerCount: number): Promise<Retrieval> {
  const child = startChild<RetrieverReport>('retriever.ts', { ...source.order, workerCount });
  const cpu = (): number => source.pids.map(cpuMs).reduce((sum, each) => sum + each, 0);
  try {
    await child.ready;
    const before = cpu();
    const { bytes, ms, failures, firstByteMs } = await child.go();
    const mb = bytes / 1e6;
    return {
      system: source.system, what, instanceMB: frameCount * frameMB, workerCount, failures, mbPerSecond: (1000 * mb) / ms, firstByteMs: spread(firstByteMs)?.median ?? 0,
      serverCpuMsPerMB: source.pids.length === 0 ? undefined : (cpu() - before) / mb,
    };
  } finally {
    child.stop();
  }
}

function table(results: readonly Retrieval[]): string {
  const groups = Map.groupBy(results, ({ what, workerCount, system }) => `${what}\0${workerCount}\0${system}`);
  return markdownTable(['instances of', 'workers', 'system', 'MB/s', 'first byte ms', 'server CPU ms a MB', 'failures'], [...groups.values()].map((group) => {
    const [{ what, workerCount, system }] = group as [Retrieval];
    return [what, `${workerCount}`, system, show(group.map(({ mbPerSecond }) => mbPerSecond)), show(group.map(({ firstByteMs }) => firstByteMs), 1),
      show(group.flatMap(({ serverCpuMsPerMB }) => serverCpuMsPerMB ?? []), 2), `${group.reduce((sum, { failures }) => sum + failures, 0)}`];
  }));
}

const seriesOf = (results: readonly Retrieval[], x: (each: Retrieval) => number, y: (each: Retrieval) => number): readonly Series[] =>
  [...Map.groupBy(results, ({ system }) => system)].map(([name, own]) => ({
    name, points: [...Map.groupBy(own, x)].map(([at, group]) => [at, spread(group.map(y))?.median ?? 0] as const),
  }));
