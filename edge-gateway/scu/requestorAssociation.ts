import type { Socket } from 'node:net';
import { verificationSopClassUID } from '../../dicom/sopClasses.ts';
import { statusClass } from '../../dicom/status.ts';
import { commandFields, commandPriority, noDataSet, responseBit, withDataSet } from '../dimse/command.ts';
import { MessageReader, dataSetPdus, encodeCommandMessage, fragmentLength, type Message } from '../dimse/message.ts';
import type { CommandSet } from '../services/service.ts';
import { UpperLayer } from '../upper-layer/association.ts';
import { InvalidPdu } from '../upper-layer/fields.ts';
import { agreedContexts, type AcceptedContext } from '../upper-layer/negotiation.ts';
import type { AssociateAccept, AssociateReject, AssociateRequest } from '../upper-layer/pdu.ts';
import type { AbortIndication, UpperLayerUser } from '../upper-layer/primitives.ts';
import type { ScuTimeouts } from './association.ts';
import { AssociationAborted, AssociationRejected, PeerTimeout, PeerUnreachable, describePeer, type Peer } from './errors.ts';

/** One instance to send; its data set is encoded in the context's transfer syntax, without file meta information. */
export interface StoreRequest {
  readonly context: AcceptedContext;
  readonly sopInstanceUID: string;
  readonly dataSet: AsyncIterable<Buffer>;
  /** Set when the C-STORE is a sub-operation of a C-MOVE (PS3.7 9.1.1.1). */
  readonly moveOriginator?: { readonly aeTitle: string; readonly messageID: number };
}

/** What the peer answered (PS3.7 9.1.1.1.9; `dicom/status.ts` for its meaning). */
export interface StoreResponse {
  readonly status: number;
  readonly errorComment?: string;
  readonly offendingElement?: readonly number[];
}

interface RequestorOptions {
  readonly timeouts: ScuTimeouts;
  readonly request: AssociateRequest;
  readonly maxLengthBytes: number;
  readonly connectEvent: 'connect' | 'secureConnect';
  readonly signal: AbortSignal | undefined;
}

/** A request that waits for its responses. */
interface Pending {
  readonly messageID: number;
  readonly responses: Message[];
  arrived: PromiseWithResolvers<void>;
}

/** A C-FIND; its identifier is encoded in the context's transfer syntax. */
export interface FindRequest {
  readonly context: AcceptedContext;
  readonly identifier: Buffer;
  /** More matches than that end the association. */
  readonly maxMatches: number;
}

const maxIdentifierBytes = 1024 * 1024;

const maxMessageID = 0xffff;

/** An association that we opened (see `openAssociation`). One request at a time; any error ends it. */
export class RequestorAssociation implements UpperLayerUser {
  readonly #peer: Peer;
  readonly #options: RequestorOptions;
  readonly #upperLayer: UpperLayer;
  readonly #reader = new MessageReader((message) => this.#message(message));
  readonly #connected = Promise.withResolvers<void>();
  readonly #confirmed = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();
  /** Rejects with what ended the association. */
  readonly #broken = Promise.withResolvers<never>();
  readonly #onSignal = (): void => this.#break(this.#options.signal?.reason);
  #failure: unknown;
  #isBroken = false;
  #socketError: unknown;
  #accept: AssociateAccept | undefined;
  #contexts: ReadonlyMap<number, AcceptedContext> = new Map();
  #pending: Pending | undefined;
  #messageID = 0;

