import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { IndexedInstance } from '../../domain/instance.ts';
import type { PackIdentity } from '../../domain/pack.ts';
import { LentFileRange, SpareBuffers, type LentRange } from './lentBytes.ts';
import type { ArchiveStore } from '../ports.ts';

export interface PackCacheValues {
  /** Of its own, and shared by the processes of one machine. */
  readonly folder: string;
  readonly maxBytes: number;
}

const readBytes = 1024 * 1024;
/** Buffers that wait for the next reader; more readers than these take new ones. */
const maxSpareBuffers = 16;
/** A file used again within this time keeps its place without being told. */
const touchMs = 60_000;
/** Packs of which a part was asked for once; the second time the whole pack is fetched. */
const maxMissed = 10_000;
/** Fetches beside the readers, at once. */
const maxFetches = 2;

/**
 * Keeps packs that were read on this machine's disk, the least recently used going first. A pack never changes, so a kept one is never
 * stale; one is kept only after every instance in it had the digest that its index says. What reads the whole pack fills the cache as it
 * goes; a second read of parts fetches the rest beside it. Whatever fails here, readers get the archive's bytes.
 */
export function cachedReads(archive: Pick<ArchiveStore, 'readRange' | 'getIndex'>, values: PackCacheValues): Required<Pick<ArchiveStore, 'readRange' | 'lendRange'>> {
  const cache = new PackCache(archive, values);
  return {
    readRange: (pack, offsetBytes, lengthBytes, signal) => cache.readRange(pack, offsetBytes, lengthBytes, signal),
    lendRange: (pack, offsetBytes, lengthBytes) => cache.lendRange(pack, offsetBytes, lengthBytes),
  };
}

class PackCache {
  readonly #archive: Pick<ArchiveStore, 'readRange' | 'getIndex'>;
  readonly #values: PackCacheValues;
  readonly #buffers = new SpareBuffers(readBytes, maxSpareBuffers);
  readonly #missed = new Set<string>();
  readonly #filling = new Set<string>();
  readonly #touchedAt = new Map<string, number>();
  #fetches = 0;
  #evicting: Promise<void> = Promise.resolve();

  constructor(archive: Pick<ArchiveStore, 'readRange' | 'getIndex'>, values: PackCacheValues) {
    this.#archive = archive;
    this.#values = values;
  }

