import { statfs } from 'node:fs/promises';
import type { KeptPacks } from './kept.ts';

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
  /** Of what the cloud has not released, or a person set aside. */
  readonly spoolBytes: () => number;
  /** Packs that go when room is needed: they count as free (spool/kept.ts). */
  readonly kept?: Pick<KeptPacks, 'bytes' | 'free'>;
}

/**
 * How much more than what must stay free is really free, so that what arrives meets a disk with room while kept packs are removed: what
 * 64 associations write in a moment, on a small disk a twentieth of it.
 */
const reserveBytesOf = ({ totalBytes }: Space): number => Math.min(64 * 1024 ** 2, Math.floor(totalBytes / 20));

/**
 * Decides whether there is room for one more instance. Reading the disk's free space takes a call to the system, so it
 * is read about once a second, and what has been written since is subtracted.
 */
export class Watermark {
  readonly #deps: WatermarkDeps;
  #space: Space | undefined;
  #spoolBytes = 0;
  #writtenBytes = 0;
  /** By kept packs that went since. */
  #freedBytes = 0;
  #making: Promise<void> | undefined;

  constructor(deps: WatermarkDeps) {
    this.#deps = deps;
  }

  /** Reads the disk anew. Call it once before the first instance, then every second or so. */
  async poll(): Promise<void> {
    const space = await this.#deps.readSpace();
    this.#space = space;
    this.#spoolBytes = this.#deps.spoolBytes();
    this.#writtenBytes = 0;
    this.#freedBytes = 0;
  }

  /** Bytes handed to the disk since. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  /** On the disk now. */
  get freeBytes(): number {
    return Math.max(0, (this.#space?.freeBytes ?? 0) - this.#writtenBytes + this.#freedBytes);
  }

  /**
   * Removes kept packs, the oldest first, as far as their room is needed now or soon.
   *
   * @returns undefined when there is nothing to do; else wait for it before bytes are handed to the disk
   */
  makeRoom(): Promise<void> | undefined {
    const { kept } = this.#deps;
    if (kept === undefined || kept.bytes === 0 || this.#shortBytes() <= 0) return undefined;
    return this.#making ??= kept.free(this.#shortBytes())
      .then((freedBytes) => { this.#freedBytes += freedBytes; })
      .finally(() => { this.#making = undefined; });
  }

  /** Before an instance is taken. */
  noRoom(): NoRoom {
    if (this.#space === undefined || this.#usableBytes < minFreeBytesOf(this.#deps.limits, this.#space)) return 'diskFull';
    const { maxSpoolBytes } = this.#deps.limits;
    return maxSpoolBytes !== undefined && this.#spoolBytes + this.#writtenBytes >= maxSpoolBytes ? 'spoolFull' : undefined;
  }

  /** While an instance is being taken: it may use up half of what is to stay free. */
  mustStop(): boolean {
    return this.#space === undefined || this.#usableBytes < minFreeBytesOf(this.#deps.limits, this.#space) / 2;
  }

  get #usableBytes(): number {
    return this.freeBytes + (this.#deps.kept?.bytes ?? 0);
  }

  /** How much of what kept packs occupy is wanted back. */
  #shortBytes(): number {
    const { limits, kept } = this.#deps;
    if (this.#space === undefined) return 0;
    const onDisk = minFreeBytesOf(limits, this.#space) + reserveBytesOf(this.#space) - this.freeBytes;
    const inSpool = limits.maxSpoolBytes === undefined ? 0 : this.#spoolBytes + this.#writtenBytes + (kept?.bytes ?? 0) - limits.maxSpoolBytes;
    return Math.max(onDisk, inSpool);
  }
}

/** Of the file system that holds the folder: what this process may use of it. */
export const readSpace = (folder: string) => async (): Promise<Space> => {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
};
