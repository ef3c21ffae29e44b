import assert from 'node:assert/strict';
import { plotSvg, seriesOf } from '../../../bench/plot.ts';
import { fullDays, madeDocuments, madeStudy, studiesUntil } from '../../../bench/search/madeStudies.ts';
import { dayQuestions } from '../../../bench/search/questions.ts';
import { withSection } from '../../../bench/section.ts';
import { markdownTable, percentile, show } from '../../../bench/statistics.ts';
import { costBetween, costOf, cpuOf } from '../../../bench/usage.ts';
import { searchTerms } from '../../../stores/opensearch/searchTerms.ts';

describe('what the benchmarks say', () => {
  it('replaces the text between the marks of a section and leaves the rest', () => {
    const before = '# M\n\n## Ingest\n\n<!-- ingest -->\nold\n<!-- /ingest -->\n\nafter\n';

    const after = withSection(before, 'ingest', 'new\n');

    assert.equal(after, '# M\n\n## Ingest\n\n<!-- ingest -->\nnew\n<!-- /ingest -->\n\nafter\n');
    assert.equal(withSection(after, 'ingest', 'new'), after);
  });

  it('adds a section that the document does not have yet', () => {
    assert.equal(withSection('# M\n', 'search', 'text'), '# M\n\n## Search\n\n<!-- search -->\ntext\n<!-- /search -->\n');
  });

  it('gives medians with their range, and percentiles that were measured', () => {
    assert.equal(show([3, 1, 2], 1), '2.0 (1.0–3.0)');
    assert.equal(show([]), '–');
    assert.equal(percentile([5, 1, 4, 2, 3], 50), 3);
    assert.equal(percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 95), 10);
    assert.equal(markdownTable(['a'], [['12']]), '| a  |\n| -- |\n| 12 |');
  });

  it('draws a line for each system through the medians, on both kinds of axes', () => {
    const measured = [{ system: 'A & B', at: 1, ms: 10 }, { system: 'A & B', at: 1, ms: 30 }, { system: 'A & B', at: 1, ms: 20 }, { system: 'A & B', at: 1000, ms: 2000 }];
    const series = seriesOf(measured, ({ system }) => system, ({ at }) => at, ({ ms }) => ms);

    assert.deepEqual(series, [{ name: 'A & B', points: [[1, 20], [1000, 2000]] }]);
    for (const axes of [{}, { logX: true, logY: true }]) {
      const svg = plotSvg({ title: 'T', x: 'x', y: 'y', series, ...axes });
      assert.match(svg, /A &amp; B/);
      assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    }
  });

  it('reads what a process has cost, and never less than before', () => {
    const before = costOf(process.pid);
    for (const until = Date.now() + 60; Date.now() < until;);
    const cost = costBetween(before, costOf(process.pid), 1);

    assert.ok(cpuOf(cost) >= 20 && cpuOf(cost) < 5000, `${cpuOf(cost)} ms`);
    assert.equal(cpuOf(costOf(2 ** 30)), 0);
  });
});

describe('made studies', () => {
  const archive = Array.from({ length: 1200 }, (_, number) => madeStudy(number));

  it('have UIDs of their own, and the same ones every time', () => {
    assert.equal(new Set(archive.map(({ studyInstanceUID }) => studyInstanceUID)).size, archive.length);
    assert.deepEqual(madeStudy(77), madeStudy(77));
  });

  it('fill each full day with its number of series, which the questions expect', () => {
    for (const { date, seriesCount } of fullDays.filter((day) => studiesUntil(day.seriesCount) <= archive.length)) {
      assert.equal(archive.filter(({ studyDate }) => studyDate === date).length, seriesCount);
    }
    assert.deepEqual(dayQuestions(archive.length).map(({ results }) => results), [1, 10, 100, 1000]);
    assert.deepEqual(dayQuestions(1000).map(({ results }) => results), [1, 10, 100]);
  });

  it('are documents as ingest writes them, with terms to be searched by', () => {
    const { study, series, instances } = madeDocuments('t', 5);

    assert.deepEqual([study.summary.instanceCount, series.length, instances.length], [1, 1, 1]);
    assert.ok(searchTerms(study.attributes).terms.includes(`00100020=${madeStudy(5).patientID.toLowerCase()}`) || searchTerms(study.attributes).terms.includes(`00100020=${madeStudy(5).patientID}`));
  });
});