  async readRange(pack: PackIdentity, offsetBytes: number, lengthBytes: number, signal?: AbortSignal): Promise<Readable> {
    if (lengthBytes === 0) return Readable.from([]);
    const file = this.#fileOf(pack);
    const kept = await this.#openKept(file);
    if (kept) return kept.createReadStream({ start: offsetBytes, end: offsetBytes + lengthBytes - 1, highWaterMark: readBytes, ...(signal ? { signal } : {}) });
    const [stream, index] = await Promise.all([
      this.#archive.readRange(pack, offsetBytes, lengthBytes, signal), this.#archive.getIndex(pack, signal).catch(() => undefined),
    ]);
    if (!index || index.lengthBytes > this.#values.maxBytes || this.#filling.has(file)) return stream;
    const whole = index.instances.every((instance) => instance.offsetBytes >= offsetBytes && instance.offsetBytes + instance.lengthBytes <= offsetBytes + lengthBytes);
    if (whole) return Readable.from(this.#keepWhileRead(file, stream, offsetBytes, lengthBytes, index.instances), { objectMode: false, highWaterMark: readBytes });
    this.#noteMiss(file, () => this.#fetch(pack, file, index.instances));
    return stream;
  }

  async lendRange(pack: PackIdentity, offsetBytes: number, lengthBytes: number): Promise<LentRange | undefined> {
    const kept = await this.#openKept(this.#fileOf(pack));
    return kept && new LentFileRange(kept, this.#buffers, offsetBytes, lengthBytes);
  }

  async #openKept(file: string): Promise<FileHandle | undefined> {
    const kept = await open(file, 'r').catch(() => undefined);
    if (kept) this.#touch(file);
    return kept;
  }

  /** Passes the bytes on and writes them down; a reader that stops early leaves nothing behind. */
  async *#keepWhileRead(file: string, stream: Readable, offsetBytes: number, lengthBytes: number, instances: readonly IndexedInstance[]): AsyncGenerator<Buffer> {
    this.#filling.add(file);
    const filler = await Filler.open(file).catch(() => undefined);
    let at = offsetBytes;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        await filler?.write(chunk, at);
        at += chunk.length;
        yield chunk;
      }
    } finally {
      stream.destroy();
      if (at === offsetBytes + lengthBytes) this.#finish(filler, file, instances);
      else {
        await filler?.discard();
        this.#filling.delete(file);
      }
    }
  }

  /** Beside the reader, who has everything already. */
  #finish(filler: Filler | undefined, file: string, instances: readonly IndexedInstance[]): void {
    void (async () => {
      try {
        if (await filler?.keep(instances)) await this.#evict();
      } finally {
        this.#filling.delete(file);
      }
    })().catch(() => filler?.discard());
  }

  #noteMiss(file: string, again: () => Promise<void>): void {
    if (!this.#missed.has(file)) {
      if (this.#missed.size >= maxMissed) this.#missed.clear();
      this.#missed.add(file);
      return;
    }
    if (this.#fetches >= maxFetches) return;
    this.#missed.delete(file);
    this.#fetches++;
    void again().catch(() => undefined).finally(() => { this.#fetches--; });
  }

  async #fetch(pack: PackIdentity, file: string, instances: readonly IndexedInstance[]): Promise<void> {
    const offsetBytes = Math.min(...instances.map((instance) => instance.offsetBytes));
    const lengthBytes = Math.max(...instances.map((instance) => instance.offsetBytes + instance.lengthBytes)) - offsetBytes;
    const stream = await this.#archive.readRange(pack, offsetBytes, lengthBytes);
    for await (const _ of this.#keepWhileRead(file, stream, offsetBytes, lengthBytes, instances));
  }

  #touch(file: string): void {
    const now = Date.now();
    if (now - (this.#touchedAt.get(file) ?? 0) < touchMs) return;
    if (this.#touchedAt.size >= maxMissed) this.#touchedAt.clear();
    this.#touchedAt.set(file, now);
    utimes(file, now / 1000, now / 1000).catch(() => undefined);
  }

  /** Looks at the folder itself: other processes fill it too. */
  #evict(): Promise<void> {
    this.#evicting = this.#evicting.catch(() => undefined).then(async () => {
      const names = (await readdir(this.#values.folder, { recursive: true })).filter((name) => name.endsWith('.tar'));
      const files = await Promise.all(names.map(async (name) => {
        const file = path.join(this.#values.folder, name);
        const found = await stat(file).catch(() => undefined);
        return { file, lengthBytes: found?.size ?? 0, usedAt: found?.mtimeMs ?? 0 };
      }));
      let total = files.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      for (const { file, lengthBytes } of files.toSorted((a, b) => a.usedAt - b.usedAt)) {
        if (total <= this.#values.maxBytes) return;
        await rm(file, { force: true });
        total -= lengthBytes;
      }
    });
    return this.#evicting;
  }

  #fileOf({ tenantId, packId }: PackIdentity): string {
    return path.join(this.#values.folder, tenantId, `${packId}.tar`);
  }
}

let fillers = 0;

/** A pack on its way into the cache: bytes at their own offsets, renamed into place when every digest is right. */
class Filler {
  readonly #handle: FileHandle;
  readonly #partial: string;
  readonly #file: string;
  #open = true;

  private constructor(handle: FileHandle, partial: string, file: string) {
    this.#handle = handle;
    this.#partial = partial;
    this.#file = file;
  }

  static async open(file: string): Promise<Filler> {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    const partial = `${file}.partial-${process.pid}-${++fillers}`;
    return new Filler(await open(partial, 'wx+', 0o600), partial, file);
  }

  /** A disk that is full or broken ends the filling, not the reading. */
  async write(bytes: Buffer, offsetBytes: number): Promise<void> {
    if (!this.#open) return;
    try {
      for (let done = 0; done < bytes.length;) done += (await this.#handle.write(bytes, done, bytes.length - done, offsetBytes + done)).bytesWritten;
    } catch {
      await this.discard();
    }
  }

  /** @returns whether the pack is in the cache now */
  async keep(instances: readonly IndexedInstance[]): Promise<boolean> {
    if (!this.#open) return false;
    for (const instance of instances) {
      if (await this.#digest(instance) === instance.sha256) continue;
      await this.discard();
      return false;
    }
    this.#open = false;
    await this.#handle.close();
    await rename(this.#partial, this.#file);
    return true;
  }

  async discard(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close().catch(() => undefined);
    await rm(this.#partial, { force: true }).catch(() => undefined);
  }

  async #digest({ offsetBytes, lengthBytes }: IndexedInstance): Promise<string> {
    const hash = createHash('sha256');
    const space = Buffer.allocUnsafe(Math.min(readBytes, lengthBytes));
    for (let at = 0; at < lengthBytes;) {
      const { bytesRead } = await this.#handle.read(space, 0, Math.min(space.length, lengthBytes - at), offsetBytes + at);
      if (bytesRead === 0) break;
      hash.update(space.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash.digest('hex');
  }
}

/** Removes what a process that was killed left of its fillings. Call it before the first read. */
export async function removePartials(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder, { recursive: true })) {
    const pid = Number(/\.partial-(\d+)-\d+$/.exec(name)?.[1] ?? process.pid);
    if (pid !== process.pid && !isAlive(pid)) await rm(path.join(folder, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
