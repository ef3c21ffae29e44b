import { randomUUIDv7 } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { AcceptedAssociation, type AcceptorContext } from './dimse/acceptedAssociation.ts';
import type { Logger } from './logger.ts';
import type { OpenSession } from './services/service.ts';
import { UpperLayer } from './upper-layer/association.ts';
import { defaultPolicy, type AcceptancePolicy } from './upper-layer/negotiation.ts';

export interface DicomServerLimits {
  /** Our Maximum Length Received in bytes, PDU header excluded (PS3.8 D.1). */
  readonly maxLengthBytes: number;
  readonly maxAssociateLengthBytes: number;
  /** Associations at once; further ones are rejected 2/3/2, local limit exceeded. */
  readonly maxAssociations: number;
  /** Connections without an A-ASSOCIATE-RQ; beyond it the oldest of the peer that has most is closed. */
  readonly maxHandshakes: number;
  readonly artimTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** For the requestor to answer a request of ours: a sub-operation, an event report. */
  readonly responseMs: number;
}

export const defaultLimits: DicomServerLimits = {
  maxLengthBytes: 256 * 1024, maxAssociateLengthBytes: 256 * 1024, maxAssociations: 64, maxHandshakes: 64,
  artimTimeoutMs: 30_000, idleTimeoutMs: 300_000, responseMs: 60_000,
};

export interface DicomServerOptions {
  readonly host: string;
  /** 0 takes any free port; undefined: nobody is let in without TLS. */
  readonly port: number | undefined;
  /** A second listener, for TLS alone. */
  readonly tls?: { readonly port: number; readonly options: TlsOptions } | undefined;
  /** Called AE titles that this server answers to. */
  readonly aeTitles: readonly string[];
  readonly policy?: Partial<Omit<AcceptancePolicy, 'calledAETitles'>>;
  readonly limits?: Partial<DicomServerLimits>;
  readonly openSession: OpenSession;
  readonly logger: Logger;
  readonly clock?: () => Date;
}

/** Counts since the start, but for the first two. */
export interface DicomServerStats {
  readonly associationCount: number;
  readonly handshakeCount: number;
  readonly acceptedCount: number;
  readonly rejectedCount: number;
  readonly abortedCount: number;
  readonly messageCount: number;
  /** Connections closed because there were too many without an A-ASSOCIATE-RQ. */
  readonly turnedAwayCount: number;
}

interface Connection {
  readonly socket: Socket;
  readonly upperLayer: UpperLayer;
  readonly peerAddress: string;
}

export interface DicomServer {
  /** @throws the listener's error, such as EADDRINUSE */
  listen(): Promise<{ readonly port?: number; readonly tlsPort?: number }>;
  /**
   * Takes no more associations, lets those that run end for up to `drainMs`, then aborts the rest. Resolves when every
   * session was told how its association ended.
   */
  close(how: { readonly drainMs: number }): Promise<void>;
  /** Key and certificates for the TLS handshakes that begin from now on. */
  renewTls(options: TlsOptions): void;
  stats(): DicomServerStats;
}

/** How long an aborted peer has to close its side before the connection is cut. */
const lastWordsMs = 500;

const plainAddress = (address: string | undefined): string => (address ?? 'unknown').replace(/^::ffff:/, '');

