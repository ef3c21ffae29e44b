import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Urls } from './environment.ts';
import { StackError, type Part } from './parts.ts';
import type { Paths } from './paths.ts';
import type { Ports } from './ports.ts';
import { isAlive, readRecord, startMark } from './process.ts';

/** `.pacs/run/stack.json`: who holds the stack of this folder, and how far it is. */
export type StackRecord = {
  readonly pid: number;
  readonly startMark: string;
  readonly startedAt: string;
  readonly state: 'starting' | 'up' | 'stopping';
  readonly ports: Ports;
  readonly parts?: readonly Part[];
  readonly urls?: Urls;
};

export type Claim = {
  readonly update: (state: StackRecord['state'], parts: readonly Part[], urls: Urls) => void;
  readonly release: () => void;
};

/** The stack that lives in this folder now, or undefined. A record whose process has died counts for nothing. */
export function liveStack(paths: Paths): StackRecord | undefined {
  const record = readRecord<StackRecord>(paths.stackFile);
  return record && isAlive(record) ? record : undefined;
}

/** @throws StackError when another process holds this folder */
export function claimHome(paths: Paths, ports: Ports): Claim {
  const mine = { pid: process.pid, startMark: startMark(process.pid) ?? '', startedAt: new Date().toISOString(), ports };
  const draft = `${paths.stackFile}.${process.pid}`;
  const write = (record: StackRecord): void => writeFileSync(draft, JSON.stringify(record, undefined, 1));
  for (let attempt = 0; ; attempt++) {
    const other = liveStack(paths);
    if (other || attempt > 3) {
      throw new StackError(`A stack is ${other?.state ?? 'starting'} in ${paths.home} already (process ${other?.pid ?? 'unknown'}). \`./pacs down\` stops it; PACS_HOME names another folder.`);
    }
    rmSync(paths.stackFile, { force: true });
    write({ ...mine, state: 'starting' });
    try {
      linkSync(draft, paths.stackFile); // fails when another was quicker
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  rmSync(draft, { force: true });
  return {
    update: (state, parts, urls) => {
      write({ ...mine, state, parts, urls });
      renameSync(draft, paths.stackFile);
    },
    release: () => {
      if (readRecord<StackRecord>(paths.stackFile)?.pid === process.pid) rmSync(paths.stackFile, { force: true });
    },
  };
}
