import { Readable, pipeline } from 'node:stream';
import { createInflateRaw } from 'node:zlib';

/** Bytes that can be read at any position: one Part 10 file, be it a file of its own or a slice of a pack. */
export interface ByteSource {
  readonly lengthBytes: number;
  /** The bytes at the offset; fewer than asked for only where the source ends. */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
}

/** The bytes are not what they should be; the message is a sentence without attribute values. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

const pieceBytes = 64 * 1024;

/**
 * The data set behind a deflated transfer syntax (PS3.5 A.5), inflated as it is read. Reads go forwards: what lies
 * before the last offset is dropped, so memory holds no more than the longest read. `lengthBytes` is infinite
 * until the end has been seen.
 *
 * @throws Unreadable from `read` when the bytes cannot be inflated or become more than `maxInflatedBytes`
 */
export class InflatedSource implements ByteSource {
  lengthBytes = Infinity;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #maxInflatedBytes: number;
  readonly #stream: Readable;
  #kept: Buffer = Buffer.alloc(0);
  #keptFrom = 0;

  constructor(deflated: ByteSource, offsetBytes: number, maxInflatedBytes: number) {
    const inflate = createInflateRaw();
    this.#stream = inflate;
    this.#maxInflatedBytes = maxInflatedBytes;
    this.#chunks = inflate[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    pipeline(Readable.from(pieces(deflated, offsetBytes)), inflate, () => {});
  }

  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let keptTo = this.#keptFrom + this.#kept.length;
    parts.push(this.#kept.subarray(Math.max(0, offsetBytes - this.#keptFrom)));
    while (keptTo < offsetBytes + lengthBytes && this.lengthBytes === Infinity) {
      const chunk = await this.#next();
      if (chunk === undefined) this.lengthBytes = keptTo;
      else {
        parts.push(chunk.subarray(Math.max(0, offsetBytes - keptTo)));
        keptTo += chunk.length;
      }
    }
    this.#kept = Buffer.concat(parts);
    this.#keptFrom = keptTo - this.#kept.length;
    return this.#kept.subarray(0, lengthBytes);
  }

  close(): void {
    this.#stream.destroy();
  }

  #inflatedBytes = 0;

  async #next(): Promise<Buffer | undefined> {
    try {
      const { value, done } = await this.#chunks.next();
      if (done === true) return undefined;
      this.#inflatedBytes += value.length;
      if (this.#inflatedBytes <= this.#maxInflatedBytes) return value;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))) throw error;
      throw new Unreadable('The deflated data set cannot be inflated.', { cause: error });
    }
    throw new Unreadable('The deflated data set inflates to more than is read.');
  }
}

async function* pieces(source: ByteSource, offsetBytes: number): AsyncGenerator<Buffer> {
  for (let at = offsetBytes; at < source.lengthBytes; at += pieceBytes) {
    yield await source.read(at, Math.min(pieceBytes, source.lengthBytes - at));
  }
}
