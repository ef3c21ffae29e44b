import { createCipheriv, createHash } from 'node:crypto';

/** Choices that are the same for the same seed, whatever else runs. */
export interface Random {
  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  pick<T>(list: readonly T[]): T;
  /** `count` bytes that no compression makes smaller. */
  bytes(count: number): Buffer;
  /** Below 2.25 (PS3.5 B.2). */
  uid(): string;
  /** Another source, which follows from this one's seed and the name alone. */
  fork(name: string): Random;
}

/** @param seed any text; a number on the command line is its digits */
export function createRandom(seed: string): Random {
  const key = createHash('sha256').update(seed).digest();
  let drawn = 0;
  const word = (): number => createHash('sha256').update(key).update(`${drawn++}`).digest().readUIntBE(0, 6);
  const below = (limit: number): number => word() % limit;
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    pick: (list) => list[below(list.length)]!,
    bytes: (count) => createCipheriv('aes-128-ctr', key.subarray(0, 16), createHash('md5').update(`${drawn++}`).digest()).update(Buffer.alloc(count)),
    uid: () => `2.25.${word()}${word()}`,
    fork: (name) => createRandom(`${seed}/${name}`),
  };
}
