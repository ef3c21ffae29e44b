import assert from 'node:assert/strict';
import { measureFlood, type FloodCost } from '../support/flood.ts';
import { sharedPacs } from '../support/stack.ts';

/**
 * What a flood may add to the time until a neighbour's image is found, in seconds, at the median and at most: all share the cores of whatever
 * machine runs this. With queues in order of arrival the neighbour would wait for the whole backlog.
 */
const bounds = { median: 15, worst: 30 };

describe('a tenant that floods the PACS with 1,000 instances in 200 studies', function () {
  this.timeout(300_000);
  const pacs = sharedPacs();

  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const assertBounded = ({ idleSeconds, besideSeconds, floodSeconds, acceptedCount }: FloodCost): void => {
    const [idle, worst] = [median(idleSeconds), Math.max(...besideSeconds)];
    console.log(`        the neighbour's image: ${idle.toFixed(1)} s alone, ${median(besideSeconds).toFixed(1)} s and at most ${worst.toFixed(1)} s beside a flood of ${floodSeconds.toFixed(0)} s`);
    assert.equal(acceptedCount, 1_000);
    assert.ok(besideSeconds.length >= 3, 'the flood lasted long enough to be measured beside');
    assert.ok(median(besideSeconds) < idle + bounds.median && worst < idle + bounds.worst, `${median(besideSeconds)} s and at most ${worst} s instead of ${idle} s`);
  };

  it('keeps the image of another tenant waiting no longer than a bound', async () => {
    assertBounded(await measureFlood(pacs(), { studyCount: 200, instancesPerStudy: 5 }));
  });

  it('and no longer when everything of the flood goes to a destination that hangs', async () => {
    assertBounded(await measureFlood(pacs(), { studyCount: 200, instancesPerStudy: 5, toHangingDestination: true }));
  });
});
