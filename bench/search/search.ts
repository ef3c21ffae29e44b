import path from 'node:path';
import { printProgress } from '../../infra/commands/show.ts';
import { makeLoad } from '../load.ts';
import { installedPeers } from '../peers.ts';
import { seriesOf } from '../plot.ts';
import { viewerToken } from '../retrieveSources.ts';
import { apiOf, runPacs, type Run } from '../run.ts';
import type { Bench, Section } from '../section.ts';
import { markdownTable, percentile } from '../statistics.ts';
import { costOf, cpuOf } from '../usage.ts';
import { createAskers, type Asker } from './askers.ts';
import { fillIndex, fillOrthanc, indexBytes } from './fill.ts';
import { dayQuestions, questions, type Question } from './questions.ts';

export interface SearchOptions {
  readonly studyCounts: readonly number[];
  /** Orthanc takes each study by itself: it is given no more than these. */
  readonly orthancStudies: number;
  readonly repetitions: number;
}

interface Answered {
  readonly studyCount: number;
  readonly what: string;
  readonly system: string;
  readonly results: number;
  readonly ms: readonly number[];
  /** Of the processes that answer, a search. */
  readonly cpuMs: number;
}

/** What an archive of that size takes for one more instance. */
interface Growth {
  readonly studyCount: number;
  readonly indexMB: number;
  readonly run: Run;
}

/** Searches an index that grows: QIDO-RS, C-FIND through the gateway, and Orthanc beside them; after each step the cost of ingest. */
export async function measureSearch(bench: Bench, options: SearchOptions): Promise<Section> {
  const orthanc = bench.peers ? await installedPeers(path.join(bench.home, 'tmp'), { sync: false }).Orthanc?.() : undefined;
  const [answered, growth]: [Answered[], Growth[]] = [[], []];
  try {
    let there = 0;
    for (const studyCount of options.studyCounts) {
      await fillIndex(bench.stack, there, studyCount);
      if (orthanc && there < options.orthancStudies) await fillOrthanc(orthanc, there, Math.min(studyCount, options.orthancStudies));
      there = studyCount;
      const askers = await createAskers({ stack: bench.stack, token: await viewerToken(bench.stack), orthanc: studyCount <= options.orthancStudies ? orthanc : undefined });
      try {
        for (const question of [...questions, ...dayQuestions(studyCount)]) {
          for (const asker of askers) answered.push(...await ask(asker, question, studyCount, options.repetitions));
        }
      } finally {
        for (const asker of askers) await asker.close();
      }
      growth.push(await grow(bench, studyCount));
    }
  } finally {
    await orthanc?.stop();
  }
  return { name: 'search', text: textOf(answered, growth), data: { options, answered, growth }, plots: plotsOf(answered, growth), failed: wrong(answered).length > 0 };
}

async function ask(asker: Asker, question: Question, studyCount: number, repetitions: number): Promise<readonly Answered[]> {
  const search = asker.searchOf(question);
  if (!search) return [];
  const ms: number[] = [];
  await search(0);
  const cpu = (): number => asker.pids.reduce((sum, pid) => sum + cpuOf(costOf(pid)), 0);
  const before = cpu();
  let results = 0;
  for (let number = 1; number <= repetitions; number++) {
    const began = performance.now();
    results = await search(Math.floor((number * studyCount) / (repetitions + 1)));
    ms.push(performance.now() - began);
  }
  const { what } = question;
  console.log(`  ${String(studyCount).padStart(6)} studies  ${what.padEnd(36)} ${asker.system.padEnd(22)} ${percentile(ms, 50).toFixed(1)} ms (95 %: ${percentile(ms, 95).toFixed(1)}), ${results} results`);
  return [{ studyCount, what, system: asker.system, results, ms, cpuMs: (cpu() - before) / repetitions }];
}

async function grow({ config, stack, quick }: Bench, studyCount: number): Promise<Growth> {
  const loadFolder = await makeLoad(config.home, 'mr', printProgress);
  const run = await runPacs(stack, await apiOf(stack), { loadFolder, associationCount: 4, instanceCount: quick ? 100 : 400 }, false);
  return { studyCount, indexMB: await indexBytes(stack) / 1e6, run };
}

const expected = new Map([...questions, ...dayQuestions(Infinity)].map(({ what, results }) => [what, results]));
/** Answers with another number of results than the archive has. */
const wrong = (answered: readonly Answered[]): readonly Answered[] => answered.filter(({ what, results }) => (expected.get(what) ?? results) !== results);

const cpuParts = ['gateway', 'worker', 'api', 'temporal', 's3', 'opensearch'] as const;
const foundPerSecond = ({ run }: Growth): number => run.foundPerSecond ?? 0;

const textOf = (answered: readonly Answered[], growth: readonly Growth[]): string => [
  'Studies of one series and one instance each, made by number; each question for another study every time. ms: median, and 95 % of the answers are faster than the second. CPU: of all processes that answer.',
  markdownTable(['studies', 'question', 'system', 'results', 'ms', '95 %', 'CPU ms'], answered.map(({ studyCount, what, system, results, ms, cpuMs }) =>
    [`${studyCount}`, what, system, `${results}`, percentile(ms, 50).toFixed(1), percentile(ms, 95).toFixed(1), cpuMs.toFixed(1)])),
  ...wrong(answered).map(({ what, system, results }) => `**Wrong:** ${system} gave ${results} results for ${what}.`),
  `Ingest into the archive that has so many studies: ${growth[0]?.run.instanceCount} MR instances over 4 associations, CPU ms an instance:\n\n${markdownTable(
    ['studies', ...cpuParts, 'found/s', 'index MB'], growth.map((each) => [`${each.studyCount}`, ...cpuParts.map((part) => (each.run.cost[part] ? cpuOf(each.run.cost[part]) : 0).toFixed(2)),
      foundPerSecond(each).toFixed(0), each.indexMB.toFixed(0)]))}`,
].join('\n\n');

function plotsOf(answered: readonly Answered[], growth: readonly Growth[]): Section['plots'] {
  const largest = Math.max(...answered.map(({ studyCount }) => studyCount));
  const day = answered.filter(({ what }) => what.startsWith('all ') && what.endsWith('series of a day'));
  const median = ({ ms }: Answered): number => percentile(ms, 50);
  const grown = growth.map((each) => ({ ...each, cpuMs: cpuParts.reduce((sum, part) => sum + (each.run.cost[part] ? cpuOf(each.run.cost[part]) : 0), 0) }));
  return {
    'search-series': { title: 'All series of a day', x: 'series found', y: 'ms', logX: true, logY: true,
      series: seriesOf(day, ({ system, studyCount }) => `${system}, ${studyCount / 1000}k studies`, ({ results }) => Math.max(1, results), median) },
    'search-archive': { title: 'Searches by size of the archive', x: 'studies', y: 'ms', logX: true, logY: true,
      series: seriesOf(answered.filter(({ what, studyCount }) => studyCount <= largest && (what.startsWith('first page of all studies') || what.includes('PatientID'))),
        ({ system, what }) => `${system}: ${what.includes('PatientID') ? 'a patient' : 'a page'}`, ({ studyCount }) => studyCount, median) },
    'ingest-archive': { title: 'Ingest by size of the archive', x: 'studies', y: 'CPU ms an instance, all processes', logX: true,
      series: seriesOf(grown, () => 'one more MR instance', ({ studyCount }) => studyCount, ({ cpuMs }) => cpuMs) },
  };
}
