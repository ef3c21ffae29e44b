import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { InfraConfig } from '../infra/config.ts';
import { measureFlood, type FloodCost } from '../test/support/flood.ts';
import { startPacs } from '../test/support/stack.ts';
import { save, settingOf, settingText } from './report.ts';
import { markdownTable } from './statistics.ts';

const instancesPerStudy = 5;
/** What a flood may add to the time until a neighbour's image is found, however long the flood (docs/operations.md). */
const boundSeconds = 60;

/**
 * Floods the PACS from one tenant, alone and with a destination that hangs, and tells how long an image of another tenant takes meanwhile.
 *
 * @returns 0 when none took longer than the bound
 */
export async function benchFlood(config: InfraConfig, instanceCount: number, command: string): Promise<number> {
  const setting = settingOf(command);
  const folder = path.join(config.home, 'tmp');
  mkdirSync(folder, { recursive: true });
  const cases: (readonly [name: string, cost: FloodCost])[] = [];
  for (const toHangingDestination of [false, true]) {
    const pacs = await startPacs({ folder });
    try {
      console.log(`Floods ${toHangingDestination ? 'a tenant whose destination hangs' : 'one tenant'} with ${instanceCount} instances: this takes minutes.`);
      cases.push([toHangingDestination ? 'a flood to a destination that hangs' : 'a flood', await measureFlood(pacs, { studyCount: Math.ceil(instanceCount / instancesPerStudy), instancesPerStudy, toHangingDestination })]);
    } finally {
      await pacs.stop();
    }
  }
  const text = [
    `${settingText(setting)} ${instanceCount} instances of one tenant in studies of ${instancesPerStudy}, over four associations at once; meanwhile one image of another tenant after the other by STOW-RS, seconds until QIDO-RS finds it.`,
    markdownTable(['beside', 'flood s', 'images', 'alone', 'median', '99 %', 'worst'], cases.map(([name, cost]) => [name, cost.floodSeconds.toFixed(0), `${cost.besideSeconds.length}`,
      ...[quantile(cost.idleSeconds, 0.5), quantile(cost.besideSeconds, 0.5), quantile(cost.besideSeconds, 0.99), Math.max(...cost.besideSeconds)].map((seconds) => seconds.toFixed(1))])),
  ].join('\n\n');
  console.log(`\n${text}\n\n${save(config.home, 'flood', text, { setting, instanceCount, cases })}`);
  return cases.every(([, cost]) => Math.max(...cost.besideSeconds) < quantile(cost.idleSeconds, 0.5) + boundSeconds) ? 0 : 1;
}

const quantile = (values: readonly number[], share: number): number => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN;
