import type { ConnectionOptions } from 'node:tls';
import type { AbortIndication } from '../upper-layer/primitives.ts';
import type { AssociateReject } from '../upper-layer/pdu.ts';

/** The peer that an association is opened to. */
export interface Peer {
  readonly host: string;
  readonly port: number;
  /** Ours. 1–16 characters (PS3.5 6.2). */
  readonly callingAETitle: string;
  readonly calledAETitle: string;
  /** Set when it is called by TLS (PS3.15 B.12; `readClientTls`). */
  readonly tls?: ConnectionOptions;
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

/** What stops a TLS handshake, by the codes of Node and OpenSSL. */
const tlsMeanings: readonly (readonly [code: RegExp, meaning: string])[] = [
  [/^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT.*|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED)$/, 'its certificate is not of the CA that is trusted here'],
  [/^CERT_HAS_EXPIRED$/, 'its certificate has expired'],
  [/^CERT_NOT_YET_VALID$/, 'its certificate is not valid yet'],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, 'it does not speak TLS on this port'],
  [/^ERR_SSL_.*ALERT_(CERTIFICATE_REQUIRED|UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|HANDSHAKE_FAILURE)$/, 'it refuses our certificate, or asks for one that we were not given'],
];

function whyUnreachable(cause: unknown): string {
  if (!(cause instanceof Error)) return 'the connection was closed';
  const { code } = cause as { readonly code?: unknown };
  const meaning = typeof code === 'string' ? tlsMeanings.find(([pattern]) => pattern.test(code))?.[1] : undefined;
  return meaning === undefined ? cause.message : `${meaning} (${String(code)})`;
}

/** No connection came about. */
export class PeerUnreachable extends Error {
  override readonly name = 'PeerUnreachable';

  constructor(peer: Peer, cause: unknown) {
    super(`${describePeer(peer)} cannot be reached: ${whyUnreachable(cause)}`, { cause });
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
