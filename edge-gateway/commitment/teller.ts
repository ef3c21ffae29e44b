import type { Logger } from '../logger.ts';
import { tellAgainAfterMs } from '../starter.ts';
import type { Clock } from '../spool/clock.ts';
import type { CommitmentClient } from './client.ts';
import type { CommitmentFolder } from './folder.ts';

export interface TellerDeps {
  readonly folder: Pick<CommitmentFolder, 'names' | 'readNamed'>;
  readonly client: Pick<CommitmentClient, 'start'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** For how long a flow waits for instances that the archive does not have yet. */
  readonly waitMs: number;
}

const firstDelayMs = 500;
const maxDelayMs = 30_000;

/**
 * Starts the flow of every request on the disk, for as long as it takes. The disk is the memory: after a restart every request is told again, and
 * joins the flow that runs. A request that stays for long is told again, because its flow may have been terminated.
 */
export class CommitmentTeller {
  readonly #deps: TellerDeps;
  /** Name → when it was told. */
  readonly #told = new Map<string, number>();
  #running: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #pausedUntil = 0;
  #waiting = 0;

  constructor(deps: TellerDeps) {
    this.#deps = deps;
  }

  /** Requests on the disk when they were last looked at, and those of them that the cloud does not know of. */
  get state(): { readonly waiting: number; readonly untold: number } {
    return { waiting: this.#waiting, untold: Math.max(0, this.#waiting - this.#told.size) };
  }

  /** Tells what was not told. Never throws; a call while another is under way makes that one look once more. */
  tell(): Promise<void> {
    this.#again = true;
    this.#running ??= this.#tellAll().finally(() => { this.#running = undefined; });
    return this.#running;
  }

  /** A new request must not wait until the cloud is tried again by the clock. */
  async #tellAll(): Promise<void> {
    const { folder, clock, log } = this.#deps;
    while (this.#again && clock.now() >= this.#pausedUntil) {
      this.#again = false;
      try {
        const names = await folder.names();
        this.#waiting = names.length;
        for (const name of this.#told.keys()) if (!names.includes(name)) this.#told.delete(name);
        const before = clock.now() - tellAgainAfterMs;
        for (const name of names) if ((this.#told.get(name) ?? -Infinity) <= before) await this.#tellOne(name);
        this.#failures = 0;
      } catch (error) {
        this.#pausedUntil = clock.now() + Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(this.#failures, 20));
        if (this.#failures++ === 0) log.warn({ err: error }, 'The cloud was not told of a storage commitment request; it waits on the disk');
      }
    }
  }

  async #tellOne(name: string): Promise<void> {
    const { folder, client, clock, log, waitMs } = this.#deps;
    const request = await folder.readNamed(name).catch((error: unknown) => {
      log.error({ name, err: error }, 'A storage commitment request on the disk cannot be read');
      return undefined;
    });
    if (request) {
      const { references, requestId: _, ...about } = request;
      await client.start({ ...about, referenceCount: references.length, waitMs });
    }
    this.#told.set(name, clock.now());
  }
}
