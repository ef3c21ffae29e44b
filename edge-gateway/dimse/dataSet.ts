import type { DataSetInterrupted, DataSetStream } from '../services/service.ts';

/** Held for a reader that iterates; beyond it the socket is not read. */
const maxHeldBytes = 256 * 1024;

type Outcome = 'open' | 'complete' | 'failed';

/** The data set of one message between the association that receives it and the service that reads it. */
export class DataSetChannel implements DataSetStream {
  #held: Buffer[] = [];
  #heldBytes = 0;
  #lengthBytes = 0;
  #outcome: Outcome = 'open';
  #error: DataSetInterrupted | undefined;
  #claimed = false;
  #discarding = false;
  #hook: ((fragment: Buffer) => void | Promise<void>) | undefined;
  /** Of the last fragment, so that `consume` never settles while its reader still writes. */
  #inFlight: Promise<void> | undefined;
  #hookFailed: ((error: unknown) => void) | undefined;
  /** Settled and replaced when something arrives or the data set ends. */
  #arrival = Promise.withResolvers<void>();
  #room: PromiseWithResolvers<void> | undefined;
  readonly #over = Promise.withResolvers<void>();

  /** Resolves when no more of the data set will come, complete or not. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** @returns a promise when nothing more is to be pushed before it settles; it never rejects */
  push(fragment: Buffer): void | Promise<void> {
    this.#lengthBytes += fragment.length;
    if (this.#hook) return this.#callHook(this.#hook, fragment);
    if (this.#discarding || this.#outcome === 'failed' || fragment.length === 0) return;
    this.#held.push(fragment);
    this.#heldBytes += fragment.length;
    this.#wake();
    if (this.#heldBytes <= maxHeldBytes) return;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  /** The last fragment was pushed. */
  end(): void {
    if (this.#outcome === 'open') this.#finish('complete');
  }

  /** The association ended first: what is held is dropped and the reader gets the error. */
  fail(error: DataSetInterrupted): void {
    if (this.#outcome !== 'open') return;
    this.#error = error;
    this.#drop();
    this.#finish('failed');
  }

  /** The rest is received and thrown away. */
  discard(): void {
    this.#claimed = true;
    this.#discarding = true;
    this.#hook = undefined;
    this.#drop();
    this.#wake();
  }

  async consume(onFragment: (fragment: Buffer) => void | Promise<void>): Promise<number> {
    this.#claim();
    try {
      for (let fragment = this.#shift(); fragment; fragment = this.#shift()) await onFragment(fragment);
      if (this.#outcome === 'open') await this.#callDirectly(onFragment);
    } catch (error) {
      this.discard();
      throw error;
    }
    await this.#inFlight;
    if (this.#error) throw this.#error;
    return this.#lengthBytes;
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    this.#claim();
    return {
      next: () => this.#next(),
      return: () => {
        this.discard();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #next(): Promise<IteratorResult<Buffer>> {
    for (;;) {
      const value = this.#shift();
      if (value) return { done: false, value };
      if (this.#error) throw this.#error;
      if (this.#outcome === 'complete' || this.#discarding) return { done: true, value: undefined };
      await this.#arrival.promise;
    }
  }

  #callDirectly(onFragment: (fragment: Buffer) => void | Promise<void>): Promise<void> {
    const failed = Promise.withResolvers<void>();
    this.#hookFailed = failed.reject;
    this.#hook = onFragment;
    return Promise.race([failed.promise, this.over]);
  }

  #callHook(hook: (fragment: Buffer) => void | Promise<void>, fragment: Buffer): void | Promise<void> {
    const failed = (error: unknown): void => {
      this.#hook = undefined;
      this.#discarding = true;
      this.#hookFailed?.(error);
    };
    try {
      const wait = hook(fragment)?.then(undefined, failed);
      this.#inFlight = wait ?? undefined;
      return wait;
    } catch (error) {
      failed(error);
    }
  }

  #claim(): void {
    if (this.#claimed) throw new Error('a data set can be read only once');
    this.#claimed = true;
  }

  #shift(): Buffer | undefined {
    const fragment = this.#held.shift();
    if (!fragment) return undefined;
    this.#heldBytes -= fragment.length;
    if (this.#heldBytes <= maxHeldBytes / 2) this.#makeRoom();
    return fragment;
  }

  #drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#makeRoom();
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #wake(): void {
    this.#arrival.resolve();
    this.#arrival = Promise.withResolvers();
  }

  #finish(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#hook = undefined;
    this.#wake();
    this.#over.resolve();
  }
}