  /** @param socket still connecting */
  constructor(socket: Socket, peer: Peer, options: RequestorOptions) {
    this.#peer = peer;
    this.#options = options;
    this.#broken.promise.catch(() => undefined);
    socket.setNoDelay(true);
    socket.on('error', (error) => (this.#socketError = error));
    socket.once(options.connectEvent, this.#connected.resolve);
    this.#upperLayer = new UpperLayer(socket, this, {
      maxLengthBytes: options.maxLengthBytes, maxAssociateLengthBytes: 256 * 1024,
      artimTimeoutMs: options.timeouts.releaseMs, idleTimeoutMs: 0,
    });
    options.signal?.addEventListener('abort', this.#onSignal, { once: true });
    this.#upperLayer.associate(options.request, options.connectEvent);
  }

  /** Resolves when the peer has accepted the association. */
  async opened(): Promise<void> {
    const { connectMs, associateMs } = this.#options.timeouts;
    await this.#within(connectMs, 'did not take the connection', this.#connected.promise);
    await this.#within(associateMs, 'did not answer A-ASSOCIATE-RQ', this.#confirmed.promise);
  }

  /** The presentation contexts that the peer accepted. */
  get contexts(): readonly AcceptedContext[] {
    return [...this.#contexts.values()];
  }

  findContext(abstractSyntaxUID: string, transferSyntaxUID?: string): AcceptedContext | undefined {
    return this.contexts.find((context) => context.abstractSyntaxUID === abstractSyntaxUID &&
      (transferSyntaxUID === undefined || context.transferSyntaxUID === transferSyntaxUID));
  }

  /** Result of PS3.8 Table 9-18 for a proposed context; undefined when the peer did not answer it. */
  contextResult(abstractSyntaxUID: string, transferSyntaxUID: string): number | undefined {
    const { presentationContexts } = this.#options.request;
    const proposed = presentationContexts.find((context) =>
      context.abstractSyntaxUID === abstractSyntaxUID && context.transferSyntaxUIDs.includes(transferSyntaxUID));
    return this.#accept?.presentationContexts.find((context) => context.id === proposed?.id)?.result;
  }

  /** C-ECHO (PS3.7 9.1.5). @returns the status */
  async echo(): Promise<number> {
    const context = this.findContext(verificationSopClassUID);
    if (!context) throw new Error(`${describePeer(this.#peer)} did not accept the Verification SOP Class`);
    const command = { commandField: commandFields.cEchoRequest, affectedSOPClassUID: verificationSopClassUID, commandDataSetType: noDataSet };
    return (await this.#request('C-ECHO-RQ', context.id, command)).status ?? 0;
  }

  /**
   * C-STORE (PS3.7 9.1.1). Reads the data set as fast as the peer takes it.
   *
   * @throws the data set's own error, after the association was aborted: a message cannot be left unfinished
   */
  async store({ context, sopInstanceUID, dataSet, moveOriginator }: StoreRequest): Promise<StoreResponse> {
    const response = await this.#request('C-STORE-RQ', context.id, {
      affectedSOPClassUID: context.abstractSyntaxUID, commandField: commandFields.cStoreRequest, priority: commandPriority.medium,
      commandDataSetType: withDataSet, affectedSOPInstanceUID: sopInstanceUID,
      ...(moveOriginator && { moveOriginatorApplicationEntityTitle: moveOriginator.aeTitle, moveOriginatorMessageID: moveOriginator.messageID }),
    }, dataSet);
    const { status = 0, errorComment, offendingElement } = response;
    return { status, ...(errorComment !== undefined && { errorComment }), ...(offendingElement && { offendingElement }) };
  }

  /**
   * C-FIND (PS3.7 9.1.2).
   *
   * @param onMatch gets the identifier of each pending response, in the context's transfer syntax
   * @returns the last status
   */
  async find({ context, identifier, maxMatches }: FindRequest, onMatch: (identifier: Buffer) => void): Promise<number> {
    let matches = 0;
    const command = { affectedSOPClassUID: context.abstractSyntaxUID, commandField: commandFields.cFindRequest, priority: commandPriority.medium, commandDataSetType: withDataSet };
    const last = await this.#request('C-FIND-RQ', context.id, command, one(identifier), async (dataSet) => {
      if (++matches > maxMatches) throw new InvalidPdu(`a C-FIND has more than ${maxMatches} matches`);
      if (dataSet) onMatch(await joined(dataSet));
    });
    return last.status ?? 0;
  }

