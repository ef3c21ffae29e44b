import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { pipeline, type Readable } from 'node:stream';
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

/** Reads what gzipLines wrote, line by line. The source is destroyed when the reader stops early. */
export async function* gunzipLines<T>(source: Readable): AsyncIterable<T> {
  let failure: Error | undefined;
  const text = createGunzip();
  pipeline(source, text, (error) => { failure = error ?? undefined; });
  for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
    if (line !== '') yield JSON.parse(line) as T;
  }
  if (failure) throw failure;
}
