import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { blockBytes, maxEntryBytes } from '../../domain/packTar.ts';

/** A batch is written when it holds this much, or this many pieces. Two batches at most are in memory per association. */
export const batchBytes = 1024 * 1024;
const batchPieces = 1024;

/** The Part 10 file does not fit a tar entry (8 GiB − 1). */
export class EntryTooLong extends Error {
  override readonly name = 'EntryTooLong';
}

/**
 * Writes one Part 10 file, given piece by piece, to a place in a file: gathered without copying, hashed on the way,
 * written by position. The space before it is for its tar header, which `finish` writes last.
 */
export class BatchWriter {
  readonly #file: FileHandle;
  readonly #startBytes: number;
  readonly #hash = createHash('sha256');
  #lengthBytes = 0;
  #writtenBytes = 0;
  #batch: Buffer[] = [];
  #inBatchBytes = 0;
  #inFlight: Promise<void> | undefined;
  #failure: unknown;

  /** @param startBytes where the first piece goes, from the start of the file */
  constructor(file: FileHandle, startBytes: number) {
    this.#file = file;
    this.#startBytes = startBytes;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /**
   * Takes the next piece; it must not change any more.
   *
   * @returns a promise when the disk is behind: wait for it before the next piece
   * @throws EntryTooLong, and the error of an earlier write
   */
  push(piece: Buffer): void | Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#lengthBytes + piece.length > maxEntryBytes) throw new EntryTooLong('An instance of 8 GiB or more does not fit a pack.');
    this.#hash.update(piece);
    this.#batch.push(piece);
    this.#lengthBytes += piece.length;
    this.#inBatchBytes += piece.length;
    if (this.#inBatchBytes < batchBytes && this.#batch.length < batchPieces) return undefined;
    return this.#inFlight === undefined ? this.#startBatch() : this.#nextBatch();
  }

  /** Every piece written, not yet synced. @returns the digest in lower-case hex */
  async finish(): Promise<{ readonly sha256: string; readonly lengthBytes: number }> {
    const sha256 = this.#hash.digest('hex');
    await this.#drain();
    return { sha256, lengthBytes: this.#lengthBytes };
  }

  /**
   * Every piece written, padded to a tar block, and after that the header before it. One write when all fits a batch.
   *
   * @param headerOf the bytes of the tar header, which end where the first piece begins
   */
  async finishEntry(headerOf: (sha256: string, lengthBytes: number) => Uint8Array): Promise<{ readonly sha256: string; readonly lengthBytes: number }> {
    const sha256 = this.#hash.digest('hex');
    const header = headerOf(sha256, this.#lengthBytes);
    const padding = (blockBytes - (this.#lengthBytes % blockBytes)) % blockBytes;
    if (padding > 0) this.#batch.push(zeros.subarray(0, padding));
    if (this.#writtenBytes === 0) {
      await writeFully(this.#file, [header, ...this.#batch], this.#startBytes - header.length);
    } else {
      await this.#drain();
      await writeFully(this.#file, [header], this.#startBytes - header.length);
    }
    this.#batch = [];
    return { sha256, lengthBytes: this.#lengthBytes };
  }

  /** Waits until nothing is being written any more; what fails is of no interest. */
  async settle(): Promise<void> {
    this.#batch = [];
    await this.#inFlight;
  }

  async #drain(): Promise<void> {
    await this.#inFlight;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#batch.length === 0) return;
    this.#startBatch();
    await this.#drain();
  }

  async #nextBatch(): Promise<void> {
    await this.#inFlight;
    if (this.#failure !== undefined) throw this.#failure;
    this.#startBatch();
  }

  #startBatch(): void {
    const batch = this.#batch;
    const position = this.#startBytes + this.#writtenBytes;
    this.#writtenBytes += this.#inBatchBytes;
    this.#batch = [];
    this.#inBatchBytes = 0;
    this.#inFlight = writeFully(this.#file, batch, position).then(
      () => { this.#inFlight = undefined; },
      (error: unknown) => { this.#failure = error; this.#inFlight = undefined; });
  }
}

const zeros = Buffer.alloc(blockBytes);

/** Writes all of it: the system may take less than it was given, most often just before the disk is full. */
export async function writeFully(file: FileHandle, pieces: readonly Uint8Array[], positionBytes: number): Promise<void> {
  let rest = pieces.filter((piece) => piece.length > 0);
  let position = positionBytes;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, position);
    if (bytesWritten === 0) throw Object.assign(new Error('The disk took no bytes.'), { code: 'EIO' });
    position += bytesWritten;
    rest = after(rest, bytesWritten);
  }
}

function after(pieces: readonly Uint8Array[], writtenBytes: number): Uint8Array[] {
  let left = writtenBytes;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    if (left >= piece.length) left -= piece.length;
    else {
      rest.push(piece.subarray(left));
      left = 0;
    }
  }
  return rest;
}
