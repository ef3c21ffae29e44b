import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { applicationContextUID, implementationClassUID, implementationVersionName } from '../../dicom/uid.ts';
import { isAETitle } from '../upper-layer/negotiation.ts';
import type { DimseRequest, DimseResponse } from '../services/service.ts';
import type { RoleSelection } from '../upper-layer/items.ts';
import type { AssociateRequest } from '../upper-layer/pdu.ts';
import type { Peer } from './errors.ts';
import { RequestorAssociation } from './requestorAssociation.ts';

/** One abstract syntax with the transfer syntaxes to offer for it, the preferred first. */
export interface ContextProposal {
  readonly abstractSyntaxUID: string;
  readonly transferSyntaxUIDs: readonly string[];
}

export interface ScuTimeouts {
  /** Until the TCP or TLS connection is there. */
  readonly connectMs: number;
  /** Until A-ASSOCIATE-RQ is answered. */
  readonly associateMs: number;
  /** Until a request is answered, and for which the peer may take none of what is sent. */
  readonly responseMs: number;
  readonly releaseMs: number;
}

export const defaultTimeouts: ScuTimeouts = { connectMs: 10_000, associateMs: 30_000, responseMs: 60_000, releaseMs: 10_000 };

export interface ScuOptions {
  readonly timeouts?: Partial<ScuTimeouts>;
  /** Our Maximum Length Received in bytes, PDU header excluded (PS3.8 D.1). */
  readonly maxLengthBytes?: number;
  /** Aborts the association; what waits then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface AssociationProposal extends Peer, ScuOptions {
  /** 1–128; they get the IDs 1, 3, 5, … in this order. */
  readonly contexts: readonly ContextProposal[];
  /** Roles of ours other than SCU alone (PS3.7 D.3.3.4). */
  readonly roleSelections?: readonly RoleSelection[];
  /** Answers what the peer asks on this association; without it a request of the peer ends it. */
  readonly onRequest?: (request: DimseRequest) => Promise<DimseResponse>;
}

export const maxContexts = 128;
const defaultMaxLengthBytes = 64 * 1024;

function checkProposal({ callingAETitle, calledAETitle, contexts }: AssociationProposal): void {
  for (const title of [callingAETitle, calledAETitle]) {
    if (!isAETitle(title)) throw new RangeError('an AE title is 1 to 16 printable characters without a backslash (PS3.5 6.2)');
  }
  if (contexts.length < 1 || contexts.length > maxContexts) throw new RangeError(`an association has 1 to ${maxContexts} presentation contexts`);
}

const associateRequest = (proposal: AssociationProposal, maxLengthBytes: number): AssociateRequest => ({
  protocolVersion: 1,
  calledAETitle: proposal.calledAETitle,
  callingAETitle: proposal.callingAETitle,
  applicationContextUID,
  presentationContexts: proposal.contexts.map((context, index) => ({ id: 2 * index + 1, ...context })),
  userInformation: {
    maxLengthBytes, implementationClassUID, implementationVersionName,
    roleSelections: proposal.roleSelections ?? [], extendedNegotiations: [], commonExtendedNegotiations: [],
  },
});

const openSocket = ({ host, port, tls }: AssociationProposal): Socket =>
  tls ? connectTls({ ...(isIP(host) === 0 && { servername: host }), ...tls, host, port }) : connect({ host, port });

/**
 * Opens an association in the requestor role (PS3.8 7.1). It may have accepted none of the contexts.
 *
 * @throws `PeerUnreachable`, `AssociationRejected`, `AssociationAborted` or `PeerTimeout`; the signal's reason; a
 *   `RangeError` for a proposal that no peer could be sent
 */
export async function openAssociation(proposal: AssociationProposal): Promise<RequestorAssociation> {
  const maxLengthBytes = proposal.maxLengthBytes ?? defaultMaxLengthBytes;
  checkProposal(proposal);
  proposal.signal?.throwIfAborted();
  const association = new RequestorAssociation(openSocket(proposal), proposal, {
    timeouts: { ...defaultTimeouts, ...proposal.timeouts },
    request: associateRequest(proposal, maxLengthBytes),
    maxLengthBytes,
    connectEvent: proposal.tls ? 'secureConnect' : 'connect',
    signal: proposal.signal,
    onRequest: proposal.onRequest,
  });
  await association.opened();
  return association;
}
