/** The first items of a list, and the whole list. */
export interface Peeked<T> {
  readonly seen: readonly T[];
  all(keep?: (item: T) => boolean): AsyncGenerator<T>;
}

export async function peek<T>(items: AsyncIterable<T>, count: number): Promise<Peeked<T>> {
  const iterator = items[Symbol.asyncIterator]();
  const seen: T[] = [];
  let done = false;
  while (seen.length < count && !done) {
    const next = await iterator.next();
    if (next.done) done = true;
    else seen.push(next.value);
  }
  return {
    seen,
    async *all(keep = () => true) {
      try {
        yield* seen.filter(keep);
        for (let next = done ? undefined : await iterator.next(); next && !next.done; next = await iterator.next()) {
          if (keep(next.value)) yield next.value;
        }
      } finally {
        await iterator.return?.();
      }
    },
  };
}
