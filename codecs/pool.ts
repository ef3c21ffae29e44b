import { Worker } from 'node:worker_threads';
import { CodecError } from './errors.ts';
import type { Answer, Ask, JobKind, Jobs } from './jobs.ts';

export interface PoolOptions {
  readonly threads: number;
  /** Jobs that may wait for a thread; one more is answered `busy`. */
  readonly maxWaiting: number;
  readonly jobTimeoutMs: number;
  /** The module that a thread runs. */
  readonly module: URL;
}

interface Job {
  readonly ask: Ask;
  readonly moved: readonly ArrayBuffer[];
  readonly resolve: (output: Jobs[JobKind]['output']) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A few threads that do one job at a time, made when they are first needed. A job that takes too long, or of which its
 * thread dies, is an error of that job alone: the thread is ended, and the next job gets a new one.
 */
export class ThreadPool {
  readonly #options: PoolOptions;
  readonly #idle: Thread[] = [];
  readonly #busy = new Set<Thread>();
  readonly #waiting: Job[] = [];
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * @param moved memory that the job takes with it
   * @throws CodecError; the signal's reason when it is aborted before a thread took the job
   */
  run<K extends JobKind>(kind: K, input: Jobs[K]['input'], moved: readonly ArrayBuffer[], signal?: AbortSignal): Promise<Jobs[K]['output']> {
    signal?.throwIfAborted();
    if (this.#closed) return Promise.reject(closed());
    if (this.#idle.length + this.#busy.size >= this.#options.threads && this.#idle.length === 0 && this.#waiting.length >= this.#options.maxWaiting) {
      return Promise.reject(new CodecError('busy', 'Too many images wait to be decoded. Try again in a moment.'));
    }
    return new Promise<Jobs[K]['output']>((resolve, reject) => {
      const job = { ask: { kind, input }, moved, resolve: resolve as Job['resolve'], reject };
      signal?.addEventListener('abort', () => this.#drop(job, signal), { once: true });
      this.#waiting.push(job);
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting.splice(0)) job.reject(closed());
    await Promise.all([...this.#idle, ...this.#busy].map((thread) => thread.end()));
  }

  #drop(job: Job, signal: AbortSignal): void {
    const at = this.#waiting.indexOf(job);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    job.reject(signal.reason instanceof Error ? signal.reason : new Error('The job was given up.'));
  }

  #next(): void {
    if (this.#waiting.length === 0 || this.#closed) return;
    const free = this.#idle.pop() ?? (this.#busy.size < this.#options.threads ? new Thread(this.#options) : undefined);
    if (!free) return;
    const job = this.#waiting.shift()!;
    this.#busy.add(free);
    void free.do(job).then((alive) => {
      this.#busy.delete(free);
      if (alive && !this.#closed) this.#idle.push(free);
      this.#next();
    });
  }
}

/** Another process, or the next one, may do the job. */
const closed = (): CodecError => new CodecError('busy', 'The codecs are closed.');

class Thread {
  readonly #worker: Worker;
  readonly #timeoutMs: number;
  #ending = false;

  constructor({ module, jobTimeoutMs }: PoolOptions) {
    this.#worker = new Worker(module, { resourceLimits: { maxOldGenerationSizeMb: 256 } });
    this.#worker.unref();
    this.#worker.on('error', () => undefined);
    this.#timeoutMs = jobTimeoutMs;
  }

  end(): Promise<number> {
    this.#ending = true;
    return this.#worker.terminate();
  }

  /** @returns whether the thread can take another job */
  async do({ ask, moved, resolve, reject }: Job): Promise<boolean> {
    this.#worker.ref();
    const given = await this.#ask(ask, moved);
    this.#worker.unref();
    if ('output' in given) resolve(given.output);
    else reject(given.problem === 'unexpected' ? new Error(given.sentence) : new CodecError(given.problem, given.sentence));
    const alive = 'output' in given || given.problem !== 'failed';
    if (!alive) await this.end();
    return alive;
  }

  #ask(ask: Ask, moved: readonly ArrayBuffer[]): Promise<Answer> {
    return new Promise((resolve) => {
      const failed = (sentence: string) => () => done({ problem: 'failed', sentence });
      const onExit = (): void => done(this.#ending ? { problem: 'busy', sentence: closed().message } : { problem: 'failed', sentence: 'The codec died of this image.' });
      const timer = setTimeout(failed(`The image was not done within ${this.#timeoutMs / 1000} seconds.`), this.#timeoutMs);
      const done = (answer: Answer): void => {
        clearTimeout(timer);
        this.#worker.off('message', done).off('exit', onExit);
        resolve(answer);
      };
      this.#worker.on('message', done).on('exit', onExit);
      try {
        this.#worker.postMessage(ask, moved);
      } catch (error) {
        done({ problem: 'unexpected', sentence: error instanceof Error ? error.message : String(error) });
      }
    });
  }
}
