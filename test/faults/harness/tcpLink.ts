import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A TCP link that can be cut, slowed or left hanging: between a modality and the gateway, or a gateway and a destination. */
export interface TcpLink {
  readonly port: number;
  /** `open` carries; `cut` breaks what there is and refuses; `hanging` takes connections and carries nothing. */
  set(state: 'open' | 'cut' | 'hanging'): void;
  slow(bytesPerSecond: number | undefined): void;
  /** Breaks the next connection after so many bytes from its caller. @returns how often it has, 0 or 1 */
  breakAfter(bytes: number): () => number;
  /** Keeps back what the server answers, from now on; the returned function lets it go. */
  holdAnswers(): () => void;
  close(): Promise<void>;
}

export async function startTcpLink(target: () => number): Promise<TcpLink> {
  const sockets = new Set<Socket>();
  let state: 'open' | 'cut' | 'hanging' = 'open';
  let bytesPerSecond: number | undefined;
  let breaking: { bytes: number; broken: number } | undefined;
  let held: PromiseWithResolvers<void> | undefined;

  const move = async (from: Socket, to: Socket, fromCaller: boolean): Promise<void> => {
    for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (state === 'hanging') await new Promise(() => undefined);
      if (!fromCaller && held) await held.promise;
      if (fromCaller && breaking) {
        breaking.bytes -= chunk.length;
        if (breaking.bytes <= 0) {
          to.write(chunk.subarray(0, chunk.length + breaking.bytes));
          breaking.broken = 1;
          breaking = undefined;
          throw new Error('broken on purpose');
        }
      }
      if (!to.write(chunk)) await once(to, 'drain');
      if (bytesPerSecond !== undefined) await sleep((1000 * chunk.length) / bytesPerSecond);
    }
    to.end();
  };
  const track = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.setNoDelay(true).on('error', () => undefined).once('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (caller) => {
    if (state === 'cut') return void caller.resetAndDestroy();
    track(caller);
    const callee = track(connect({ host: '127.0.0.1', port: target(), allowHalfOpen: true }));
    const end = (): void => {
      caller.resetAndDestroy();
      callee.resetAndDestroy();
    };
    callee.once('close', (hadError) => { if (hadError) end(); });
    caller.once('close', (hadError) => { if (hadError) end(); });
    move(caller, callee, true).catch(end);
    move(callee, caller, false).catch(end);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const breakAll = (): void => { for (const socket of [...sockets]) socket.resetAndDestroy(); };
  return {
    port: (server.address() as AddressInfo).port,
    set: (next) => {
      // What hangs has lost bytes on the way: it cannot go on.
      if (next === 'cut' || state === 'hanging') breakAll();
      state = next;
    },
    slow: (rate) => { bytesPerSecond = rate; },
    breakAfter: (bytes) => {
      const mine = { bytes, broken: 0 };
      breaking = mine;
      return () => mine.broken;
    },
    holdAnswers: () => {
      const mine = Promise.withResolvers<void>();
      held = mine;
      return () => {
        if (held === mine) held = undefined;
        mine.resolve();
      };
    },
    close: async () => {
      breakAll();
      server.close();
    },
  };
}
