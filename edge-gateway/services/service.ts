/** What the upper layer tells a service about the association that it accepted. */
export interface AssociationInfo {
  /** UUIDv7 made by the gateway; names the association in the journal, the workflow ID and the audit. */
  readonly associationId: string;
  readonly callingAETitle: string;
  readonly calledAETitle: string;
  readonly peerAddress: string;
  /** ISO 8601 UTC. */
  readonly acceptedAt: string;
  readonly peerImplementationClassUID: string;
  readonly peerImplementationVersionName: string;
}

/** A command set as PS3.7 Annex E has it, by keyword in lower camel case. UIDs come without padding. */
export interface CommandSet {
  readonly commandField: number;
  readonly messageID?: number;
  readonly messageIDBeingRespondedTo?: number;
  readonly affectedSOPClassUID?: string;
  readonly affectedSOPInstanceUID?: string;
  readonly requestedSOPClassUID?: string;
  readonly requestedSOPInstanceUID?: string;
  readonly priority?: number;
  readonly moveDestination?: string;
  readonly moveOriginatorApplicationEntityTitle?: string;
  readonly moveOriginatorMessageID?: number;
  readonly eventTypeID?: number;
  readonly actionTypeID?: number;
  readonly commandDataSetType: number;
  readonly status?: number;
  readonly errorComment?: string;
  readonly errorID?: number;
  /** Tags as numbers, group in the upper half. */
  readonly offendingElement?: readonly number[];
  readonly attributeIdentifierList?: readonly number[];
  readonly numberOfRemainingSuboperations?: number;
  readonly numberOfCompletedSuboperations?: number;
  readonly numberOfFailedSuboperations?: number;
  readonly numberOfWarningSuboperations?: number;
}

/**
 * The data set of one message as it arrives: the socket's bytes, never joined. A fragment holds up to 64 KiB, may
 * end anywhere in an element, and stays valid for as long as it is kept. Read it once, by one of the two ways.
 * What the service leaves unread is received and thrown away before the response is sent.
 *
 * Iterating holds at most about 256 KiB before the socket is no longer read.
 *
 * @throws `DataSetInterrupted`, from both ways, when the association ends before the last fragment.
 */
export interface DataSetStream extends AsyncIterable<Buffer> {
  /**
   * The faster way: `onFragment` runs straight from the socket, without a promise per fragment. When it returns a
   * promise, the socket is not read until that settles. When it throws or rejects, the rest of the data set is
   * thrown away and `consume` rejects with the same error.
   *
   * @returns the data set's length in bytes, once the last fragment was taken
   */
  consume(onFragment: (fragment: Buffer) => void | Promise<void>): Promise<number>;
}

/** The association ended in the middle of a data set; whatever was received of it is half an instance. */
export class DataSetInterrupted extends Error {
  override readonly name = 'DataSetInterrupted';
  readonly how: AssociationEnd;

  constructor(how: AssociationEnd) {
    super(`the association was ${how} before the data set was complete`);
    this.how = how;
  }
}

/** One DIMSE request. `dataSet` is undefined when the command says that none follows (PS3.7 E.1, Command Data Set Type). */
export interface DimseRequest {
  readonly presentationContextId: number;
  readonly abstractSyntaxUID: string;
  readonly transferSyntaxUID: string;
  readonly command: CommandSet;
  readonly dataSet: DataSetStream | undefined;
}

/** Becomes the response message; Message ID, SOP Class and Instance UID are copied from the request (PS3.7 9.3). */
export interface DimseResponse {
  readonly status: number;
  /** At most 64 characters of the default repertoire, no attribute values (PS3.7 C). */
  readonly errorComment?: string;
  readonly offendingElements?: readonly number[];
  /** Of C-GET and C-MOVE (PS3.7 9.1.3.1, 9.1.4.1). `remaining` is absent in a final response that was not cancelled. */
  readonly suboperations?: SuboperationCounts;
  /** In the transfer syntax of the request's presentation context. */
  readonly dataSet?: Buffer;
}

export interface SuboperationCounts {
  readonly remaining?: number;
  readonly completed: number;
  readonly failed: number;
  readonly warning: number;
}

/** What a service may do beside answering, while it works on one request. */
export interface Operation {
  /** Aborted by a C-CANCEL-RQ that names the request, and when the association ends. */
  readonly signal: AbortSignal;
  /** A C-CANCEL-RQ came: what is left undone is answered by FE00. */
  readonly isCancelled: boolean;
  /**
   * Sends a response that is not the last one, status FF00 or FF01.
   *
   * @returns once the peer has taken enough of what was sent for more to follow
   * @throws `AssociationOver`
   */
  respond(response: DimseResponse): Promise<void>;
}

/** The association ended before a message could be sent, or before it was answered. */
export class AssociationOver extends Error {
  override readonly name = 'AssociationOver';
}

/** A presentation context of an accepted association. */
export interface ServiceContext {
  readonly id: number;
  readonly abstractSyntaxUID: string;
  readonly transferSyntaxUID: string;
  /** The requestor performs operations in it, too: SCP role (PS3.7 D.3.3.4). */
  readonly requestorIsScp: boolean;
}

/** The association itself, for services that ask something of the requestor: sub-operations and event reports. */
export interface AssociationLink {
  readonly contexts: readonly ServiceContext[];
  /** Service Class Application Information that both sides agreed on, by SOP Class; one byte an option (PS3.7 D.3.3.5). */
  readonly extensions: ReadonlyMap<string, Buffer>;
  /** False once the peer released or the connection is gone. */
  readonly isOpen: boolean;
  /**
   * Sends a request of ours and waits for its response; one at a time, others wait their turn. The data set is in the context's transfer
   * syntax. When it fails half-way the association is aborted, because a message cannot be left unfinished.
   *
   * @throws `AssociationOver`; the data set's own error
   */
  request(contextId: number, command: Omit<CommandSet, 'messageID' | 'commandDataSetType'>, dataSet?: Buffer | AsyncIterable<Buffer>): Promise<CommandSet>;
}

/** How an association ended, seen from here. */
export type AssociationEnd = 'released' | 'aborted' | 'lost';

/**
 * One accepted association's services. Requests of one association arrive one after the other.
 * Verification is answered by the upper layer's server; a session sees the operations it names.
 */
export interface AssociationSession {
  /** Command Fields (PS3.7 E.1) that `handle` answers, C-STORE-RQ when absent; others get status 0211. */
  readonly operations?: readonly number[];
  /** The last response. When it rejects, the peer is told to try again: A700 for C-STORE, 0110 for the rest. */
  handle(request: DimseRequest, operation: Operation): Promise<DimseResponse>;
  /** Called once, after the last `handle` settled, however the association ended. */
  ended(how: AssociationEnd): Promise<void>;
}

/**
 * Wires the upper layer to the services: called once an association is found acceptable, before the peer is told.
 * When it rejects, the peer gets A-ASSOCIATE-RJ 2/3/1, temporary congestion (PS3.8 9.3.4).
 */
export type OpenSession = (association: AssociationInfo, link: AssociationLink) => Promise<AssociationSession>;
