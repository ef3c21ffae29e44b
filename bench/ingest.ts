import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { printProgress } from '../infra/commands/show.ts';
import type { DemoApi } from '../infra/demo/api.ts';
import type { Ceiling, CeilingOrder } from './ceiling.ts';
import { startChild } from './child.ts';
import { ingestText } from './ingestReport.ts';
import { Load, makeLoad, type LoadKind } from './load.ts';
import { measureLone, type Lone } from './lone.ts';
import { installedPeers, type PeerSystem } from './peers.ts';
import { seriesOf } from './plot.ts';
import { apiOf, pipelineHeld, runPacs, runPeer, wholePipeline, type Order, type Run } from './run.ts';
import type { Bench, Section } from './section.ts';
import { s3Of } from './stackOfBench.ts';

export interface IngestOptions {
  readonly instanceCount: number;
  readonly associationCounts: readonly number[];
  readonly repetitions: number;
}

/** What other modalities send, in the shares of a day: kind, instances, associations. */
const kinds: readonly (readonly [LoadKind, number, number])[] = [['mr', 300, 4], ['cr8', 8, 4], ['cr16', 4, 4], ['ect', 2, 2], ['us', 2, 2]];

/** One run of a load of another kind. */
export interface KindRun {
  readonly kind: LoadKind;
  readonly instanceBytes: number;
  readonly run: Run;
}
export interface IngestResults {
  readonly instanceBytes: number;
  readonly runs: readonly Run[];
  readonly ceilings: readonly Ceiling[];
  readonly kinds: readonly KindRun[];
  readonly lone: Lone;
}

/**
 * Sends the same load to the PACS and to the DICOM archives that are installed, in turns, then other kinds of instances, then
 * associations of one instance each: rates, cost and memory.
 */
export async function measureIngest(bench: Bench, options: IngestOptions): Promise<Section> {
  const { config, stack, home } = bench;
  const loadFolder = await makeLoad(config.home, 'ct', printProgress);
  const api = await apiOf(stack);
  const systems = systemsOf(bench, api);
  const [runs, ceilings]: [Run[], Ceiling[]] = [[], []];
  await systems[0]!({ loadFolder, associationCount: 2, instanceCount: Math.min(100, options.instanceCount) });
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    ceilings.push(...await measureCeilings({ loadFolder, folder: path.join(home, 'tmp', 'ceiling'), instanceCount: options.instanceCount, s3: s3Of(stack) }));
    for (const associationCount of options.associationCounts) {
      for (const run of rotated(systems, repetition)) runs.push(printed(await run({ loadFolder, associationCount, instanceCount: options.instanceCount })));
    }
  }
  // A receiver as its packager made it answers after 40 ms: a tenth of the load is enough.
  for (const start of peersOf(bench, false)) runs.push(printed(await alone(start, { loadFolder, associationCount: 4, instanceCount: Math.ceil(options.instanceCount / 10) })));
  const results = { instanceBytes: new Load(loadFolder).instanceBytes, runs, ceilings, kinds: await measureKinds(bench, api), lone: await measureLone(bench, api, bench.quick ? 3 : 10) };
  return {
    name: 'ingest', text: ingestText(results), data: { options, ...results }, plots: plotsOf(results),
    failed: [...runs, ...results.kinds.map(({ run }) => run)].filter(isOurs).some((run) => Object.keys(run.failures).length > 0 || run.foundPerSecond === undefined),
  };
}

const isOurs = ({ system }: Run): boolean => system === pipelineHeld || system === wholePipeline;

type System = (order: Order) => Promise<Run>;

function systemsOf(bench: Bench, api: DemoApi): readonly System[] {
  const { stack } = bench;
  return [
    (order) => runPacs(stack, api, order, false),
    (order) => runPacs(stack, api, order, true),
    ...peersOf(bench, true).map((start): System => (order) => alone(start, order)),
  ];
}

const peersOf = ({ home, peers }: Bench, noDelay: boolean): readonly (() => Promise<PeerSystem>)[] =>
  (peers ? Object.values(installedPeers(path.join(home, 'tmp'), { noDelay })) : []);

async function alone(start: () => Promise<PeerSystem>, order: Order): Promise<Run> {
  const peer = await start();
  try {
    return await runPeer(peer, order);
  } finally {
    await peer.stop();
  }
}

async function measureKinds(bench: Bench, api: DemoApi): Promise<readonly KindRun[]> {
  const systems: readonly System[] = [(order) => runPacs(bench.stack, api, order, false), ...peersOf(bench, true).map((start): System => (order) => alone(start, order))];
  const found: KindRun[] = [];
  for (const [kind, instanceCount, associationCount] of bench.quick ? kinds.slice(0, 2) : kinds) {
    const loadFolder = await makeLoad(bench.config.home, kind, printProgress);
    const { instanceBytes } = new Load(loadFolder);
    for (const run of systems) found.push({ kind, instanceBytes, run: printed(await run({ loadFolder, associationCount, instanceCount }), kind) });
  }
  return found;
}

/** No system is always the first to find a warm or a busy machine. */
const rotated = <T>(items: readonly T[], by: number): readonly T[] => items.map((_, index) => items[(index + by) % items.length]!);

async function measureCeilings(order: CeilingOrder): Promise<readonly Ceiling[]> {
  const child = startChild<readonly Ceiling[]>('ceiling.ts', order);
  try {
    await child.ready;
    return await child.go();
  } finally {
    child.stop();
    await sleep(500);
  }
}

function printed(run: Run, kind: LoadKind = 'ct'): Run {
  const { system, associationCount, acceptedPerSecond, foundPerSecond, receiverCpuMs, load1 } = run;
  const found = foundPerSecond === undefined ? '' : `, ${foundPerSecond.toFixed(0)} found/s`;
  console.log(`  ${kind}, ${associationCount} associations  ${system.padEnd(30)} ${acceptedPerSecond.toFixed(0)} accepted/s${found}, ${receiverCpuMs.toFixed(2)} ms CPU (load ${load1.toFixed(1)})`);
  return run;
}

function plotsOf({ runs }: IngestResults): Section['plots'] {
  const atFullSpeed = runs.filter(({ system }) => !system.includes('defaults'));
  const found = atFullSpeed.filter(({ foundPerSecond }) => foundPerSecond !== undefined).map((run) => ({ ...run, system: `${run.system}, until found` }));
  return {
    'ingest-associations': { title: 'Ingest by number of associations', x: 'associations', y: 'instances/s', series: [
      ...seriesOf(atFullSpeed, ({ system }) => system, ({ associationCount }) => associationCount, ({ acceptedPerSecond }) => acceptedPerSecond),
      ...seriesOf(found, ({ system }) => system, ({ associationCount }) => associationCount, ({ foundPerSecond }) => foundPerSecond ?? 0),
    ] },
  };
}
