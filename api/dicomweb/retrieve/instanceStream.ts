import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { PackIdentity } from '../../../domain/pack.ts';
import { borrowed, type LentRange, type Piece } from '../../../stores/packs/lentBytes.ts';
import type { ArchiveStore, InstanceLocation } from '../../../stores/ports.ts';

/** Instances are sorted and joined within so many; also how many locations are in memory. */
const windowInstances = 500;
/** Bytes between two instances of a pack up to which reading on is cheaper than another request. */
const maxGapBytes = 64 * 1024;
/** A run shorter than this is over soon, so the next one is asked for while it streams. */
const shortRunBytes = 8 * 1024 * 1024;

/** Instances that one ranged GET of a pack reads, in the order of their bytes. */
export interface Run {
  readonly pack: PackIdentity;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly instances: readonly InstanceLocation[];
}

/** Joins instances that follow each other in a pack into runs; the headers between them are read and dropped. */
export async function* runsOf(locations: AsyncIterable<InstanceLocation> | Iterable<InstanceLocation>): AsyncGenerator<Run> {
  for await (const window of windows(locations)) yield* runsOfWindow(window);
}

/** @yields up to 500 locations at a time, grouped by pack in the order in which the packs come */
export async function* windows(locations: AsyncIterable<InstanceLocation> | Iterable<InstanceLocation>): AsyncGenerator<readonly InstanceLocation[]> {
  let window: InstanceLocation[] = [];
  for await (const location of locations) {
    window.push(location);
    if (window.length < windowInstances) continue;
    yield byPack(window);
    window = [];
  }
  if (window.length) yield byPack(window);
}

const byPack = (window: readonly InstanceLocation[]): readonly InstanceLocation[] =>
  [...Map.groupBy(window, ({ packId }) => packId).values()].flatMap((pack) => pack.toSorted((a, b) => a.offsetBytes - b.offsetBytes));

export function runsOfWindow(window: readonly InstanceLocation[]): readonly Run[] {
  const runs: InstanceLocation[][] = [];
  for (const instance of window) {
    const last = runs.at(-1)?.at(-1);
    const gap = last && last.packId === instance.packId ? instance.offsetBytes - (last.offsetBytes + last.lengthBytes) : -1;
    if (gap >= 0 && gap <= maxGapBytes) runs.at(-1)?.push(instance);
    else runs.push([instance]);
  }
  return runs.map((instances) => {
    const [first, last] = [instances[0], instances.at(-1)] as [InstanceLocation, InstanceLocation];
    return { pack: first, instances, offsetBytes: first.offsetBytes, lengthBytes: last.offsetBytes + last.lengthBytes - first.offsetBytes };
  });
}

/** One instance of a stream. `bytes` is read to its end before the next instance is asked for; a lent piece is valid until the next one is. */
export interface StreamedInstance {
  readonly location: InstanceLocation;
  /** It comes from a pack kept on this machine's disk, which was compared with its digests when it was kept. */
  readonly isKept: boolean;
  readonly bytes: AsyncGenerator<Piece>;
}

/** The Part 10 files of a list of instances from the archive, by as few requests as their places allow. */
export async function* streamInstances(archive: Pick<ArchiveStore, 'readRange' | 'lendRange'>, locations: AsyncIterable<InstanceLocation> | Iterable<InstanceLocation>, signal: AbortSignal): AsyncGenerator<StreamedInstance> {
  const open = (run: Run) => ({ run, source: settled(openSource(archive, run, signal)) });
  const runs = runsOf(locations);
  let opened: ReturnType<typeof open> | undefined;
  try {
    for (let next = await runs.next(); !next.done;) {
      const { run, source } = opened ?? open(next.value);
      next = await runs.next();
      opened = !next.done && run.lengthBytes < shortRunBytes ? open(next.value) : undefined;
      yield* splitRun(run, await source());
    }
  } finally {
    await runs.return(undefined);
    if (opened) opened.source().then((source) => source.close()).catch(() => {});
  }
}

/** A promise that may be looked at late, or never: its rejection is no unhandled one. */
function settled<T>(promise: Promise<T>): () => Promise<T> {
  promise.catch(() => {});
  return () => promise;
}

/** Where the pieces of a run come from; LentRange says what the methods promise. */
interface Source {
  readonly isKept: boolean;
  next(): Promise<Piece | undefined>;
  giveBack(): void;
  close(): Promise<void>;
}

async function openSource(archive: Pick<ArchiveStore, 'readRange' | 'lendRange'>, { pack, offsetBytes, lengthBytes }: Run, signal: AbortSignal): Promise<Source> {
  const lent: LentRange | undefined = await archive.lendRange?.(pack, offsetBytes, lengthBytes);
  if (!lent) return sourceOf(await archive.readRange(pack, offsetBytes, lengthBytes, signal));
  return { isKept: true, next: () => lent.next(), giveBack: () => lent.giveBack(), close: () => lent.close() };
}

function sourceOf(stream: Readable): Source {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  return {
    isKept: false,
    next: async () => (await pieces.next()).value,
    giveBack: () => {},
    close: async () => { stream.destroy(); },
  };
}

async function* splitRun(run: Run, source: Source): AsyncGenerator<StreamedInstance> {
  const reader = new StreamReader(source);
  try {
    for (const location of run.instances) {
      await reader.skipTo(location.offsetBytes - run.offsetBytes);
      yield { location, isKept: source.isKept, bytes: reader.take(location.lengthBytes) };
      await reader.skipTo(location.offsetBytes - run.offsetBytes + location.lengthBytes);
    }
  } finally {
    await source.close();
  }
}

/** Cuts pieces to known lengths without copying. */
class StreamReader {
  readonly #source: Source;
  #rest: Piece = Buffer.alloc(0);
  #position = 0;

  constructor(source: Source) {
    this.#source = source;
  }

  /** Who asks on after the last piece has no more use for it. */
  async *take(lengthBytes: number): AsyncGenerator<Piece> {
    for (let left = lengthBytes; left > 0;) {
      const piece = await this.#next(left);
      left -= piece.length;
      yield piece;
    }
    if (this.#rest.length === 0) this.#source.giveBack();
  }

  async skipTo(position: number): Promise<void> {
    while (this.#position < position) await this.#next(position - this.#position);
  }

  async #next(maxBytes: number): Promise<Piece> {
    if (this.#rest.length === 0) {
      const piece = await this.#source.next();
      if (!piece) throw new Error('The archive gave fewer bytes than the index says');
      this.#rest = piece;
    }
    const piece = this.#rest.subarray(0, maxBytes);
    this.#rest = this.#rest.subarray(piece.length);
    this.#position += piece.length;
    return piece;
  }
}

/** The bytes differ from what was received. */
export class WrongDigest extends Error {
  override readonly name = 'WrongDigest';
}

/**
 * Passes bytes on and checks their SHA-256; the last piece goes on when the digest is known to be right.
 *
 * @param onRight told before that piece
 */
export async function* verified(bytes: AsyncIterable<Piece>, { sha256, lengthBytes, sopInstanceUID, packId }: InstanceLocation, onRight: () => void = () => {}): AsyncGenerator<Piece> {
  const hash = createHash('sha256');
  let left = lengthBytes;
  for await (const piece of bytes) {
    hash.update(borrowed(piece));
    left -= piece.length;
    if (left === 0 && hash.digest('hex') !== sha256) throw new WrongDigest(`The archive holds other bytes for instance ${sopInstanceUID} in pack ${packId} than were received`);
    if (left === 0) onRight();
    yield piece;
  }
}
