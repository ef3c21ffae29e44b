/** Runs tasks beside their starter, a few at a time; the first failure stops the starter at its next call. */
export class Uploads<T> {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  readonly #results: T[] = [];
  #started = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for room, not for the task. */
  async start(task: () => Promise<T>): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    this.#throwFailure();
    const place = this.#started++;
    const running = task().then((result) => { this.#results[place] = result; }, (error: unknown) => { this.#failure ??= { error }; })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** In the order of the starts. */
  async results(): Promise<readonly T[]> {
    await this.settled();
    this.#throwFailure();
    return this.#results;
  }

  /** Resolves when nothing runs any more, however it ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
