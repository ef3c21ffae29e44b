import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { CHECKOUT } from '../infra/native/paths.ts';

/** What was measured where, so that a figure can be judged later. */
export interface Setting {
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly machine: string;
}

export function settingOf(command: string): Setting {
  const git = (...args: readonly string[]): string => execFileSync('git', [...args], { cwd: CHECKOUT, encoding: 'utf8' }).trim();
  let commit = 'unknown';
  try {
    commit = git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes');
  } catch {
    // Not a git checkout: the figures still stand.
  }
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 16), commit, command,
    machine: `${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, Node ${process.versions.node}`,
  };
}

export const settingText = ({ date, commit, command, machine }: Setting): string => `\`${command}\`, ${date} UTC, commit ${commit}, ${machine}.`;

/** Writes what was measured below `.pacs/bench/`. @returns the Markdown file */
export function save(home: string, name: string, text: string, data: unknown): string {
  const folder = path.join(home, 'bench');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${name}.json`), JSON.stringify(data, undefined, 1));
  const file = path.join(folder, `${name}.md`);
  writeFileSync(file, `${text}\n`);
  return file;
}
