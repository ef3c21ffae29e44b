import type { Response } from 'express';
import { LentBytes, type Piece } from '../stores/packs/lentBytes.ts';
import type { TenantContext } from './context.ts';
import { errorForLog } from './errorForLog.ts';

/**
 * Sends a body as it is made. Its first piece is made before the status line is sent, so that what fails early is a
 * problem document; what fails later destroys the socket, so that no client takes half a body for a whole one.
 *
 * @param body returned early when the client goes away
 */
export async function sendStream(
  { signal, log }: Pick<TenantContext, 'signal' | 'log'>, response: Response,
  { status, headers }: { readonly status: number; readonly headers: Readonly<Record<string, string | undefined>> },
  body: AsyncGenerator<Piece>,
): Promise<void> {
  try {
    let piece = await body.next();
    if (signal.aborted) return;
    response.status(status);
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
  }
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
