import { readFileSync, writeFileSync } from 'node:fs';

/** What Linux counts in (USER_HZ, 100 on every architecture that Node runs on). */
const tickMs = 10;

/** User and system time of a process so far (proc_pid_stat(5), fields 14 and 15). */
export function cpuMs(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return tickMs * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return 0;
  }
}

/** Sets the highest resident memory back to the present one; without the right to, it stays that since the start. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not root: the figure is then an upper bound.
  }
}

/** Highest resident memory. */
export function peakBytes(pid: number): number {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
