import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

/** What Linux counts in (USER_HZ, 100 on every architecture that Node runs on). */
const tickMs = 10;

interface Stat { readonly parent: number; readonly ticks: number; readonly reapedTicks: number }

/** Fields 4, 14 to 17 of proc_pid_stat(5). */
function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
    return { parent: fields[1]!, ticks: fields[11]! + fields[12]!, reapedTicks: fields[13]! + fields[14]! };
  } catch {
    return undefined;
  }
}

/** User and system time of a process so far, with those of its children, running or ended. */
export function cpuMs(pid: number): number {
  const own = statOf(pid);
  if (!own) return 0;
  const children = processes().map(statOf).filter((stat) => stat?.parent === pid);
  return tickMs * (own.ticks + own.reapedTicks + children.reduce((sum, stat) => sum + stat!.ticks, 0));
}

const processes = (): readonly number[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);

/** Sets the highest resident memory back to the present one; without the right to, it stays that since the start. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not root: the figure is then an upper bound.
  }
}

const memoryOf = (pid: number, field: 'VmHWM' | 'VmRSS'): number => {
  try {
    return 1024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
};

/** Highest resident memory. */
export const peakBytes = (pid: number): number => memoryOf(pid, 'VmHWM');
export const residentBytes = (pid: number): number => memoryOf(pid, 'VmRSS');
