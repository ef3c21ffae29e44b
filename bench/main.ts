import { parseArgs } from 'node:util';
import { readConfig } from '../infra/config.ts';
import { StackError } from '../infra/native/parts.ts';
import { benchFlood } from './flood.ts';
import { benchHistory } from './history.ts';
import { benchIngest } from './ingest.ts';
import { benchMemory } from './memory.ts';
import { benchProfile } from './profile.ts';
import { benchRetrieve } from './retrieve.ts';
import { soak } from './soak/soak.ts';

const usage = `Usage: ./pacs bench ingest|retrieve|memory|profile|history|flood|soak

  ingest    CT instances of 526 KB from 1, 2, 4 and 8 associations at once, against the DICOM receivers that are installed
            [--quick] [--instances 800] [--associations 1,2,4,8] [--repeat 3] [--no-peers]
  retrieve  whole studies by WADO-RS, from S3 and from kept packs, with 1, 2, 4 and 8 workers, beside Orthanc, S3 itself and a bare file
            server; then by the size of an instance [--quick] [--workers 1,2,4,8] [--repeat 3]
  memory    the highest memory of every process: 4 and 20 associations, one instance of 1 GB, four of them at once
  profile   where the processes' time goes [--instances 800] [--associations 4]
  history   how long the histories of one large study's flows are [--instances 10000]
  flood     what a tenant that floods the PACS costs another tenant, and one whose destination hangs [--instances 10000]
  soak      studies are sent while processes, links, disk and clock fail; a seed names what fails and what is sent
            [--minutes 30] [--seed 1] [--faults 40 a minute]

Results lie in .pacs/bench/. Other work on the machine shows in the figures: read them as ratios of one run.`;

/** `./pacs bench …` @returns the exit code */
export async function runBench(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true, allowNegative: true,
    options: {
      quick: { type: 'boolean', default: false }, peers: { type: 'boolean', default: true }, repeat: { type: 'string' },
      instances: { type: 'string' }, associations: { type: 'string' }, workers: { type: 'string', default: '1,2,4,8' },
      minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' }, faults: { type: 'string' },
    },
  });
  if (process.platform !== 'linux') throw new StackError('bench reads /proc: it needs Linux.');
  const config = readConfig(process.env);
  const command = ['./pacs bench', ...args].join(' ');
  const instanceCount = whole('--instances', values.instances ?? (['history', 'flood'].includes(positionals[0] ?? '') ? '10000' : '800'));
  const associationCounts = (given: string): readonly number[] => given.split(',').map((text) => whole('--associations', text));
  if (positionals[0] === 'ingest') {
    const repetitions = values.quick ? 1 : whole('--repeat', values.repeat ?? '3');
    return benchIngest(config, { instanceCount, associationCounts: associationCounts(values.associations ?? '1,2,4,8'), repetitions, peers: values.peers }, command);
  }
  if (positionals[0] === 'retrieve') {
    const workerCounts = values.workers.split(',').map((text) => whole('--workers', text));
    return benchRetrieve(config, { workerCounts, studyCount: 8, instancesPerStudy: values.quick ? 25 : 100, repetitions: values.quick ? 1 : whole('--repeat', values.repeat ?? '3'), sizes: !values.quick }, command);
  }
  if (positionals[0] === 'memory') return benchMemory(config, command);
  if (positionals[0] === 'profile') return benchProfile(config, { associationCount: associationCounts(values.associations ?? '4')[0]!, instanceCount });
  if (positionals[0] === 'history') return benchHistory(config, instanceCount, command);
  if (positionals[0] === 'flood') return benchFlood(config, instanceCount, command);
  if (positionals[0] === 'soak') {
    const minutes = whole('--minutes', values.minutes);
    return soak(config, { minutes, seed: values.seed, faultCount: whole('--faults', values.faults ?? `${40 * minutes}`) }, command);
  }
  console.log(usage);
  return 64;
}

function whole(name: string, text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new StackError(`${name} takes whole numbers from 1, not "${text}".`);
}
