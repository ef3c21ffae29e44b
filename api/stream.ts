import { Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { Response } from 'express';
import { LentBytes, owned, type Piece } from '../stores/packs/lentBytes.ts';
import type { TenantContext } from './context.ts';
import { parseMediaRange } from './dicomweb/accept.ts';
import { errorForLog } from './errorForLog.ts';

export interface StreamOptions {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Whether the body is text that a client may have compressed. */
  readonly text?: boolean;
}

/**
 * Sends a body as it is made. Its first piece is made before the status line is sent, so that what fails early is a
 * problem document; what fails later destroys the socket, so that no client takes half a body for a whole one.
 *
 * @param body returned early when the client goes away
 */
export async function sendStream(
  { signal, log }: Pick<TenantContext, 'signal' | 'log'>, response: Response,
  { status, headers, text = false }: StreamOptions,
  made: AsyncGenerator<Piece>,
): Promise<void> {
  let body = made;
  try {
    let piece = await body.next();
    if (signal.aborted) return;
    response.status(status);
    if (text) response.vary('Accept-Encoding');
    if (text && takesGzip(response.req.get('Accept-Encoding'))) {
      response.setHeader('Content-Encoding', 'gzip');
      body = gzipped(piece, made);
      if (response.req.method !== 'HEAD') piece = await body.next();
    }
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    if (response.req.method === 'HEAD') return void response.end();
    for (; !piece.done; piece = await body.next()) {
      if (piece.value instanceof LentBytes) {
        if (!await written(response, piece.value.borrow(), signal)) return void response.destroy();
      } else if (!response.write(piece.value)) await drained(response, signal);
      if (signal.aborted) return;
    }
    response.end();
  } catch (error) {
    if (signal.aborted) return;
    if (!response.headersSent) throw error;
    log.error({ error: errorForLog(error) }, 'a response was broken off');
    response.destroy();
  } finally {
    await body.return(undefined);
    await made.return(undefined);
  }
}

/** Compressed as it is made; what the source throws is thrown. */
async function* gzipped(first: IteratorResult<Piece, unknown>, rest: AsyncGenerator<Piece>): AsyncGenerator<Uint8Array> {
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let piece = first; !piece.done; piece = await rest.next()) yield owned(piece.value);
  }
  yield* Readable.from(source()).compose(createGzip({ level: constants.Z_BEST_SPEED })) as AsyncIterable<Uint8Array>;
}

/** Whether the client takes gzip (RFC 9110 12.5.3): named with a weight, or by a star. */
function takesGzip(header = ''): boolean {
  const codings = new Map(header.split(',').map((coding) => parseMediaRange(`coding/${coding.trim().toLowerCase()}`)).flatMap((coding) => (coding ? [[coding.type.slice(7), coding.q] as const] : [])));
  return (codings.get('gzip') ?? codings.get('*') ?? 0) > 0;
}

/** @returns whether the socket has taken the bytes, so that they may be overwritten */
function written(response: Response, bytes: Buffer, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = (): void => resolve(false);
    signal.addEventListener('abort', gone, { once: true });
    response.write(bytes, (error) => {
      signal.removeEventListener('abort', gone);
      resolve(!error);
    });
  });
}

function drained(response: Response, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || response.destroyed) return resolve();
    const done = (): void => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Whether the client holds what it asks for (RFC 9110 13.1.2, weak comparison). */
export function isNotModified(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const opaque = (tag: string): string => tag.trim().replace(/^W\//, '');
  return ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some((tag) => opaque(tag) === opaque(etag));
}
