import { once } from 'node:events';
import { pipeline, type Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip, createGzip, gunzipSync, gzipSync } from 'node:zlib';

export const gzipJson = (value: unknown): Buffer => gzipSync(JSON.stringify(value));

/** @returns the value and the length of its text, a measure of its size in memory */
export function gunzipJson<T>(bytes: Buffer): { readonly value: T; readonly textBytes: number } {
  const text = gunzipSync(bytes).toString('utf8');
  return { value: JSON.parse(text) as T, textBytes: text.length };
}

/** One line of JSON per item, compressed as they come: only the compressed bytes are held. */
export async function gzipLines(items: Iterable<unknown>): Promise<Buffer> {
  const gzip = createGzip();
  const chunks: Buffer[] = [];
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = once(gzip, 'end');
  for (const item of items) if (!gzip.write(`${JSON.stringify(item)}\n`)) await once(gzip, 'drain');
  gzip.end();
  await ended;
  return Buffer.concat(chunks);
}

/**
 * Reads what gzipLines wrote, line by line. Only the line feed ends a line: JSON leaves U+2028 and its like as they are, at which
 * node:readline would cut. The source is destroyed when the reader stops early.
 */
export async function* gunzipLines<T>(source: Readable): AsyncIterable<T> {
  const decoder = new StringDecoder('utf8');
  const pieces: string[] = [];
  const text = pipeline(source, createGunzip(), () => undefined);
  for await (const chunk of text) {
    const [first = '', ...rest] = decoder.write(chunk as Buffer).split('\n');
    pieces.push(first);
    for (const piece of rest) {
      yield JSON.parse(pieces.join('')) as T;
      pieces.length = 0;
      pieces.push(piece);
    }
  }
  const last = pieces.join('');
  if (last !== '') yield JSON.parse(last) as T;
}