/** DICOM listeners, plain and TLS, that share their limits: verification by itself, everything else through `openSession`. */
export function createDicomServer(options: DicomServerOptions): DicomServer {
  const limits = { ...defaultLimits, ...options.limits };
  const connections = new Map<AcceptedAssociation, Connection>();
  const counts = { accepted: 0, rejected: 0, aborted: 0, message: 0, turnedAway: 0 };
  let draining = false;

  const associationCount = (): number => [...connections.keys()].filter((association) => association.established).length;
  const handshakes = (): readonly (readonly [AcceptedAssociation, Connection])[] => [...connections].filter(([, { upperLayer }]) => upperLayer.state === 2);

  const context: AcceptorContext = {
    policy: { ...defaultPolicy, ...options.policy, calledAETitles: options.aeTitles },
    maxLengthBytes: limits.maxLengthBytes,
    responseMs: limits.responseMs,
    openSession: options.openSession,
    logger: options.logger,
    newAssociationId: () => randomUUIDv7(),
    now: options.clock ?? (() => new Date()),
    admit: () => (draining ? 'temporaryCongestion' : associationCount() >= limits.maxAssociations ? 'localLimitExceeded' : undefined),
    counted: (event) => void (counts[event] += 1),
  };

  const logTurnedAway = oncePerSecond((count, peerAddress) =>
    options.logger.warn({ count, peerAddress }, 'connections closed: too many without an A-ASSOCIATE-RQ'));
  const turnAway = (peerAddress: string): void => {
    counts.turnedAway += 1;
    logTurnedAway(peerAddress);
  };

  /** Bounds what half-open connections and those that linger after their association can hold. */
  const makeRoom = (): void => {
    const halfOpen = handshakes().map(([, connection]) => connection);
    if (halfOpen.length > limits.maxHandshakes) {
      const victim = oldestOfTheGreediest(halfOpen);
      turnAway(victim.peerAddress);
      victim.socket.destroy();
    }
    if (connections.size <= 2 * (limits.maxAssociations + limits.maxHandshakes)) return;
    for (const { socket, upperLayer } of connections.values()) if (upperLayer.state === 13) return void socket.destroy();
  };

  const take = (socket: Socket): void => {
    socket.setNoDelay(true);
    const peerAddress = plainAddress(socket.remoteAddress);
    const association = new AcceptedAssociation(context, peerAddress);
    const upperLayer = new UpperLayer(socket, association, limits);
    association.attach(upperLayer);
    connections.set(association, { socket, upperLayer, peerAddress });
    void association.closedAndEnded.then(() => connections.delete(association));
    upperLayer.awaitRequest();
    makeRoom();
  };

  const bounded = <S extends Server>(server: S): S => {
    // Connections in a TLS handshake are not among `connections` yet; this bounds them too.
    server.maxConnections = 3 * (limits.maxAssociations + limits.maxHandshakes);
    server.on('drop', (dropped) => turnAway(plainAddress(dropped?.remoteAddress)));
    return server;
  };
  const plain = options.port === undefined ? undefined : bounded(createServer(take));
  const tls = options.tls && bounded(createTlsServer({ ...options.tls.options, handshakeTimeout: limits.artimTimeoutMs }, take));
  // A TLS handshake that fails never becomes a connection here.
  tls?.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
    options.logger.warn({ peerAddress: plainAddress(socket.remoteAddress), reason: error.code ?? error.message }, 'TLS handshake failed'));

  const listen = async (): Promise<{ port?: number; tlsPort?: number }> => {
    const port = plain && await listening(plain, options.host, options.port!, options.logger);
    const tlsPort = tls && await listening(tls, options.host, options.tls!.port, options.logger);
    return { ...(port !== undefined && { port }), ...(tlsPort !== undefined && { tlsPort }) };
  };

  const close = async ({ drainMs }: { readonly drainMs: number }): Promise<void> => {
    draining = true;
    plain?.close();
    tls?.close();
    const allEnded = (): Promise<unknown> => Promise.all([...connections.keys()].map((association) => association.closedAndEnded));
    for (const [association] of handshakes()) association.abort();
    await within(drainMs, allEnded());
    for (const association of connections.keys()) association.abort();
    await within(lastWordsMs, allEnded());
    for (const { socket } of connections.values()) socket.destroy();
    await allEnded();
  };

  return {
    listen,
    close,
    renewTls: (renewed) => tls?.setSecureContext(renewed),
    stats: () => ({
      associationCount: associationCount(), handshakeCount: handshakes().length,
      acceptedCount: counts.accepted, rejectedCount: counts.rejected, abortedCount: counts.aborted, messageCount: counts.message,
      turnedAwayCount: counts.turnedAway,
    }),
  };
}

/** One peer that opens connections and leaves them takes the place of its own, not of another's. */
function oldestOfTheGreediest(connections: readonly Connection[]): Connection {
  const countOf = new Map<string, number>();
  for (const { peerAddress } of connections) countOf.set(peerAddress, (countOf.get(peerAddress) ?? 0) + 1);
  const most = Math.max(...countOf.values());
  return connections.find(({ peerAddress }) => countOf.get(peerAddress) === most)!;
}

/** Calls at once and then at most once a second, with how often it was asked to since: a flood must not flood the log. */
function oncePerSecond(call: (count: number, latest: string) => void): (latest: string) => void {
  let count = 0;
  let calledAt = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  const flush = (latest: string): void => {
    timer = undefined;
    calledAt = performance.now();
    call(count, latest);
    count = 0;
  };
  return (latest) => {
    count += 1;
    if (timer !== undefined) return;
    const waitMs = calledAt + 1000 - performance.now();
    if (waitMs <= 0) flush(latest);
    else timer = setTimeout(() => flush(latest), waitMs).unref();
  };
}

const listening = (server: Server, host: string, port: number, logger: Logger): Promise<number> => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, host, () => {
    server.off('error', reject).on('error', (error) => logger.error({ err: error }, 'the DICOM listener failed'));
    resolve((server.address() as AddressInfo).port);
  });
});

async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(timeout.resolve, timeoutMs);
  await Promise.race([work, timeout.promise]);
  clearTimeout(timer);
}
