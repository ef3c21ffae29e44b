import assert from 'node:assert/strict';
import { PartBuffers } from '../../../stores/s3/partBuffers.ts';

describe('PartBuffers', () => {
  it('lends no more buffers at once than it has, in the order they were asked for', async () => {
    const buffers = new PartBuffers(8, 2);
    const ends = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
    const began: number[] = [];
    const lent = ends.map(({ promise }, index) => buffers.lend(async () => {
      began.push(index);
      await promise;
    }));
    await settled();
    const atOnce = [...began];
    ends[1]!.resolve();
    await settled();
    const afterOne = [...began];
    for (const { resolve } of ends) resolve();
    await Promise.all(lent);

    assert.deepEqual({ atOnce, afterOne, began }, { atOnce: [0, 1], afterOne: [0, 1, 2], began: [0, 1, 2, 3] });
  });

  it('uses a buffer again, but not one that a failed request may still read', async () => {
    const buffers = new PartBuffers(8, 1);
    const first = await buffers.lend(async (buffer) => buffer);
    const again = await buffers.lend(async (buffer) => buffer);
    await assert.rejects(buffers.lend(() => Promise.reject(new Error('the connection broke'))));
    const afterFailure = await buffers.lend(async (buffer) => buffer);

    assert.equal(again, first);
    assert.notEqual(afterFailure, first);
  });
});

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
