import { setTimeout as sleep } from 'node:timers/promises';
import type { Site, SitePart } from '../../test/faults/harness/site.ts';

/** Kills parts and brings them back, one after the other for each part. */
export class Keeper {
  readonly #site: Site;
  readonly #busy = new Map<SitePart, Promise<unknown>>();
  /** Restarts that did not come up at the first try: another fault met them. */
  failedStarts = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  /** SIGKILL to all at once, when none of them is being brought back. */
  async kill(parts: readonly SitePart[], downMs: number): Promise<void> {
    await this.#alone(parts, async () => {
      await Promise.all(parts.map((part) => this.#site.kill(part)));
      await sleep(downMs);
      await this.#startAll(parts);
    });
  }

  /** What somebody else has killed. */
  async bringBack(parts: readonly SitePart[], downMs: number): Promise<void> {
    await sleep(downMs);
    await this.#alone(parts, async () => {
      await this.#startAll(parts.filter((part) => this.#site.pid(part) === undefined));
    });
  }

  /** At once: a worker comes up when its Temporal does. */
  async #startAll(parts: readonly SitePart[]): Promise<void> {
    await Promise.all(parts.map((part) => this.#start(part)));
  }

  async #start(part: SitePart): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#site.restart(part);
      } catch (error) {
        if (attempt >= 8) throw error;
        this.failedStarts++;
        await sleep(500 * attempt);
      }
    }
  }

  async #alone(parts: readonly SitePart[], work: () => Promise<void>): Promise<void> {
    const before = Promise.allSettled(parts.map((part) => this.#busy.get(part)));
    const mine = before.then(work);
    for (const part of parts) this.#busy.set(part, mine.catch(() => undefined));
    await mine;
  }

  /** Every part runs. */
  async settle(parts: readonly SitePart[]): Promise<void> {
    await Promise.allSettled(this.#busy.values());
    await this.bringBack(parts, 0);
  }
}