  /** Releases the association (PS3.8 7.2). Does nothing when it is over. */
  async release(): Promise<void> {
    if (this.#isBroken) return;
    this.#upperLayer.release();
    await this.#within(this.#options.timeouts.releaseMs, 'did not answer A-RELEASE-RQ', this.#released.promise);
  }

  abort(): void {
    this.#break(new AssociationAborted(this.#peer, { by: 'provider', source: 0, reason: 0, sentence: 'it was aborted here' }));
  }

  /** @param onPending takes each response that others follow (PS3.7 C.5); without it the first response is the last */
  async #request(name: string, contextId: number, fields: Omit<CommandSet, 'messageID'>, dataSet?: AsyncIterable<Buffer>,
    onPending?: (dataSet: Message['dataSet']) => Promise<void>): Promise<CommandSet> {
    if (this.#isBroken) throw this.#failure;
    if (this.#pending) throw new Error('an association carries one request at a time');
    this.#messageID = (this.#messageID % maxMessageID) + 1;
    const pending: Pending = { messageID: this.#messageID, responses: [], arrived: Promise.withResolvers() };
    this.#pending = pending;
    try {
      this.#upperLayer.send([encodeCommandMessage(contextId, { ...fields, messageID: this.#messageID }, this.#peerMaxLengthBytes)]);
      if (dataSet) await this.#sendDataSet(contextId, dataSet);
      for (;;) {
        const response = await this.#nextResponse(pending, name);
        if (!onPending || statusClass(response.command.status ?? 0) !== 'pending') {
          response.dataSet?.discard();
          return response.command;
        }
        await this.#within(this.#options.timeouts.responseMs, `did not end a response to ${name}`, onPending(response.dataSet));
      }
    } catch (error) {
      this.#break(error);
      throw error;
    } finally {
      this.#pending = undefined;
    }
  }

  async #nextResponse(pending: Pending, name: string): Promise<Message> {
    for (;;) {
      const response = pending.responses.shift();
      if (response) return response;
      await this.#within(this.#options.timeouts.responseMs, `did not answer ${name}`, pending.arrived.promise);
      pending.arrived = Promise.withResolvers();
    }
  }

  async #sendDataSet(contextId: number, dataSet: AsyncIterable<Buffer>): Promise<void> {
    for await (const pdu of dataSetPdus(contextId, dataSet, this.#peerMaxLengthBytes)) {
      if (this.#isBroken) throw this.#failure;
      if (!this.#upperLayer.send(pdu)) await this.#within(this.#options.timeouts.responseMs, 'took nothing of a data set', this.#upperLayer.drained());
    }
  }

  get #peerMaxLengthBytes(): number {
    return this.#accept?.userInformation.maxLengthBytes ?? 0;
  }

  /** Waits for the peer; when it is too slow, or the association breaks, that is thrown and the association over. */
  async #within<T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#break(new PeerTimeout(this.#peer, what, timeoutMs)), timeoutMs);
    try {
      return await Promise.race([work, this.#broken.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The first failure counts. */
  #break(failure: unknown): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#failure = failure;
    this.#options.signal?.removeEventListener('abort', this.#onSignal);
    this.#broken.reject(failure);
    this.#upperLayer.abort();
  }

  associateConfirmation(answer: { readonly accept: AssociateAccept } | { readonly reject: AssociateReject }): void {
    if ('reject' in answer) return this.#break(new AssociationRejected(this.#peer, answer.reject));
    const { maxLengthBytes } = answer.accept.userInformation;
    if (fragmentLength(maxLengthBytes) === 0) {
      return this.#break(new AssociationAborted(this.#peer,
        { by: 'provider', source: 0, reason: 0, sentence: `a maximum length of ${maxLengthBytes} bytes leaves no room for a message` }));
    }
    this.#accept = answer.accept;
    this.#contexts = agreedContexts(this.#options.request, answer.accept);
    this.#confirmed.resolve();
  }

  fragment(contextId: number, control: number, bytes: Buffer, ends: boolean): void | Promise<void> {
    return this.#reader.fragment(contextId, control, bytes, ends);
  }

  #message(message: Message): void {
    const { command } = message;
    if ((command.commandField & responseBit) === 0) throw new InvalidPdu('a request came where only responses are expected');
    const pending = this.#pending;
    if (!pending || command.messageIDBeingRespondedTo !== pending.messageID) throw new InvalidPdu('a response names no message that is waiting for one');
    pending.responses.push(message);
    pending.arrived.resolve();
  }

  releaseIndication(): void {
    this.#upperLayer.respondRelease();
    this.#break(new AssociationAborted(this.#peer, { by: 'peer', source: 0, reason: 0, sentence: 'the peer released it' }));
  }

  releaseConfirmation(): void {
    this.#released.resolve();
    this.#options.signal?.removeEventListener('abort', this.#onSignal);
    this.#isBroken = true;
    this.#failure = new Error(`the association with ${describePeer(this.#peer)} was released`);
  }

  abortIndication(abort: AbortIndication): void {
    if (this.#accept || abort.by !== 'transport') this.#break(new AssociationAborted(this.#peer, abort, this.#socketError));
    else this.#break(new PeerUnreachable(this.#peer, this.#socketError));
  }

  closed(): void {
    this.abort();
  }

  busy(): boolean {
    return false;
  }

  // A requestor is not asked for an association.
  associateIndication(): void {}
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function joined(dataSet: NonNullable<Message['dataSet']>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of dataSet) {
    length += piece.length;
    if (length > maxIdentifierBytes) throw new InvalidPdu('an identifier is longer than 1 MiB');
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}
