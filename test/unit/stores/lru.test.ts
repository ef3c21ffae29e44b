import assert from 'node:assert/strict';
import { LruCache } from '../../../stores/lru.ts';

describe('LruCache', () => {
  it('forgets what was used longest ago when the budget is spent', () => {
    const cache = new LruCache<string>(100);
    cache.set('a', 'A', 40);
    cache.set('b', 'B', 40);
    cache.get('a');

    cache.set('c', 'C', 40);

    assert.deepEqual(['a', 'b', 'c'].map((key) => cache.get(key)), ['A', undefined, 'C']);
    assert.equal(cache.usedBytes, 80);
  });

  it('does not keep what is larger than the budget, nor count a replaced value twice', () => {
    const cache = new LruCache<string>(100);
    cache.set('a', 'A', 60);

    cache.set('a', 'A2', 50);
    cache.set('b', 'B', 101);

    assert.deepEqual([cache.get('a'), cache.get('b'), cache.usedBytes], ['A2', undefined, 50]);
  });
});
