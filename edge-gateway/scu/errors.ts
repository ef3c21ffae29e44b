import type { AbortIndication } from '../upper-layer/primitives.ts';
import type { AssociateReject } from '../upper-layer/pdu.ts';

/** The peer that an association is opened to. */
export interface Peer {
  readonly host: string;
  readonly port: number;
  /** Ours. 1–16 characters (PS3.5 6.2). */
  readonly callingAETitle: string;
  readonly calledAETitle: string;
}

/** `CALLED at host:port (calling as CALLING)`: how errors name a peer. */
export const describePeer = ({ host, port, callingAETitle, calledAETitle }: Peer): string =>
  `${calledAETitle} at ${host}:${port} (calling as ${callingAETitle})`;

/** Why an association was rejected, by result, source and reason (PS3.8 Table 9-21). */
const rejectionMeanings: Readonly<Record<string, string>> = {
  '1/1': 'no reason given', '1/2': 'application context name not supported', '1/3': 'calling AE title not recognized',
  '1/7': 'called AE title not recognized', '2/1': 'no reason given', '2/2': 'protocol version not supported',
  '3/1': 'temporary congestion', '3/2': 'local limit exceeded',
};

/** The peer answered A-ASSOCIATE-RJ. A transient one may be accepted later. */
export class AssociationRejected extends Error {
  override readonly name = 'AssociationRejected';
  readonly reject: AssociateReject;
  readonly transient: boolean;

  constructor(peer: Peer, reject: AssociateReject) {
    const { result, source, reason } = reject;
    const meaning = rejectionMeanings[`${source}/${reason}`] ?? 'a reason that the Standard does not name';
    super(`${describePeer(peer)} rejected the association: ${meaning} (${result}/${source}/${reason})`);
    this.reject = reject;
    this.transient = result === 2;
  }
}

/** An association broke off: by A-ABORT of either side, or with its connection. */
export class AssociationAborted extends Error {
  override readonly name = 'AssociationAborted';
  readonly abort: AbortIndication;

  constructor(peer: Peer, abort: AbortIndication, cause?: unknown) {
    super(`the association with ${describePeer(peer)} ended: ${abort.sentence} (by ${abort.by}, ${abort.source}/${abort.reason})`, { cause });
    this.abort = abort;
  }
}

/** No connection came about. */
export class PeerUnreachable extends Error {
  override readonly name = 'PeerUnreachable';

  constructor(peer: Peer, cause: unknown) {
    super(`${describePeer(peer)} cannot be reached: ${cause instanceof Error ? cause.message : 'the connection was closed'}`, { cause });
  }
}

/** The peer let a time-out pass; the association was aborted. */
export class PeerTimeout extends Error {
  override readonly name = 'PeerTimeout';

  /** @param what it did not do, as in `did not answer C-ECHO-RQ` */
  constructor(peer: Peer, what: string, timeoutMs: number) {
    super(`${describePeer(peer)} ${what} within ${timeoutMs} ms`);
  }
}
