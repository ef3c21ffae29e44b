import { request as requestHttp, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface MultipartPart {
  readonly contentType: string;
  readonly lengthBytes: number;
  open(): Promise<Readable>;
}

export interface MultipartPost {
  readonly url: string;
  readonly boundary: string;
  readonly parts: readonly MultipartPart[];
  readonly headers: Readonly<Record<string, string>>;
  readonly idleTimeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Of an answer: a response module for 100 instances has about 40 KB. What is longer is cut. */
const maxAnswerBytes = 4 * 1024 * 1024;

/** A part could not be read here: the peer has no share in it. `cause` is what reading threw. */
export class UnreadablePart extends Error {
  override readonly name = 'UnreadablePart';
}

/**
 * Posts parts as multipart/related (RFC 2387) with a Content-Length, one part open at a time and as fast as the peer reads.
 * An answer before all is sent, such as 401 or 413, ends the sending.
 *
 * @throws UnreadablePart, or what the connection threw; also when nothing moves for `idleTimeoutMs`
 */
export async function postInstances(post: MultipartPost): Promise<HttpAnswer> {
  const { heads, tail } = framing(post);
  const lengthBytes = post.parts.reduce((sum, part, index) => sum + heads[index]!.length + part.lengthBytes, tail.length);
  const request = open(post, lengthBytes);
  const answered = answerOf(request, post.idleTimeoutMs);
  const sent = pipeline(Readable.from(bodyOf(post.parts, heads, tail), { objectMode: false }), request);
  try {
    return await Promise.race([answered, sent.then(() => answered)]);
  } catch (error) {
    if (error instanceof UnreadablePart || !(error instanceof Error)) throw error;
    throw await sent.then(() => error, (failure: unknown) => (failure instanceof UnreadablePart ? failure : error));
  } finally {
    request.destroy();
    await sent.catch(() => undefined);
  }
}

function framing({ parts, boundary }: MultipartPost): { readonly heads: readonly Buffer[]; readonly tail: Buffer } {
  return {
    heads: parts.map(({ contentType }, index) => Buffer.from(`${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${contentType}\r\n\r\n`, 'latin1')),
    tail: Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'),
  };
}

async function* bodyOf(parts: readonly MultipartPart[], heads: readonly Buffer[], tail: Buffer): AsyncIterable<Buffer> {
  for (const [index, part] of parts.entries()) {
    yield heads[index]!;
    yield* contentOf(part);
  }
  yield tail;
}

async function* contentOf(part: MultipartPart): AsyncIterable<Buffer> {
  let lengthBytes = 0;
  let reading = true;
  try {
    for await (const chunk of await part.open()) {
      lengthBytes += (chunk as Buffer).length;
      reading = false;
      yield chunk as Buffer;
      reading = true;
    }
  } catch (cause) {
    // The stream that takes the chunks throws its own failure in at the yield.
    if (!reading) throw cause;
    throw new UnreadablePart('An instance could not be read', { cause });
  }
  if (lengthBytes !== part.lengthBytes) {
    throw new UnreadablePart('An instance could not be read', { cause: new Error(`An instance of ${part.lengthBytes} bytes has ${lengthBytes}`) });
  }
}

function open({ url, boundary, headers, signal }: MultipartPost, lengthBytes: number): ClientRequest {
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  return send(url, {
    method: 'POST', signal, agent: false,
    headers: { ...headers, 'content-type': `multipart/related; type="application/dicom"; boundary=${boundary}`, 'content-length': lengthBytes },
  });
}

function answerOf(request: ClientRequest, idleTimeoutMs: number): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  request.once('error', reject);
  request.setTimeout(idleTimeoutMs, () => request.destroy(new Error(`Nothing moved for ${Math.round(idleTimeoutMs / 1000)} s`)));
  request.once('response', (response) => {
    textOf(response).then((body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }), reject);
  });
  return promise;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes <= maxAnswerBytes) chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}
