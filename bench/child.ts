import { fork } from 'node:child_process';
import path from 'node:path';

/** A script of this folder in a process of its own, which ends with its report. */
export interface Child<Report> {
  readonly pid: number;
  /** Resolves when it has prepared everything. */
  readonly ready: Promise<void>;
  /** Starts the work. */
  go(): Promise<Report>;
  stop(): void;
}

/** @param order handed to the script as JSON; it sends `ready`, waits for a message, then sends its report */
export function startChild<Report>(script: string, order: unknown): Child<Report> {
  const child = fork(path.join(import.meta.dirname, script), [JSON.stringify(order)], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ready = Promise.withResolvers<void>();
  const report = Promise.withResolvers<Report>();
  const failed = (error: Error): void => {
    ready.reject(error);
    report.reject(error);
  };
  ready.promise.catch(() => undefined);
  report.promise.catch(() => undefined);
  child.on('message', (message) => (message === 'ready' ? ready.resolve() : report.resolve(message as Report)));
  child.once('error', failed);
  child.once('exit', (code, signal) => failed(new Error(`${script} ended before its report (${signal ?? `code ${code}`})`)));
  return {
    pid: child.pid ?? -1,
    ready: ready.promise,
    go: () => {
      child.send('go');
      return report.promise;
    },
    stop: () => void child.kill('SIGKILL'),
  };
}
