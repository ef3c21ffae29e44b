import type { Comparison } from '../../test/faults/harness/lists.ts';
import { settingText, type Setting } from '../report.ts';
import { markdownTable } from '../statistics.ts';

export interface SoakResult {
  readonly seed: string;
  /** Until everything was accepted; quiet came so much later. */
  readonly durationMs: number;
  readonly quietMs: number;
  readonly faults: readonly { readonly name: string; readonly planned: number; readonly met: number; readonly longestMs: number | undefined }[];
  readonly comparison: Comparison;
  readonly sent: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly resent: number;
  readonly longestGapMs: number;
  readonly failedStarts: number;
  readonly crashes: readonly string[];
  readonly handlesBefore: Readonly<Record<string, number>>;
  readonly handlesAfter: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

/** A soak as Markdown: what came down, what was sent, what was found. */
export function soakReport(setting: Setting, { minutes, seed, faultCount }: { readonly minutes: number; readonly seed: string; readonly faultCount: number }, result: SoakResult): string {
  const { comparison } = result;
  const met = result.faults.reduce((sum, fault) => sum + fault.met, 0);
  const handles = Object.keys(result.handlesBefore).map((part) => `${part} ${result.handlesBefore[part]} → ${result.handlesAfter[part]}`).join(', ');
  return [
    `${settingText(setting)} Seed ${seed}, ${faultCount} faults planned over ${minutes} minutes.`,
    markdownTable(['figure', 'value'], [
      ['faults that met something', `${met} of ${faultCount}`],
      ['instances acknowledged / sent, resends included', `${result.acknowledged} / ${result.sent}`],
      ['sent again because there was no success / answered with another status', `${result.resent} / ${result.refused}`],
      ['lost', `${comparison.lost.length}`],
      ['doubled', `${comparison.doubled.length}`],
      ['current in the archive, every byte read back and hashed', `${comparison.archivedCount}`],
      ['differences: bytes, index, retrieval, ledger, destination', [comparison.corrupt, comparison.indexDiffers, comparison.retrievalDiffers, comparison.ledgerDiffers, comparison.destinationDiffers].map(({ length }) => length).join(', ')],
      ['copies beside (duplicates and conflicts on purpose, resends that raced)', `${comparison.copiesBeside}`],
      ['taken more than once by the destination', `${comparison.deliveredAgain}`],
      ['orphans that a sweep has to remove', `${comparison.orphans.length}`],
      ['longest time without any progress, s', seconds(result.longestGapMs)],
      ['longest time from success to the commit, s', seconds(comparison.longestToCommitMs)],
      ['all accepted after, quiet so much later, s', `${seconds(result.durationMs)}, ${seconds(result.quietMs)}`],
      ['processes that ended by themselves', result.crashes.length === 0 ? '0' : result.crashes.join(', ')],
      ['starts that another fault spoiled', `${result.failedStarts}`],
      ['open handles before → after', handles],
    ]),
    markdownTable(['fault', 'planned', 'met something', 'longest until progress, s'],
      result.faults.map(({ name, planned, met: count, longestMs }) => [name, `${planned}`, `${count}`, longestMs === undefined ? '–' : seconds(longestMs)])),
    result.problems.length === 0 ? 'Nothing lost, nothing doubled, nothing left behind.' : `**Not in order:**\n\n${result.problems.slice(0, 50).map((problem) => `- ${problem}`).join('\n')}`,
  ].join('\n\n');
}
