import { OWN_PROCESSES, SERVERS, type Part } from '../infra/native/parts.ts';
import { s3Put } from './ceilingS3.ts';
import type { IngestResults } from './ingest.ts';
import { pipelineHeld, wholePipeline, type Run } from './run.ts';
import { markdownTable, show, spread } from './statistics.ts';
import { cpuOf } from './usage.ts';

/** The ingest benchmark as Markdown: what was accepted and found, against peers; what it cost; what the machine can do. */
export function ingestText({ instanceBytes, runs, ceilings, kinds, lone }: IngestResults): string {
  const loads = spread(runs.map(({ load1 }) => load1));
  const whole = runs.filter(({ system }) => system === wholePipeline);
  const put = spread(ceilings.filter(({ what }) => what === s3Put).map(({ perSecond }) => perSecond))?.median ?? NaN;
  const found = spread(whole.flatMap(({ foundPerSecond }) => foundPerSecond ?? []))?.max ?? NaN;
  return [
    `${runs[0]?.instanceCount} CT instances of ${instanceBytes} bytes a run; median (min–max). Load average during the runs ${loads?.min.toFixed(1)}–${loads?.max.toFixed(1)}.`,
    rates(runs),
    `Whole pipeline until found and released, CPU milliseconds an instance:\n\n${costs(whole)}`,
    `The same by process, ${whole.at(-1)?.associationCount ?? 0} associations:\n\n${byProcess(whole.filter(({ associationCount }) => associationCount === whole.at(-1)?.associationCount), instanceBytes)}`,
    `The machine with the same bytes and nothing else. The most that were found a second are ${(found / put).toFixed(2)} of what S3 takes.\n\n${markdownTable(['what', 'instances/s', 'MB/s', 'CPU ms'],
      [...Map.groupBy(ceilings, ({ what }) => what)].map(([what, group]) => [what, show(group.map(({ perSecond }) => perSecond)),
        show(group.map(({ perSecond }) => (perSecond * instanceBytes) / 1e6)), show(group.map(({ cpuMs }) => cpuMs), 2)]))}`,
    `Other modalities, one run each:\n\n${markdownTable(['kind', 'MB', 'instances', 'system', 'accepted MB/s', 'found MB/s', 'receiver CPU ms a MB'], kinds.map(({ kind, instanceBytes: bytes, run }) => [
      kind, (bytes / 1e6).toFixed(1), `${run.instanceCount}`, run.system, ((run.acceptedPerSecond * bytes) / 1e6).toFixed(0),
      run.foundPerSecond === undefined ? '–' : ((run.foundPerSecond * bytes) / 1e6).toFixed(0), ((1e6 * run.receiverCpuMs) / bytes).toFixed(2)]))}`,
    `One CR image of 8 MB an association: found by QIDO-RS ${show(lone.foundMs)} ms after C-STORE began. Its ${Object.values(lone.activities).reduce((sum, count) => sum + count, 0)} activities `
      + `(${Object.entries(lone.activities).map(([name, count]) => (count === 1 ? name : `${count} × ${name}`)).join(', ')}) and ${lone.events} events are those of its association and its study.`,
  ].join('\n\n');
}

function rates(runs: readonly Run[]): string {
  const rows = [...Map.groupBy(runs, ({ associationCount, system }) => `${String(associationCount).padStart(4)} ${system}`)].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => {
    const [{ system, associationCount }] = group as [Run];
    const held = spread(runs.filter((run) => run.associationCount === associationCount && run.system === pipelineHeld).map((run) => run.acceptedPerSecond))?.median;
    const accepted = spread(group.map((run) => run.acceptedPerSecond))!.median;
    const failed = group.some(({ failures }) => Object.keys(failures).length > 0);
    return [
      `${associationCount}`, system + (failed ? ' (with failures)' : ''), show(group.map((run) => run.acceptedPerSecond)),
      held ? `${(accepted / held).toFixed(2)}` : '–', show(group.flatMap((run) => run.foundPerSecond ?? [])),
      show(group.map((run) => run.latencyMs.median), 1), show(group.map((run) => run.latencyMs.p99), 1),
      show(group.map((run) => run.receiverCpuMs), 2), show(group.map((run) => run.senderCpuMs), 2),
    ];
  });
  return markdownTable(['associations', 'system', 'accepted/s', 'ratio', 'found/s', 'answer ms, median', 'answer ms, 99 %', 'receiver CPU ms', 'sender CPU ms'], rows);
}

const parts: readonly Part[] = [...OWN_PROCESSES, ...SERVERS];
const cpu = (run: Run, of: readonly Part[]): number => of.reduce((sum, part) => sum + (run.cost[part] ? cpuOf(run.cost[part]) : 0), 0);

const costs = (runs: readonly Run[]): string => markdownTable(['associations', ...OWN_PROCESSES, 'ours together', ...SERVERS],
  [...Map.groupBy(runs, ({ associationCount }) => `${associationCount}`)].map(([associations, group]) => [
    associations, ...OWN_PROCESSES.map((part) => show(group.map((run) => cpu(run, [part])), 2)), show(group.map((run) => cpu(run, OWN_PROCESSES)), 2),
    ...SERVERS.map((part) => show(group.map((run) => cpu(run, [part])), 2)),
  ]));

const byProcess = (runs: readonly Run[], instanceBytes: number): string => markdownTable(['process', 'user ms', 'system ms', 'highest memory MB', 'written, of what came in'], parts.map((part) => [
  part, show(runs.map((run) => run.cost[part]?.userMs ?? 0), 2), show(runs.map((run) => run.cost[part]?.systemMs ?? 0), 2),
  show(runs.map((run) => run.peakMB[part] ?? 0)), show(runs.map((run) => (run.cost[part]?.writtenBytes ?? 0) / instanceBytes), 2),
]));
