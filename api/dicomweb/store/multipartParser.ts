/** The body is no multipart body; the message is a sentence for the sender. */
export class MultipartError extends Error {
  override readonly name = 'MultipartError';
}

export interface Part {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Read it before the next part is asked for; what is left unread is skipped. */
  readonly body: AsyncGenerator<Buffer>;
}

const maxHeaderBytes = 16 * 1024;
/** Spaces after a boundary (RFC 2046 5.1.1, transport-padding). */
const maxPaddingBytes = 256;
const crlf = Buffer.from('\r\n');

/**
 * Parses a multipart body (RFC 2046 5.1) as it streams. Memory: one chunk of the source, the boundary, the headers of one
 * part. Any number of parts; preamble and epilogue are skipped.
 *
 * @throws MultipartError when the body ends before its last boundary, has none, or has headers beyond 16 KiB
 */
export async function* parseMultipart(source: AsyncIterable<Buffer>, boundary: string): AsyncGenerator<Part> {
  const reader = new DelimitedReader(source, boundary);
  await skip(reader.untilDelimiter());
  while (!await reader.atClose()) {
    const headers = parseHeaders(await reader.headers());
    const body = reader.untilDelimiter();
    yield { headers, body };
    await skip(reader.untilDelimiter());
  }
  await reader.skipEpilogue();
}

async function skip(body: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of body);
}

function parseHeaders(text: string): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of text.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}

/** Reads up to delimiters: CRLF, two hyphens and the boundary, then two hyphens or the end of the line. */
class DelimitedReader {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #delimiter: Buffer;
  /** Starts with the line end that the first delimiter may lack. */
  #bytes: Buffer = crlf;
  /** Whether the last boundary is behind us and no headers were read since. */
  #atDelimiter = false;

  constructor(source: AsyncIterable<Buffer>, boundary: string) {
    this.#chunks = source[Symbol.asyncIterator]();
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  /** The bytes before the next delimiter, or what another call left of them; ends behind the boundary. */
  async *untilDelimiter(): AsyncGenerator<Buffer> {
    while (!this.#atDelimiter) {
      const at = this.#bytes.indexOf(this.#delimiter);
      const safe = at >= 0 ? at : Math.max(0, this.#bytes.length - this.#delimiter.length + 1);
      if (safe > 0) yield this.#take(safe);
      else if (at === 0) {
        this.#atDelimiter = await this.#isDelimiter();
        const taken = this.#take(this.#delimiter.length);
        if (!this.#atDelimiter) yield taken;
      } else await this.#more();
    }
  }

  /** Whether what starts like a delimiter is one: `--`, or spaces and a line end, follow. */
  async #isDelimiter(): Promise<boolean> {
    for (;;) {
      const after = this.#bytes.toString('latin1', this.#delimiter.length, this.#delimiter.length + maxPaddingBytes);
      if (/^(?:--|[ \t]*\r\n)/.test(after)) return true;
      if (!/^(?:-?|[ \t]*\r?)$/.test(after) || after.length >= maxPaddingBytes) return false;
      await this.#more();
    }
  }

  /** Behind a boundary: whether it was the last one. */
  async atClose(): Promise<boolean> {
    while (this.#bytes.length < 2) await this.#more();
    return this.#bytes.toString('latin1', 0, 2) === '--';
  }

  /** The headers of a part, and the empty line behind them. */
  async headers(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end >= 0 && end <= maxHeaderBytes) {
        const text = this.#take(end + 4).toString('utf8');
        this.#atDelimiter = false;
        return text.slice(0, -4).replace(/^[ \t]*(?:\r\n)?/, '');
      }
      if (this.#bytes.length > maxHeaderBytes) throw new MultipartError('The headers of a part are longer than 16 KiB, or the empty line behind them is missing.');
      await this.#more();
    }
  }

  async skipEpilogue(): Promise<void> {
    this.#bytes = Buffer.alloc(0);
    while (!(await this.#chunks.next()).done);
  }

  #take(lengthBytes: number): Buffer {
    const taken = this.#bytes.subarray(0, lengthBytes);
    this.#bytes = this.#bytes.subarray(lengthBytes);
    return taken;
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#chunks.next();
    if (done) throw new MultipartError('The body ends before its last boundary. Nothing of it was stored: send it again.');
    this.#bytes = this.#bytes.length === 0 ? value : Buffer.concat([this.#bytes, value]);
  }
}
