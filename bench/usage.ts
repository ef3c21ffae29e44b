import { readFileSync, writeFileSync } from 'node:fs';

/** What a process has cost since it started. */
export interface Cost {
  readonly userMs: number;
  readonly systemMs: number;
  /** Bytes that it made the kernel write to a disk; another's are 0 unless we are root. */
  readonly writtenBytes: number;
}

/** What Linux counts in (USER_HZ, 100 on every architecture that Node runs on). */
const tickMs = 10;

/** User and system time of a process so far, and of its children that are gone (proc_pid_stat(5), fields 14 to 17). */
export function costOf(pid: number): Cost {
  const text = read(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
  const ms = (...at: readonly number[]): number => tickMs * at.reduce((sum, index) => sum + (fields[index] || 0), 0);
  return { userMs: ms(11, 13), systemMs: ms(12, 14), writtenBytes: Number(/^write_bytes: (\d+)/m.exec(read(`/proc/${pid}/io`))?.[1] ?? 0) };
}

/** @param count among how many it is shared */
export const costBetween = (before: Cost, after: Cost, count: number): Cost => ({
  userMs: (after.userMs - before.userMs) / count, systemMs: (after.systemMs - before.systemMs) / count, writtenBytes: (after.writtenBytes - before.writtenBytes) / count,
});

export const cpuOf = ({ userMs, systemMs }: Cost): number => userMs + systemMs;
export const cpuMs = (pid: number): number => cpuOf(costOf(pid));

/** Sets the highest resident memory back to the present one; without the right to, it stays that since the start. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not root: the figure is then an upper bound.
  }
}

/** Highest resident memory. */
export const peakBytes = (pid: number): number => 1024 * Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
