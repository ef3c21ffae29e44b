import { statfs } from 'node:fs/promises';

export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface WatermarkLimits {
  /** Below this much free space nothing new is taken. Undefined: 5 % of the disk, at least 1 GiB. */
  readonly minFreeBytes: number | undefined;
  /** Above this much in the spool nothing new is taken. Undefined: no limit. */
  readonly maxSpoolBytes: number | undefined;
}

const GiB = 1024 ** 3;

/** How much must stay free on a disk of this size. */
export const minFreeBytesOf = (limits: WatermarkLimits, space: Space): number =>
  limits.minFreeBytes ?? Math.max(GiB, Math.floor(space.totalBytes / 20));

/** Why an instance is not taken now; undefined when there is room. */
export type NoRoom = 'diskFull' | 'spoolFull' | undefined;

export interface WatermarkDeps {
  readonly limits: WatermarkLimits;
  readonly readSpace: () => Promise<Space>;
  readonly spoolBytes: () => number;
}

/**
 * Decides whether there is room for one more instance. Reading the disk's free space takes a call to the system, so it
 * is read about once a second, and what has been written since is subtracted.
 */
export class Watermark {
  readonly #deps: WatermarkDeps;
  #space: Space | undefined;
  #spoolBytes = 0;
  #writtenBytes = 0;

  constructor(deps: WatermarkDeps) {
    this.#deps = deps;
  }

  /** Reads the disk anew. Call it once before the first instance, then every second or so. */
  async poll(): Promise<void> {
    const space = await this.#deps.readSpace();
    this.#space = space;
    this.#spoolBytes = this.#deps.spoolBytes();
    this.#writtenBytes = 0;
  }

  /** Bytes handed to the disk since. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  get freeBytes(): number {
    return Math.max(0, (this.#space?.freeBytes ?? 0) - this.#writtenBytes);
  }

  /** Before an instance is taken. */
  noRoom(): NoRoom {
    if (this.#space === undefined || this.freeBytes < minFreeBytesOf(this.#deps.limits, this.#space)) return 'diskFull';
    const { maxSpoolBytes } = this.#deps.limits;
    return maxSpoolBytes !== undefined && this.#spoolBytes + this.#writtenBytes >= maxSpoolBytes ? 'spoolFull' : undefined;
  }

  /** While an instance is being taken: it may use up half of what is to stay free. */
  mustStop(): boolean {
    return this.#space === undefined || this.freeBytes < minFreeBytesOf(this.#deps.limits, this.#space) / 2;
  }
}

/** Of the file system that holds the folder: what this process may use of it. */
export const readSpace = (folder: string) => async (): Promise<Space> => {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
};
