import { Agent, createServer, request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultList, type Act, type Call } from './faultList.ts';

/** An HTTP server in front of another, on which faults can be armed and whose link can be cut or made slow. */
export interface HttpProxy {
  readonly url: string;
  readonly faults: FaultList;
  /** Breaks every connection and takes no new one, until `mend`. */
  cut(): void;
  mend(): void;
  /** What both directions of one request may take together; undefined lifts it. */
  slow(bytesPerSecond: number | undefined): void;
  close(): Promise<void>;
}

/** @param onAnswered called for each call that the caller has the true answer of */
export async function startHttpProxy(targetPort: number, onAnswered: (call: Call) => void = () => {}): Promise<HttpProxy> {
  const proxy = new Proxy(targetPort, onAnswered);
  await proxy.listen();
  return proxy;
}

class Proxy implements HttpProxy {
  readonly faults = new FaultList();
  readonly #targetPort: number;
  readonly #onAnswered: (call: Call) => void;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((asked, answer) => void this.#serve(asked, answer).catch(() => drop(asked)));
  #isCut = false;
  #bytesPerSecond: number | undefined;

  constructor(targetPort: number, onAnswered: (call: Call) => void) {
    this.#targetPort = targetPort;
    this.#onAnswered = onAnswered;
    this.#server.keepAliveTimeout = 60_000;
    this.#server.requestTimeout = 0;
    this.#server.on('connection', (socket) => {
      if (this.#isCut) return void socket.resetAndDestroy();
      this.#sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  slow(bytesPerSecond: number | undefined): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  async close(): Promise<void> {
    this.cut();
    this.#agent.destroy();
    this.#server.close();
    await once(this.#server, 'close').catch(() => undefined);
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const call = { method: asked.method ?? '', path: decodeURIComponent(asked.url ?? '/'), request: '', answer: '', status: 0 };
    const early = this.faults.take(call, 'before');
    if (early) {
      await early.meanwhile?.();
      if (await this.#end(early.act, asked, answer)) return;
    }
    const halfway = this.faults.take(call, 'halfway');
    const { expect: _, ...headers } = asked.headers;
    const forwarded = request({ host: '127.0.0.1', port: this.#targetPort, method: asked.method, path: asked.url, headers, agent: this.#agent });
    const failed = new Promise<never>((_resolve, reject) => {
      forwarded.once('error', reject);
      answer.once('close', () => { if (!answer.writableFinished) reject(new Error('the caller is gone')); });
    });
    failed.catch(() => forwarded.destroy());
    const response = once(forwarded, 'response') as Promise<[IncomingMessage]>;
    response.catch(() => undefined);
    const lengthBytes = Number(asked.headers['content-length'] ?? 0);
    await Promise.race([this.#pump(asked, forwarded, halfway ? Math.floor(lengthBytes / 2) : Infinity), failed]);
    if (halfway) {
      await halfway.meanwhile?.();
      forwarded.destroy();
      return drop(asked);
    }
    forwarded.end();
    const [answered] = await Promise.race([response, failed]);
    await Promise.race([this.#answer({ ...call, status: answered.statusCode ?? 0 }, asked, answered, answer), failed]);
  }

  async #answer(call: Call, asked: IncomingMessage, answered: IncomingMessage, answer: ServerResponse): Promise<void> {
    const late = this.faults.take(call, 'after');
    if (late) {
      await late.meanwhile?.();
      if (late.act.kind !== 'half' && await this.#end(late.act, asked, answer)) return void answered.destroy();
    }
    answer.writeHead(call.status, answered.headers);
    if (late?.act.kind === 'half') {
      answer.flushHeaders();
      await this.#pump(answered, answer, Math.floor(Number(answered.headers['content-length'] ?? 2) / 2));
      return drop(asked);
    }
    await this.#pump(answered, answer, Infinity);
    answer.end();
    this.#onAnswered(call);
  }

  /** @returns whether the call is over */
  async #end(act: Act, asked: IncomingMessage, answer: ServerResponse): Promise<boolean> {
    if (act.kind === 'stall') await sleep(act.ms);
    if (act.kind === 'cut') drop(asked);
    if (act.kind === 'answer') {
      const body = act.body ?? '';
      answer.writeHead(act.status, { 'content-type': body.startsWith('<') ? 'application/xml' : 'application/json', 'content-length': Buffer.byteLength(body), connection: 'close' });
      answer.end(body);
      asked.resume();
    }
    return act.kind !== 'stall';
  }

  async #pump(from: IncomingMessage, to: Writable | ClientRequest, limitBytes: number): Promise<void> {
    let moved = 0;
    for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      const piece = chunk.subarray(0, Math.max(0, limitBytes - moved));
      moved += piece.length;
      if (!to.write(piece) && !to.destroyed) await once(to, 'drain');
      if (this.#bytesPerSecond !== undefined) await sleep((1000 * piece.length) / this.#bytesPerSecond);
      if (moved >= limitBytes) return;
    }
  }
}

const drop = (asked: IncomingMessage): void => void asked.socket.resetAndDestroy();
