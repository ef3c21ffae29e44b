import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { chunksOf, concurrently } from '../../../stores/concurrently.ts';

describe('concurrently', () => {
  it('runs so many at a time and keeps the order of the items', async () => {
    let [running, most] = [0, 0];

    const results = await concurrently([30, 1, 20, 2, 10], 2, async (ms, index) => {
      most = Math.max(most, ++running);
      await sleep(ms);
      running--;
      return index;
    });

    assert.deepEqual(results, [0, 1, 2, 3, 4]);
    assert.equal(most, 2);
  });

  it('starts nothing after a failure and throws it when the others have ended', async () => {
    const ended: number[] = [];

    await assert.rejects(concurrently([1, 2, 3, 4], 2, async (item) => {
      if (item === 1) throw new Error('first');
      await sleep(5);
      ended.push(item);
    }), /first/);

    assert.deepEqual(ended, [2]);
  });

  it('cuts a list into chunks', () => {
    assert.deepEqual(chunksOf([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]);
    assert.deepEqual(chunksOf([], 2), []);
  });
});
