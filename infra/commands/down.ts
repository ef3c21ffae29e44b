import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { InfraConfig } from '../config.ts';
import { stopLeftovers } from '../native/children.ts';
import { liveStack } from '../native/claim.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { stopRecorded } from '../native/process.ts';

/** Longer than the sum of all grace times. */
const GRACE_MS = 90_000;

export async function down(config: InfraConfig): Promise<number> {
  const paths = pathsOf(config.home);
  const record = liveStack(paths);
  if (record) {
    console.log(`Stopping the PACS (process ${record.pid}) …`);
    await stopRecorded(record, GRACE_MS);
  }
  const leftovers = await stopLeftovers(paths);
  rmSync(paths.stackFile, { force: true });
  console.log(record || leftovers > 0 ? 'Stopped.' : 'Nothing was running.');
  return 0;
}

/** Removes images, index, histories, spool and logs; keeps downloads and secrets. */
export async function reset(config: InfraConfig, args: readonly string[]): Promise<number> {
  const paths = pathsOf(config.home);
  if (!args.includes('--yes')) {
    const question = `This deletes every image, index and workflow history in ${paths.home}.`;
    if (!process.stdin.isTTY) throw new StackError(`${question} Add --yes to do it.`);
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question(`${question} Type yes to go on: `);
    terminal.close();
    if (answer.trim() !== 'yes') return 1;
  }
  await down(config);
  for (const folder of [paths.data, paths.spool, paths.logs, paths.run, paths.tmp]) rmSync(folder, { recursive: true, force: true });
  console.log('Data deleted. `./pacs up` begins with an empty archive.');
  return 0;
}
