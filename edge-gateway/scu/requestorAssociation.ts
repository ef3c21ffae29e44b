import type { Socket } from 'node:net';
import { statusClass } from '../../dicom/status.ts';
import { noDataSet, responseBit, withDataSet } from '../dimse/command.ts';
import { MessageReader, dataSetPdus, encodeCommandMessage, fragmentLength, type Message } from '../dimse/message.ts';
import { DataSetInterrupted, type CommandSet, type DimseRequest, type DimseResponse } from '../services/service.ts';
import { responseCommand } from '../dimse/response.ts';
import { UpperLayer } from '../upper-layer/association.ts';
import { InvalidPdu } from '../upper-layer/fields.ts';
import { agreedContexts, type AcceptedContext } from '../upper-layer/negotiation.ts';
import type { RoleSelection } from '../upper-layer/items.ts';
import type { AssociateAccept, AssociateReject, AssociateRequest } from '../upper-layer/pdu.ts';
import type { AbortIndication, UpperLayerUser } from '../upper-layer/primitives.ts';
import type { ScuTimeouts } from './association.ts';
import { AssociationAborted, AssociationRejected, PeerTimeout, PeerUnreachable, describePeer, type Peer } from './errors.ts';

/** A request as a service makes it; Message ID and Command Data Set Type are the association's to say. */
export interface OutgoingRequest {
  /** As errors name it: `C-STORE-RQ`. */
  readonly name: string;
  readonly context: AcceptedContext;
  readonly command: Omit<CommandSet, 'messageID' | 'commandDataSetType'>;
  /** Encoded in the context's transfer syntax. */
  readonly dataSet?: AsyncIterable<Buffer> | Iterable<Buffer>;
  /** Takes the data set of each response that others follow (PS3.7 C.5); without it the first response is the last. */
  readonly onPending?: (dataSet: Message['dataSet']) => Promise<void>;
}

interface RequestorOptions {
  readonly timeouts: ScuTimeouts;
  readonly request: AssociateRequest;
  readonly maxLengthBytes: number;
  readonly connectEvent: 'connect' | 'secureConnect';
  readonly signal: AbortSignal | undefined;
  readonly onRequest: ((request: DimseRequest) => Promise<DimseResponse>) | undefined;
}

/** A request that waits for its responses. */
interface Pending {
  readonly messageID: number;
  readonly responses: Message[];
  arrived: PromiseWithResolvers<void>;
}

const maxMessageID = 0xffff;

/** An association that we opened (see `openAssociation`). It carries the requests of `echo`, `store` and `find`, one at a time; any error ends it. */
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
  /** Settles when the request of the peer that came last is answered. */
  #answering: Promise<void> = Promise.resolve();

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

  /** `CALLED at host:port (calling as CALLING)`. */
  get peerName(): string {
    return describePeer(this.#peer);
  }

  /** False once it was released, by either side, or broke. */
  get isOpen(): boolean {
    return !this.#isBroken;
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

  /** What the peer answered to a role of ours; undefined when it said nothing of it (PS3.7 D.3.3.4). */
  roleOf(sopClassUID: string): RoleSelection | undefined {
    return this.#accept?.userInformation.roleSelections.find((role) => role.sopClassUID === sopClassUID);
  }

  /**
   * Sends a request and waits for its last response. Reads the data set as fast as the peer takes it.
   *
   * @throws the data set's own error, after the association was aborted: a message cannot be left unfinished
   */
  async request({ name, context, command, dataSet, onPending }: OutgoingRequest): Promise<CommandSet> {
    if (this.#isBroken) throw this.#failure;
    if (this.#pending) throw new Error('an association carries one request at a time');
    const messageID = this.#messageID = (this.#messageID % maxMessageID) + 1;
    const pending: Pending = { messageID, responses: [], arrived: Promise.withResolvers() };
    this.#pending = pending;
    try {
      this.#upperLayer.send([encodeCommandMessage(context.id, { ...command, messageID, commandDataSetType: dataSet ? withDataSet : noDataSet }, this.#peerMaxLengthBytes)]);
      if (dataSet) await this.#sendDataSet(context.id, dataSet);
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

  /** Resolves when the association is over. */
  get over(): Promise<void> {
    return this.#broken.promise.catch(() => undefined);
  }

  /** Releases the association (PS3.8 7.2), when what the peer asked is answered. Does nothing when it is over. */
  async release(): Promise<void> {
    await this.#answering;
    if (this.#isBroken) return;
    this.#upperLayer.release();
    await this.#within(this.#options.timeouts.releaseMs, 'did not answer A-RELEASE-RQ', this.#released.promise);
  }

  abort(): void {
    this.#break(new AssociationAborted(this.#peer, { by: 'provider', source: 0, reason: 0, sentence: 'it was aborted here' }));
  }

  async #nextResponse(pending: Pending, name: string): Promise<Message> {
    for (;;) {
      const response = pending.responses.shift();
      if (response) return response;
      await this.#within(this.#options.timeouts.responseMs, `did not answer ${name}`, pending.arrived.promise);
      pending.arrived = Promise.withResolvers();
    }
  }

  async #sendDataSet(contextId: number, dataSet: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
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
    this.#reader.unfinished?.fail(new DataSetInterrupted('lost'));
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
    if ((command.commandField & responseBit) === 0) return this.#asked(message);
    const pending = this.#pending;
    if (!pending || command.messageIDBeingRespondedTo !== pending.messageID) throw new InvalidPdu('a response names no message that is waiting for one');
    pending.responses.push(message);
    pending.arrived.resolve();
  }

  /** A request of the peer, as of an SCP that reports. The reader is not held up: the data set is still to come. */
  #asked({ presentationContextId, command, dataSet }: Message): void {
    const { onRequest } = this.#options;
    const context = this.#contexts.get(presentationContextId);
    if (!onRequest || !context) throw new InvalidPdu('a request came where only responses are expected');
    const answer = async (): Promise<void> => {
      const response = await onRequest({ presentationContextId, abstractSyntaxUID: context.abstractSyntaxUID, transferSyntaxUID: context.transferSyntaxUID, command, dataSet });
      this.#upperLayer.send([encodeCommandMessage(presentationContextId, responseCommand(command, response), this.#peerMaxLengthBytes)]);
    };
    this.#answering = answer().catch((error: unknown) => this.#break(error));
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
