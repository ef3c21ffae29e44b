import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Part } from './parts.ts';

/** How to start one part. */
export type Launch = {
  readonly part: Part;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The user to run as, when this process is root and the program refuses root. */
  readonly user?: { readonly uid: number; readonly gid: number; readonly seesClosedFolders: boolean };
  readonly ports: readonly number[];
  readonly logFile: string;
  readonly runFile: string;
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A started part; its record lies in `.pacs/run/<part>.json` until it ends. */
export type Running = {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly exit: () => Exit | undefined;
  readonly signal: (signal: NodeJS.Signals) => void;
};

export type RunRecord = {
  readonly part: Part;
  readonly pid: number;
  /** Tells this process from a later one that was given the same pid. */
  readonly startMark: string;
  readonly startedAt: string;
  readonly ports: readonly number[];
};

const MAX_LOG_BYTES = 20 * 1024 * 1024;

/**
 * Starts a part in a session of its own (Ctrl-C at the terminal reaches only us, and we stop the parts in order),
 * on a leash: it is killed when this process dies, however it dies.
 */
export function launch(spec: Launch, leash: Leash = bestLeash()): Running {
  if (existsSync(spec.logFile) && statSync(spec.logFile).size > MAX_LOG_BYTES) renameSync(spec.logFile, `${spec.logFile}.1`);
  const log = openSync(spec.logFile, 'a', 0o640);
  const [command, ...args] = leashed(spec, leash);
  const child = spawn(command, args, {
    cwd: spec.cwd,
    env: spec.env,
    detached: true,
    stdio: [leash === 'pipe' ? 'pipe' : 'ignore', log, log],
    ...(leash === 'pipe' && spec.user ? { uid: spec.user.uid, gid: spec.user.gid } : {}),
  });
  closeSync(log);
  const pid = child.pid;
  const exited = exitOf(child, spec);
  if (pid !== undefined) {
    writeFileSync(spec.runFile, JSON.stringify({
      part: spec.part, pid, startMark: startMark(pid) ?? '', startedAt: new Date().toISOString(), ports: spec.ports,
    } satisfies RunRecord));
  }
  let exit: Exit | undefined;
  void exited.then((how) => { exit = how; });
  return { pid: pid ?? -1, exited, exit: () => exit, signal: (signal) => { if (pid !== undefined) signalGroup(pid, signal); } };
}

function exitOf(child: ChildProcess, spec: Launch): Promise<Exit> {
  return new Promise((resolve) => {
    const ended = (how: Exit): void => {
      rmSync(spec.runFile, { force: true });
      resolve(how);
    };
    child.once('error', () => ended({ code: 127, signal: null }));
    child.once('exit', (code, signal) => ended({ code, signal }));
  });
}

/** SIGTERM, and SIGKILL for what is left after `graceMs`. */
export async function stopRunning(running: Running, graceMs: number): Promise<void> {
  if (running.exit()) return;
  running.signal('SIGTERM');
  running.signal('SIGCONT');
  if (await within(running.exited, graceMs)) return;
  running.signal('SIGKILL');
  await running.exited;
}

const within = (event: Promise<unknown>, ms: number): Promise<boolean> => {
  const timer = new AbortController();
  return Promise.race([
    event.then(() => true),
    sleep(ms, false, { signal: timer.signal }).catch(() => false),
  ]).finally(() => timer.abort());
};

/** The part and what it started; `pid` leads its own process group. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, signal);
      return;
    } catch {
      // No such group: the process alone; no such process: it has ended, which is what was wanted.
    }
  }
}

/**
 * How a part learns that we died: `kernel` has Linux kill it (util-linux `setpriv`), `pipe` has a shell beside
 * it wait for the end of a pipe from us.
 */
export type Leash = 'kernel' | 'pipe';

let found: Leash | undefined;
export function bestLeash(): Leash {
  found ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? 'kernel' : 'pipe';
  return found;
}

const WATCHER = 'exec 3<&0; "$@" 3<&- </dev/null & part=$!; { read -r line <&3; kill -KILL $part; } 2>/dev/null & watch=$!; '
  + 'trap "kill -TERM $part" TERM INT; wait $part; code=$?; while kill -0 $part 2>/dev/null; do wait $part; code=$?; done; '
  + 'kill -KILL $watch 2>/dev/null; exit $code';

function leashed(spec: Launch, leash: Leash): [string, ...string[]] {
  const command: [string, ...string[]] = [spec.command, ...spec.args];
  if (leash === 'pipe') return ['sh', '-c', WATCHER, 'sh', ...command];
  if (!spec.user) return ['setpriv', '--pdeathsig', 'KILL', '--', ...command];
  const { uid, gid, seesClosedFolders } = spec.user;
  return [
    'setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups',
    ...(seesClosedFolders ? ['--inh-caps', '+dac_override', '--ambient-caps', '+dac_override', '--securebits', '+no_setuid_fixup'] : []),
    '--pdeathsig', 'KILL', '--', ...command,
  ];
}

/** Something that differs between two processes with the same pid, or undefined when there is no such process. */
export function startMark(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    if (process.platform === 'linux') return undefined;
    const shown = spawnSync('ps', ['-o', 'lstart=', '-p', `${pid}`], { encoding: 'utf8' }).stdout?.trim();
    return shown || undefined;
  }
}

export const isAlive = (record: { readonly pid: number; readonly startMark: string }): boolean =>
  startMark(record.pid) === record.startMark;

export function readRecord<T extends { readonly pid: number; readonly startMark: string }>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

/** Ends a process found by its record alone, as after a crash of whoever started it. */
export async function stopRecorded(record: { readonly pid: number; readonly startMark: string }, graceMs: number): Promise<void> {
  if (!isAlive(record)) return;
  signalGroup(record.pid, 'SIGTERM');
  for (const deadline = Date.now() + graceMs; Date.now() < deadline; await sleep(50)) {
    if (!isAlive(record)) return;
  }
  signalGroup(record.pid, 'SIGKILL');
  for (const deadline = Date.now() + 5000; isAlive(record) && Date.now() < deadline;) await sleep(20);
}

/** The end of a log, for an error message. */
export function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).map((line) => `  | ${line.slice(0, 400)}`).join('\n');
  } catch {
    return '  | (no log)';
  }
}
