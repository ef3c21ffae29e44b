import { connect, constants, createServer, type ClientHttp2Session, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { FaultList, type Call, type Fault } from './faultList.ts';

/** A gRPC server in front of Temporal's: every call of Temporal's is unary, so it sees each message whole. */
export interface GrpcProxy {
  /** `host:port` */
  readonly address: string;
  readonly faults: FaultList;
  /** Breaks every connection and takes no new one, until `mend`. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function startGrpcProxy(targetPort: number): Promise<GrpcProxy> {
  const faults = new FaultList();
  const sessions = new Set<ServerHttp2Session>();
  let isCut = false;
  const server = createServer();
  server.on('session', (session) => {
    if (isCut) return session.destroy();
    sessions.add(session);
    const upstream = connect(`http://127.0.0.1:${targetPort}`);
    const end = (): void => {
      sessions.delete(session);
      session.destroy();
      upstream.destroy();
    };
    for (const side of [session, upstream]) side.on('error', () => undefined).once('close', end);
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      carry(faults, upstream, stream, headers).catch(() => stream.close(constants.NGHTTP2_CANCEL));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    isCut = true;
    for (const session of sessions) session.destroy();
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`, faults, cut,
    mend: () => { isCut = false; },
    close: async () => {
      cut();
      server.close();
    },
  };
}

/** Takes one call there and back. */
async function carry(faults: FaultList, upstream: ClientHttp2Session, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
  const asked = await bodyOf(stream);
  const call: Call = { method: 'POST', path: String(headers[':path']), request: textOf(asked), answer: '', status: 0 };
  const early = faults.take(call, 'before');
  if (early && await strike(early, stream)) return;
  const { [':authority']: authority, [':path']: path, ...rest } = headers;
  const own = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith(':')));
  const forwarded = upstream.request({ ...own, ':method': 'POST', ':path': path, ':authority': authority }, { endStream: false });
  stream.once('close', () => forwarded.close(constants.NGHTTP2_CANCEL));
  let trailers: IncomingHttpHeaders | undefined;
  forwarded.on('trailers', (got) => { trailers = got; });
  forwarded.end(asked);
  const [answered] = await once(forwarded, 'response') as [IncomingHttpHeaders];
  const body = await bodyOf(forwarded);
  const late = faults.take({ ...call, answer: textOf(body), status: 200 }, 'after');
  if (late && await strike(late, stream)) return;
  if (stream.destroyed) return;
  if (!trailers) return void stream.respond(answered, { endStream: true });
  stream.respond(answered, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers(trailers!));
  stream.end(body);
}

/** @returns whether the call is over */
async function strike({ act, meanwhile }: Fault, stream: ServerHttp2Stream): Promise<boolean> {
  await meanwhile?.();
  if (act.kind === 'stall') {
    await sleep(act.ms);
    return false;
  }
  if (act.kind === 'answer' && !stream.destroyed) {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': `${act.status}`, 'grpc-message': 'injected' }, { endStream: true });
  } else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  return true;
}

async function bodyOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The message of a gRPC body: a flag that tells whether it is compressed, its length, its bytes. */
function textOf(body: Buffer): string {
  if (body.length < 5) return '';
  const message = body.subarray(5, 5 + body.readUInt32BE(1));
  return (body[0] === 1 ? gunzipSync(message) : message).toString('latin1');
}
