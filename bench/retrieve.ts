import path from 'node:path';
import { startChild } from './child.ts';
import type { LoadKind } from './load.ts';
import { dimseText, measureDimse, type DimseRetrieval } from './dimseRetrieve.ts';
import { installedPeers } from './peers.ts';
import { seriesOf } from './plot.ts';
import { loadSources, startApi, startFileServer, type Size, type Source, type Systems } from './retrieveSources.ts';
import type { RetrieverReport } from './retriever.ts';
import type { Bench, Section } from './section.ts';
import { markdownTable, show, spread } from './statistics.ts';
import { cpuMs } from './usage.ts';

export interface RetrieveOptions {
  readonly workerCounts: readonly number[];
  readonly studyCount: number;
  readonly instancesPerStudy: number;
  readonly repetitions: number;
}

/** One reading of a whole load. */
interface Retrieval {
  readonly system: string;
  readonly kind: LoadKind;
  readonly instanceMB: number;
  readonly workerCount: number;
  readonly mbPerSecond: number;
  readonly firstByteMs: number;
  /** From asking to the last byte, of the median study (of Orthanc: instance). */
  readonly wholeMs: number;
  readonly serverCpuMsPerMB: number | undefined;
  readonly failures: number;
}

/** Instances of other sizes, with one worker. */
const sizes: readonly Size[] = [
  { kind: 'mr', studies: 4, instances: 100 }, { kind: 'cr8', studies: 2, instances: 8 }, { kind: 'cr16', studies: 2, instances: 4 }, { kind: 'ect', studies: 2, instances: 1 },
];

/**
 * Reads whole studies by WADO-RS, from S3 and from kept packs, with several readers and API processes, beside Orthanc, a raw S3 read of
 * the same packs and a bare file server, in turns; then by the size of an instance, and by C-GET and C-MOVE.
 */
export async function measureRetrieve(bench: Bench, options: RetrieveOptions): Promise<Section> {
  const byWorkers: Retrieval[] = [];
  const bySize: Retrieval[] = [];
  let dimse: readonly DimseRetrieval[] = [];
  await withSystems(bench, async (systems) => {
    const main: Size = { kind: 'ct', studies: options.studyCount, instances: options.instancesPerStudy };
    const loaded = await loadSources(systems, main);
    await measureAll(byWorkers, main, loaded.sources, options.workerCounts, options.repetitions);
    dimse = await measureDimse(systems, loaded.studies.slice(0, bench.quick ? 2 : 5));
    for (const size of bench.quick ? [] : sizes) await measureAll(bySize, size, (await loadSources(systems, size)).sources, [1], options.repetitions);
  });
  const mbPerSecond = (each: Retrieval): number => each.mbPerSecond;
  const [bySystem, byWorkerCount] = [(each: Retrieval) => each.system, (each: Retrieval) => each.workerCount];
  return {
    name: 'retrieve',
    text: [
      `${options.studyCount} studies of ${options.instancesPerStudy} CT instances, each read once a round by so many workers; median (min–max).`, table(byWorkers), dimseText(dimse),
      ...(bySize.length > 0 ? ['One worker, by the size of an instance:', table(bySize)] : []),
    ].join('\n\n'),
    data: { options, byWorkers, bySize, dimse },
    plots: {
      'retrieve-workers': { title: 'Whole studies by parallel workers', x: 'workers', y: 'MB/s', series: seriesOf(byWorkers, bySystem, byWorkerCount, mbPerSecond) },
      ...(bySize.length > 0 && { 'retrieve-size': { title: 'Time to retrieve an instance, by its size; one worker', x: 'MB an instance', y: 'ms an instance', logX: true, logY: true,
        series: seriesOf([...bySize, ...byWorkers.filter(({ workerCount }) => workerCount === 1)], bySystem, (each) => each.instanceMB, (each) => (1000 * each.instanceMB) / each.mbPerSecond) } }),
    },
    failed: [...byWorkers, ...bySize].some(({ failures }) => failures > 0) || dimse.some(({ failed }) => failed),
  };
}

/** Starts what is read from beside the stack, and ends it. */
async function withSystems(bench: Bench, work: (systems: Systems) => Promise<void>): Promise<void> {
  const { config, stack, home } = bench;
  const kept = path.join(home, 'kept');
  const orthanc = bench.peers ? await installedPeers(path.join(home, 'tmp')).Orthanc?.() : undefined;
  const apis = [await startApi(stack, ''), await startApi(stack, kept), await startApi(stack, kept)] as const;
  const files = await startFileServer(kept);
  try {
    await work({ config, stack, orthanc, withoutCache: apis[0], withCache: [apis[1], apis[2]], files });
  } finally {
    files.child.stop();
    await Promise.all(apis.map((api) => api.stop()));
    await orthanc?.stop();
  }
}

/** The first round warms every process and every cache: it does not count. */
async function measureAll(results: Retrieval[], size: Size, sources: readonly Source[], workerCounts: readonly number[], repetitions: number): Promise<void> {
  for (const source of sources) await measure(size, source, Math.max(...workerCounts));
  for (let round = 1; round <= repetitions; round++) {
    for (const workerCount of workerCounts) {
      for (const source of sources) {
        const result = await measure(size, source, workerCount);
        results.push(result);
        console.log(`  ${size.kind}, ${workerCount} workers  ${source.system.padEnd(30)} ${result.mbPerSecond.toFixed(0)} MB/s`);
      }
    }
  }
}

async function measure({ kind, studies, instances }: Size, source: Source, workerCount: number): Promise<Retrieval> {
  const child = startChild<RetrieverReport>('retriever.ts', { ...source.order, workerCount });
  const cpu = (): number => source.pids.map(cpuMs).reduce((sum, each) => sum + each, 0);
  try {
    await child.ready;
    const before = cpu();
    const { bytes, ms, failures, firstByteMs, wholeMs } = await child.go();
    const mb = bytes / 1e6;
    return {
      system: source.system, kind, instanceMB: mb / (studies * instances), workerCount, failures, mbPerSecond: (1000 * mb) / ms,
      firstByteMs: spread(firstByteMs)?.median ?? 0, wholeMs: spread(wholeMs)?.median ?? 0, serverCpuMsPerMB: source.pids.length === 0 ? undefined : (cpu() - before) / mb,
    };
  } finally {
    child.stop();
  }
}

function table(results: readonly Retrieval[]): string {
  const groups = Map.groupBy(results, ({ kind, workerCount, system }) => `${kind}\0${workerCount}\0${system}`);
  return markdownTable(['instances', 'MB', 'workers', 'system', 'MB/s', 'first byte ms', 'server CPU ms a MB', 'failures'], [...groups.values()].map((group) => {
    const [{ kind, instanceMB, workerCount, system }] = group as [Retrieval];
    return [kind, instanceMB.toFixed(1), `${workerCount}`, system, show(group.map((each) => each.mbPerSecond)), show(group.map(({ firstByteMs }) => firstByteMs), 1),
      show(group.flatMap(({ serverCpuMsPerMB }) => serverCpuMsPerMB ?? []), 2), `${group.reduce((sum, { failures }) => sum + failures, 0)}`];
  }));
}
