import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StackError } from './parts.ts';

/**
 * SeaweedFS syncs a volume's bytes (.dat), but not the volume's index (.idx).
 * After a power cut the index may lack its last entries, and their objects could not be read although their bytes
 * are there: 7 of 40 in a test that cut one entry from each index. `weed fix` rebuilds every index from the bytes,
 * which brought all 40 back. What a killed process wrote is still in the kernel's cache, so this is done only
 * once after each start of the machine.
 *
 * @returns whether the indexes were rebuilt
 */
export function repairAfterReboot(weed: string, dataFolder: string, bootId: string | undefined = currentBootId()): boolean {
  const file = path.join(dataFolder, 'boot-id');
  mkdirSync(dataFolder, { recursive: true });
  const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  const needed = before !== undefined && before !== (bootId ?? '');
  if (needed) {
    const { status, stderr, error } = spawnSync(weed, ['-logtostderr', 'fix', dataFolder], { encoding: 'utf8' });
    if (status !== 0) throw new StackError(`The machine was started anew, and SeaweedFS could not rebuild its indexes in ${dataFolder}: ${error?.message ?? stderr.slice(-500)}`);
  }
  writeFileSync(file, bootId ?? '');
  return needed;
}

function currentBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}
