import path from 'node:path';
import { parseArgs } from 'node:util';
import { readConfig, type InfraConfig } from '../infra/config.ts';
import { StackError } from '../infra/native/parts.ts';
import { benchFlood } from './flood.ts';
import { measureFrames } from './frames.ts';
import { benchFuzz } from './fuzz.ts';
import { benchHistory } from './history.ts';
import { measureIngest } from './ingest.ts';
import { benchMemory } from './memory.ts';
import { benchProfile } from './profile.ts';
import { settingOf, settingText } from './report.ts';
import { measureRetrieve } from './retrieve.ts';
import { measureSearch } from './search/search.ts';
import { keep, type Bench, type Section } from './section.ts';
import { soak } from './soak/soak.ts';
import { withStack } from './stackOfBench.ts';

const usage = `Usage: ./pacs bench all|ingest|retrieve|frames|search|memory|profile|history|flood|fuzz|soak

  all       ingest, retrieve, frames and search, one after the other, on one stack
  ingest    CT from 1, 2, 4 and 8 associations at once, other modalities, and single images; beside Orthanc and DCMTK's archive
            [--instances 400] [--associations 1,2,4,8] [--repeat 3]
  retrieve  whole studies by WADO-RS, from S3 and from kept packs, with 1, 2, 4 and 8 workers, beside Orthanc, S3 itself and a bare file
            server; by the size of an instance; by C-GET and C-MOVE [--workers 1,2,4,8] [--repeat 3]
  frames    first and last frame of an object of 105 MB, a rendered slice, metadata of series of 100 and 1,000; beside Orthanc
  search    QIDO-RS and C-FIND with 1, 10 and 100 thousand studies in the index, all series of a given day by their number, and what
            ingest costs in a growing archive; beside Orthanc [--studies 1000,10000,100000]
            all of the above: [--quick] (a look, two minutes together) [--no-peers]

  memory    the highest memory of every process: 4 and 20 associations, one instance of 1 GB, four of them at once
  profile   where the processes' time goes [--instances 800] [--associations 4]
  history   how long the histories of one large study's flows are [--instances 10000]
  flood     what a tenant that floods the PACS costs another tenant, and one whose destination hangs [--instances 10000]
  fuzz      the properties of whatever bytes come (test/unit/fuzz) for longer; needs no stack [--minutes 30] [--seed 1]
  soak      studies are sent while processes, links, disk and clock fail; a seed names what fails and what is sent
            [--minutes 30] [--seed 1] [--faults 40 a minute]

The first five print a table and write it with JSON and plots to bench/results/ and bench/results.md; with --quick, and the others, to
.pacs/bench/. Other work on the machine shows in the figures: read them as ratios of one run.`;

const flags = {
  quick: { type: 'boolean', default: false }, peers: { type: 'boolean', default: true }, repeat: { type: 'string' },
  instances: { type: 'string' }, associations: { type: 'string' }, workers: { type: 'string' }, studies: { type: 'string' },
  minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' }, faults: { type: 'string' },
} as const;

type Values = ReturnType<typeof parse>['values'];
const parse = (args: readonly string[]) => parseArgs({ args: [...args], allowPositionals: true, allowNegative: true, options: flags });

/** `./pacs bench …` @returns the exit code */
export async function runBench(args: readonly string[]): Promise<number> {
  const { values, positionals: [name = ''] } = parse(args);
  if (process.platform !== 'linux') throw new StackError('bench reads /proc: it needs Linux.');
  const config = readConfig(process.env);
  const command = ['./pacs bench', ...args].join(' ');
  if (name === 'all') return measure(config, Object.keys(sections), values, command);
  if (name in sections) return measure(config, [name], values, command);
  if (name === 'memory') return benchMemory(config, command);
  if (name === 'profile') return benchProfile(config, { associationCount: list('--associations', values.associations ?? '4')[0]!, instanceCount: whole('--instances', values.instances ?? '800') });
  if (name === 'history') return benchHistory(config, whole('--instances', values.instances ?? '10000'), command);
  if (name === 'flood') return benchFlood(config, whole('--instances', values.instances ?? '10000'), command);
  if (name === 'fuzz') return benchFuzz({ minutes: whole('--minutes', values.minutes), seed: whole('--seed', values.seed) });
  if (name === 'soak') {
    const minutes = whole('--minutes', values.minutes);
    return soak(config, { minutes, seed: values.seed, faultCount: whole('--faults', values.faults ?? `${40 * minutes}`) }, command);
  }
  console.log(usage);
  return 64;
}

const sections: Readonly<Record<string, (bench: Bench, values: Values) => Promise<Section>>> = {
  ingest: (bench, values) => measureIngest(bench, {
    instanceCount: whole('--instances', values.instances ?? (bench.quick ? '200' : '400')), repetitions: repetitions(values),
    associationCounts: list('--associations', values.associations ?? (bench.quick ? '1,4' : '1,2,4,8')),
  }),
  retrieve: (bench, values) => measureRetrieve(bench, {
    workerCounts: list('--workers', values.workers ?? (bench.quick ? '1,4' : '1,2,4,8')), studyCount: bench.quick ? 8 : 16, instancesPerStudy: bench.quick ? 25 : 100, repetitions: repetitions(values),
  }),
  frames: (bench) => measureFrames(bench, { processes: bench.quick ? 1 : 3, repetitions: bench.quick ? 5 : 20 }),
  search: (bench, values) => measureSearch(bench, {
    studyCounts: list('--studies', values.studies ?? (bench.quick ? '1000,10000' : '1000,10000,100000')), orthancStudies: bench.quick ? 1_000 : 10_000, repetitions: bench.quick ? 10 : 30,
  }),
};

const repetitions = ({ quick, repeat }: Values): number => whole('--repeat', repeat ?? (quick ? '1' : '3'));

/** One stack for all: what was measured before lies in its archive. */
async function measure(config: InfraConfig, names: readonly string[], values: Values, command: string): Promise<number> {
  const intro = settingText(settingOf(command));
  let failed = false;
  await withStack(config, async (stack, home) => {
    for (const name of names) {
      console.log(`\n${name}`);
      const section = await sections[name]!({ config, stack, home, quick: values.quick, peers: values.peers }, values);
      const files = keep(section, { quickFolder: values.quick ? path.join(config.home, 'bench') : undefined }, intro);
      console.log(`\n${section.text}\n\n${files.join('\n')}`);
      failed ||= section.failed;
    }
  });
  return failed ? 1 : 0;
}

const list = (name: string, given: string): readonly number[] => given.split(',').map((text) => whole(name, text));

function whole(name: string, text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new StackError(`${name} takes whole numbers from 1, not "${text}".`);
}
