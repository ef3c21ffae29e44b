import { createHash, type Hash } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { HttpProblem } from '../../problems.ts';

const batchBytes = 1024 * 1024;

/** What of a part was written: its data set, as it came. */
export interface SpooledBytes {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * The data sets of one request on disk, one behind the other in one file. It needs no sync: the sender hears of success
 * when S3 has the bytes, and what a crash leaves here is of no use to anyone.
 */
export class StowSpool {
  readonly #folder: string;
  readonly #file: FileHandle;
  readonly #maxBytes: number;
  #endBytes = 0;

  private constructor(folder: string, file: FileHandle, maxBytes: number) {
    this.#folder = folder;
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  /** @param maxBytes of all data sets of the request */
  static async open(parent: string, maxBytes: number): Promise<StowSpool> {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(path.join(parent, 'request-'));
    return new StowSpool(folder, await open(path.join(folder, 'data'), 'wx+', 0o600), maxBytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  writer(): DataSetWriter {
    return new DataSetWriter(this.#file, this.#endBytes, this.#maxBytes, (endBytes) => {
      this.#endBytes = endBytes;
    });
  }

  /** Fills the target from the file. */
  async readInto(target: Buffer, offsetBytes: number): Promise<void> {
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await this.#file.read(target, done, target.length - done, offsetBytes + done);
      if (bytesRead === 0) throw new Error('The spool file of a request is shorter than what was written');
      done += bytesRead;
    }
  }

  /** What was kept, in pieces. */
  async *read({ offsetBytes, lengthBytes }: SpooledBytes): AsyncGenerator<Buffer> {
    for (let at = 0; at < lengthBytes; at += batchBytes) {
      const piece = Buffer.allocUnsafe(Math.min(batchBytes, lengthBytes - at));
      await this.readInto(piece, offsetBytes + at);
      yield piece;
    }
  }

  async hashRange(hash: Hash, bytes: SpooledBytes): Promise<void> {
    for await (const piece of this.read(bytes)) hash.update(piece);
  }
}

/** Appends one data set. What is not kept is overwritten by the next one. */
export class DataSetWriter {
  readonly #file: FileHandle;
  readonly #startBytes: number;
  readonly #maxBytes: number;
  readonly #kept: (endBytes: number) => void;
  #batch: Buffer[] = [];
  #batchedBytes = 0;
  #writtenBytes = 0;

  constructor(file: FileHandle, startBytes: number, maxBytes: number, kept: (endBytes: number) => void) {
    this.#file = file;
    this.#startBytes = startBytes;
    this.#maxBytes = maxBytes;
    this.#kept = kept;
  }

  /** @throws HttpProblem 413 */
  async write(piece: Buffer): Promise<void> {
    if (piece.length === 0) return;
    this.#batch.push(piece);
    this.#batchedBytes += piece.length;
    if (this.#startBytes + this.#writtenBytes + this.#batchedBytes > this.#maxBytes) throw tooLarge(this.#maxBytes);
    if (this.#batchedBytes >= batchBytes) await this.#flush();
  }

  async keep(): Promise<SpooledBytes> {
    await this.#flush();
    this.#kept(this.#startBytes + this.#writtenBytes);
    return { offsetBytes: this.#startBytes, lengthBytes: this.#writtenBytes };
  }

  async #flush(): Promise<void> {
    let pieces = this.#batch;
    this.#batch = [];
    this.#batchedBytes = 0;
    while (pieces.length > 0) {
      const { bytesWritten } = await this.#file.writev(pieces, this.#startBytes + this.#writtenBytes);
      this.#writtenBytes += bytesWritten;
      pieces = behind(pieces, bytesWritten);
    }
  }
}

/** What a short write left over. */
function behind(pieces: readonly Buffer[], bytes: number): Buffer[] {
  let skip = bytes;
  return pieces.flatMap((piece) => {
    const rest = piece.subarray(Math.min(skip, piece.length));
    skip -= piece.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}

export const tooLarge = (maxBytes: number): HttpProblem =>
  new HttpProblem(413, `The request is larger than the ${maxBytes} bytes that this service takes at once. Nothing was stored: send the instances in several requests.`);

/** SHA-256 of a Part 10 file whose first bytes (the file meta) are known only after some of the data set has come. */
export class LateHash {
  static readonly maxHeldBytes = 1024 * 1024;
  #held: Buffer[] | undefined = [];
  #heldBytes = 0;
  #hash: Hash | undefined;

  push(piece: Buffer): void {
    if (this.#hash) return void this.#hash.update(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes > LateHash.maxHeldBytes) this.#held = undefined;
    this.#held?.push(piece);
  }

  /** From now on the pieces need not be held. */
  start(fileMeta: Buffer): void {
    if (this.#hash || !this.#held) return;
    this.#hash = createHash('sha256').update(fileMeta);
    for (const piece of this.#held) this.#hash.update(piece);
    this.#held = undefined;
  }

  /** Reads the data set again where the file meta came too late. */
  async digest(fileMeta: Buffer, spool: StowSpool, bytes: SpooledBytes): Promise<string> {
    this.start(fileMeta);
    if (this.#hash) return this.#hash.digest('hex');
    const hash = createHash('sha256').update(fileMeta);
    await spool.hashRange(hash, bytes);
    return hash.digest('hex');
  }
}
