import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { OWN_PROCESSES, SERVERS } from '../infra/native/parts.ts';
import { CHECKOUT } from '../infra/native/paths.ts';
import type { Ceiling } from './ceiling.ts';
import { pipelineHeld, wholePipeline, type Run } from './run.ts';
import { markdownTable, show, spread } from './statistics.ts';

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

/** Keeps a plot beside what was measured. */
export function savePlot(home: string, name: string, svg: string): void {
  const folder = path.join(home, 'bench');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${name}.svg`), `${svg}\n`);
}

/** The ingest benchmark as Markdown: what was accepted and found, against peers; what it cost; what the machine can do. */
export function ingestReport(setting: Setting, instanceBytes: number, runs: readonly Run[], ceilings: readonly Ceiling[]): string {
  const loads = spread(runs.map(({ load1 }) => load1));
  return [
    `${settingText(setting)} ${runs[0]?.instanceCount} instances of ${instanceBytes} bytes a run; median (min–max). `
      + `Load average during the runs ${loads?.min.toFixed(1)}–${loads?.max.toFixed(1)}.`,
    rates(runs), cost(runs.filter(({ system }) => system === wholePipeline)), ceilingTable(ceilings),
  ].join('\n\n');
}

function rates(runs: readonly Run[]): string {
  const groups = grouped(runs, ({ associationCount, system }) => `${associationCount}\0${system}`);
  const rows = [...groups.values()].map((group) => {
    const [{ system, associationCount }] = group as [Run];
    const held = spread(runs.filter((run) => run.associationCount === associationCount && run.system === pipelineHeld).map((run) => run.acceptedPerSecond))?.median;
    const accepted = spread(group.map((run) => run.acceptedPerSecond))!.median;
    const failed = group.some(({ failures }) => Object.keys(failures).length > 0);
    return [
      `${associationCount}`, system + (failed ? ' (with failures)' : ''), show(group.map((run) => run.acceptedPerSecond)),
      held ? `${(accepted / held).toFixed(2)}` : '–', show(group.flatMap((run) => run.foundPerSecond ?? [])),
      show(group.map((run) => run.latencyMs.median), 1), show(group.map((run) => run.latencyMs.p99), 1),
      show(group.flatMap((run) => run.receiverCpuMs ?? []), 2), show(group.map((run) => run.senderCpuMs), 2),
    ];
  });
  return markdownTable(['associations', 'system', 'accepted/s', 'ratio', 'found/s', 'answer ms, median', 'answer ms, 99 %', 'receiver CPU ms', 'sender CPU ms'],
    rows.toSorted((a, b) => Number(a[0]) - Number(b[0])));
}

function cost(runs: readonly Run[]): string {
  const rows = [...grouped(runs, ({ associationCount }) => `${associationCount}`)].map(([associations, group]) => [
    associations,
    ...[...OWN_PROCESSES].map((part) => show(group.map((run) => run.cpuMs[part] ?? 0), 2)),
    show(group.map((run) => OWN_PROCESSES.reduce((sum, part) => sum + (run.cpuMs[part] ?? 0), 0)), 2),
    ...[...SERVERS].map((part) => show(group.map((run) => run.cpuMs[part] ?? 0), 2)),
    ...[...OWN_PROCESSES].map((part) => show(group.map((run) => run.peakMB[part] ?? 0))),
  ]);
  return `Whole pipeline, CPU milliseconds an instance until found and released, and highest resident memory:\n\n${markdownTable(
    ['associations', ...OWN_PROCESSES, 'ours together', ...SERVERS, ...OWN_PROCESSES.map((part) => `${part} MB`)], rows)}`;
}

const ceilingTable = (ceilings: readonly Ceiling[]): string => `The machine with the same bytes and nothing else:\n\n${markdownTable(
  ['what', 'instances/s', 'CPU ms'],
  [...grouped(ceilings, ({ what }) => what)].map(([what, group]) => [what, show(group.map(({ perSecond }) => perSecond)), show(group.map(({ cpuMs }) => cpuMs), 2)]))}`;

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(items, keyOf);
}
