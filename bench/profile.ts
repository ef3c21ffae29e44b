import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { printProgress } from '../infra/commands/show.ts';
import type { InfraConfig } from '../infra/config.ts';
import { makeLoad } from './load.ts';
import { apiOf, runPacs } from './run.ts';
import { withStack } from './stackOfBench.ts';
import { cpuOf } from './usage.ts';

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}
const shownFunctions = 30;

/** Runs the load with every process of ours under V8's CPU profiler and shows where their time went. The profiles are kept. */
export async function benchProfile(config: InfraConfig, options: { readonly associationCount: number; readonly instanceCount: number }): Promise<number> {
  const folder = path.join(config.home, 'bench', 'profiles');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const loadFolder = await makeLoad(config.home, 'ct', printProgress);
  process.env['NODE_OPTIONS'] = `${process.env['NODE_OPTIONS'] ?? ''} --cpu-prof --cpu-prof-dir=${folder}`;
  await withStack(config, async (stack) => {
    delete process.env['NODE_OPTIONS'];
    const run = await runPacs(stack, await apiOf(stack), { loadFolder, ...options }, false);
    console.log(`${run.acceptedPerSecond.toFixed(0)} accepted/s, CPU ms an instance: ${JSON.stringify(Object.fromEntries(Object.entries(run.cost).map(([part, cost]) => [part, Number(cpuOf(cost).toFixed(2))])))}`);
  });
  for (const name of readdirSync(folder)) show(path.join(folder, name), options.instanceCount);
  return 0;
}

/** Self time by function, milliseconds an instance. */
function show(file: string, instanceCount: number): void {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const times = new Map<string, number>();
  profile.samples.forEach((id, index) => {
    const { functionName, url, lineNumber } = nodes.get(id)!.callFrame;
    if (functionName === '(idle)') return;
    const where = `${functionName || '(anonymous)'} ${url.replace(/^.*\/(?=[^/]+\/[^/]+$)/, '')}:${lineNumber + 1}`;
    times.set(where, (times.get(where) ?? 0) + profile.timeDeltas[index]! / 1000);
  });
  const total = [...times.values()].reduce((sum, ms) => sum + ms, 0);
  console.log(`\n${path.basename(file)}: ${total.toFixed(0)} ms`);
  for (const [where, ms] of [...times].toSorted((a, b) => b[1] - a[1]).slice(0, shownFunctions)) {
    console.log(`  ${(ms / instanceCount).toFixed(3).padStart(7)} ms ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${where}`);
  }
}
