import { printProgress } from '../infra/commands/show.ts';
import type { InfraConfig } from '../infra/config.ts';
import { OWN_PROCESSES, SERVERS } from '../infra/native/parts.ts';
import { makeLoad } from './load.ts';
import { save, settingOf, settingText } from './report.ts';
import { apiOf, runPacs, type Run } from './run.ts';
import { withStack } from './stackOfBench.ts';
import { markdownTable } from './statistics.ts';

/** Frames of 512 KB that make 1 GB. */
const gigabyte = 'ct-2048';
const cases = [
  { what: '800 CT, 4 associations', kind: 'ct', associationCount: 4, instanceCount: 800 },
  { what: '800 CT, 20 associations', kind: 'ct', associationCount: 20, instanceCount: 800 },
  { what: 'one instance of 1 GB', kind: gigabyte, associationCount: 1, instanceCount: 1 },
  { what: 'four instances of 1 GB at once', kind: gigabyte, associationCount: 4, instanceCount: 4 },
] as const;
const gatewayLimitMB = 250;

/** The highest resident memory of each process under loads that differ a thousandfold. @returns 0 when the gateway stayed below 250 MB */
export async function benchMemory(config: InfraConfig, command: string): Promise<number> {
  const setting = settingOf(command);
  const results: { readonly what: string; readonly run: Run }[] = [];
  await withStack(config, async (stack) => {
    const api = await apiOf(stack);
    for (const { what, kind, ...counts } of cases) {
      const loadFolder = await makeLoad(config.home, kind, printProgress);
      const run = await runPacs(stack, api, { loadFolder, ...counts }, false);
      console.log(`  ${what}: gateway ${run.peakMB['gateway']?.toFixed(0)} MB, worker ${run.peakMB['worker']?.toFixed(0)} MB`);
      results.push({ what, run });
    }
  });
  const parts = [...OWN_PROCESSES, ...SERVERS];
  const text = `${settingText(setting)} Highest resident memory, MB:\n\n${markdownTable(['load', ...parts, 'accepted', 'found'], results.map(({ what, run }) => [
    what, ...parts.map((part) => (run.peakMB[part] ?? 0).toFixed(0)),
    Object.keys(run.failures).length === 0 ? 'all' : JSON.stringify(run.failures), run.foundPerSecond === undefined ? 'not all' : 'all',
  ]))}`;
  console.log(`\n${text}\n\n${save(config.home, 'memory', text, { setting, results })}`);
  return results.every(({ run }) => (run.peakMB['gateway'] ?? 0) < gatewayLimitMB) ? 0 : 1;
}
