import { randomUUIDv7 } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
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
  /** Connections without an A-ASSOCIATE-RQ; beyond it the oldest is closed. */
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
  /** 0 takes any free port. */
  readonly port: number;
  /** Called AE titles that this server answers to. */
  readonly aeTitles: readonly string[];
  readonly policy?: Partial<Omit<AcceptancePolicy, 'calledAETitles'>>;
  readonly limits?: Partial<DicomServerLimits>;
  /** With it the listener speaks TLS only. */
  readonly tls?: TlsOptions;
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
}

export interface DicomServer {
  /** @throws the listener's error, such as EADDRINUSE */
  listen(): Promise<{ readonly port: number }>;
  /**
   * Takes no more associations, lets those that run end for up to `drainMs`, then aborts the rest. Resolves when every
   * session was told how its association ended.
   */
  close(how: { readonly drainMs: number }): Promise<void>;
  stats(): DicomServerStats;
}

/** How long an aborted peer has to close its side before the connection is cut. */
const lastWordsMs = 500;

const plainAddress = (socket: Socket): string => (socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, '');

/** A DICOM listener: verification by itself, everything else through `openSession`. */
export function createDicomServer(options: DicomServerOptions): DicomServer {
  const limits = { ...defaultLimits, ...options.limits };
  const connections = new Map<AcceptedAssociation, { readonly socket: Socket; readonly upperLayer: UpperLayer }>();
  const counts = { accepted: 0, rejected: 0, aborted: 0, message: 0 };
  let draining = false;

  const associationCount = (): number => [...connections.keys()].filter((association) => association.established).length;
  const handshakes = (): readonly AcceptedAssociation[] =>
    [...connections].filter(([, { upperLayer }]) => upperLayer.state === 2).map(([association]) => association);

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

  /** Bounds what half-open connections and those that linger after their association can hold. */
  const makeRoom = (): void => {
    const [oldest, ...others] = handshakes();
    if (oldest && others.length >= limits.maxHandshakes) {
      options.logger.warn({ peerAddress: plainAddress(connections.get(oldest)!.socket) }, 'connection closed: too many without an A-ASSOCIATE-RQ');
      connections.get(oldest)!.socket.destroy();
    }
    if (connections.size <= 2 * (limits.maxAssociations + limits.maxHandshakes)) return;
    for (const { socket, upperLayer } of connections.values()) if (upperLayer.state === 13) return void socket.destroy();
  };

  const take = (socket: Socket): void => {
    socket.setNoDelay(true);
    const association = new AcceptedAssociation(context, plainAddress(socket));
    const upperLayer = new UpperLayer(socket, association, limits);
    association.attach(upperLayer);
    connections.set(association, { socket, upperLayer });
    void association.closedAndEnded.then(() => connections.delete(association));
    upperLayer.awaitRequest();
    makeRoom();
  };

  const server = options.tls
    ? createTlsServer({ ...options.tls, handshakeTimeout: limits.artimTimeoutMs }, take)
    : createServer(take);
  // Connections in a TLS handshake are not among `connections` yet; this bounds them too.
  server.maxConnections = 3 * (limits.maxAssociations + limits.maxHandshakes);
  // A TLS handshake that fails never becomes a connection here.
  server.on('tlsClientError', (error: Error) => options.logger.warn({ reason: error.message }, 'TLS handshake failed'));

  const listen = (): Promise<{ port: number }> => new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject).on('error', (error) => options.logger.error({ err: error }, 'the DICOM listener failed'));
      resolve({ port: (server.address() as AddressInfo).port });
    });
  });

  const close = async ({ drainMs }: { readonly drainMs: number }): Promise<void> => {
    draining = true;
    server.close();
    const allEnded = (): Promise<unknown> => Promise.all([...connections.keys()].map((association) => association.closedAndEnded));
    for (const association of handshakes()) association.abort();
    await within(drainMs, allEnded());
    for (const association of connections.keys()) association.abort();
    await within(lastWordsMs, allEnded());
    for (const { socket } of connections.values()) socket.destroy();
    await allEnded();
  };

  return {
    listen,
    close,
    stats: () => ({
      associationCount: associationCount(), handshakeCount: handshakes().length,
      acceptedCount: counts.accepted, rejectedCount: counts.rejected, abortedCount: counts.aborted, messageCount: counts.message,
    }),
  };
}

async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(timeout.resolve, timeoutMs);
  await Promise.race([work, timeout.promise]);
  clearTimeout(timer);
}
