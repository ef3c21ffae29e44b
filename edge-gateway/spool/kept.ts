import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../logger.ts';
import type { Clock } from './clock.ts';
import { isMissing, keptFolder, keptPath, parseFileName } from './paths.ts';

/** How long a released pack is kept unless the site says otherwise: over a weekend of nightly sweeps. */
export const defaultKeepHours = 72;
/** Every so many looks the folder is read whether or not it says that it changed. */
const readEvery = 30;

export interface KeptPacksDeps {
  readonly spoolDir: string;
  /** 0: nothing is kept. */
  readonly keepMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface KeptPack {
  readonly packId: string;
  readonly lengthBytes: number;
  /** Of its release: milliseconds since the epoch. */
  readonly keptAt: number;
}

/**
 * The packs that the archive has and this disk keeps for a while, should the archive lose them: `kept/<packId>.tar`, moved there when they
 * are released (spool/reader.ts). Nobody tells, waits for or recovers them, and they take room from nobody: they go when they are old, and
 * the oldest go as soon as the room is needed. Owned by the gateway process; the folder is the truth.
 */
export class KeptPacks {
  readonly #deps: KeptPacksDeps;
  /** By packId, the oldest first. */
  #packs = new Map<string, KeptPack>();
  #bytes = 0;
  #folderChangedAt: number | undefined;
  #looks = 0;

  constructor(deps: KeptPacksDeps) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#packs.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Called before the first association and every second or so: sees what came, and removes what is old. */
  async look(): Promise<void> {
    const { spoolDir, clock, keepMs } = this.#deps;
    const changedAt = (await stat(keptFolder(spoolDir)).catch(ignoreMissing))?.mtimeMs;
    if (changedAt !== this.#folderChangedAt || this.#looks++ % readEvery === 0) await this.#read();
    this.#folderChangedAt = changedAt;
    const before = clock.now() - keepMs;
    for (const pack of [...this.#packs.values()]) {
      if (keepMs > 0 && pack.keptAt > before) break;
      await this.#remove(pack);
    }
  }

  /** Removes the oldest until so many bytes are free, or none is left. @returns how many bytes it removed */
  async free(bytes: number): Promise<number> {
    let freed = 0;
    for (const pack of [...this.#packs.values()]) {
      if (freed >= bytes) break;
      freed += await this.#remove(pack);
    }
    return freed;
  }

  async #read(): Promise<void> {
    const { spoolDir } = this.#deps;
    const found: KeptPack[] = [];
    for (const name of await readdir(keptFolder(spoolDir)).catch(ignoreMissing) ?? []) {
      const file = parseFileName(name);
      if (file.kind !== 'pack') continue;
      const known = this.#packs.get(file.packId);
      const seen = known ?? await stat(join(keptFolder(spoolDir), name)).catch(ignoreMissing).then((stats) => stats && { packId: file.packId, lengthBytes: stats.size, keptAt: stats.mtimeMs });
      if (seen !== undefined) found.push(seen);
    }
    this.#packs = new Map(found.toSorted((a, b) => a.keptAt - b.keptAt).map((pack) => [pack.packId, pack]));
    this.#bytes = found.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  /** One that cannot be removed frees no room, and is seen again later. @returns how many bytes are free by it */
  async #remove({ packId, lengthBytes }: KeptPack): Promise<number> {
    if (this.#packs.delete(packId)) this.#bytes -= lengthBytes;
    try {
      await unlink(keptPath(this.#deps.spoolDir, packId));
      return lengthBytes;
    } catch (error) {
      if (!isMissing(error)) this.#deps.log.error({ packId, err: error }, 'A kept pack could not be removed');
      return 0;
    }
  }
}

const ignoreMissing = (error: unknown): undefined => {
  if (!isMissing(error)) throw error;
};
