/**
 * Buffers of one length, lent one at a time. All of them together are what uploads may hold, however many run; and each is
 * used again, because memory outside V8's heap counts for its collector: a fresh part each time marks the whole heap every few
 * parts, which was a third of the worker's CPU.
 */
export class PartBuffers {
  readonly #bufferBytes: number;
  readonly #waiting: (() => void)[] = [];
  readonly #spare: Buffer[] = [];
  #free: number;

  /** @param count at once; who wants one more waits its turn */
  constructor(bufferBytes: number, count: number) {
    this.#bufferBytes = bufferBytes;
    this.#free = count;
  }

  /** Lends a buffer until `work` settles. A failed request may still read from its buffer: that one is not used again. */
  async lend<T>(work: (buffer: Buffer) => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free--;
    try {
      const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bufferBytes);
      const result = await work(buffer);
      this.#spare.push(buffer);
      return result;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
