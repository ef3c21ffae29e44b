import type { FileHandle } from 'node:fs/promises';

/** Bytes that a reader keeps, or that are lent to it. */
export type Piece = Uint8Array | LentBytes;

interface Loan { ended: boolean }

/**
 * Bytes in a buffer that is used again for the next piece. It is no Uint8Array, so that nobody keeps one by mistake; what is asked of it
 * after it was given back throws.
 */
export class LentBytes {
  readonly #bytes: Buffer;
  readonly #loan: Loan;

  constructor(bytes: Buffer, loan: Loan) {
    this.#bytes = bytes;
    this.#loan = loan;
  }

  get length(): number {
    return this.#bytes.length;
  }

  subarray(start: number, end?: number): LentBytes {
    return new LentBytes(this.#bytes.subarray(start, end), this.#loan);
  }

  /** For who is done with them before the next piece is asked for: a write has called back, a hash was updated. */
  borrow(): Buffer {
    if (this.#loan.ended) throw new Error('These bytes were only lent, and were given back');
    return this.#bytes;
  }

  copy(): Buffer {
    return Buffer.from(this.borrow());
  }
}

/** The bytes to keep. */
export const owned = (piece: Piece): Uint8Array => (piece instanceof LentBytes ? piece.copy() : piece);

/** The bytes to use at once. */
export const borrowed = (piece: Piece): Uint8Array => (piece instanceof LentBytes ? piece.borrow() : piece);

/** A range whose pieces are lent, one at a time. */
export interface LentRange {
  /** Takes the piece before back. @returns undefined at the end */
  next(): Promise<LentBytes | undefined>;
  /** Says that the last piece is not needed any more. */
  giveBack(): void;
  /** To be called in any case. A buffer that was not given back may be on its way to a client still: it is not used again. */
  close(): Promise<void>;
}

/**
 * Buffers to be used again, because memory outside V8's heap counts for its collector: a fresh one for each piece has it mark the heap
 * every few pieces. They are no limit: who finds none takes a new one.
 */
export class SpareBuffers {
  readonly #bufferBytes: number;
  readonly #maxSpare: number;
  readonly #spare: Buffer[] = [];

  constructor(bufferBytes: number, maxSpare: number) {
    this.#bufferBytes = bufferBytes;
    this.#maxSpare = maxSpare;
  }

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bufferBytes);
  }

  giveBack(buffer: Buffer): void {
    if (this.#spare.length < this.#maxSpare) this.#spare.push(buffer);
  }
}

/** A range of a file, which it closes. */
export class LentFileRange implements LentRange {
  readonly #file: FileHandle;
  readonly #buffers: SpareBuffers;
  readonly #endBytes: number;
  #atBytes: number;
  #lent: { readonly buffer: Buffer; readonly loan: Loan } | undefined;

  constructor(file: FileHandle, buffers: SpareBuffers, offsetBytes: number, lengthBytes: number) {
    this.#file = file;
    this.#buffers = buffers;
    this.#atBytes = offsetBytes;
    this.#endBytes = offsetBytes + lengthBytes;
  }

  async next(): Promise<LentBytes | undefined> {
    this.giveBack();
    if (this.#atBytes === this.#endBytes) return undefined;
    const buffer = this.#buffers.take();
    const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, this.#endBytes - this.#atBytes), this.#atBytes);
    if (bytesRead === 0) throw new Error('A kept pack is shorter than its index says');
    this.#atBytes += bytesRead;
    const loan = { ended: false };
    this.#lent = { buffer, loan };
    return new LentBytes(buffer.subarray(0, bytesRead), loan);
  }

  giveBack(): void {
    if (!this.#lent) return;
    this.#lent.loan.ended = true;
    this.#buffers.giveBack(this.#lent.buffer);
    this.#lent = undefined;
  }

  async close(): Promise<void> {
    if (this.#lent) this.#lent.loan.ended = true;
    this.#lent = undefined;
    await this.#file.close();
  }
}
