import { status } from '../../dicom/status.ts';
import { verificationSopClassUID } from '../../dicom/sopClasses.ts';
import { isUidShaped } from '../../dicom/uid.ts';
import type { Logger } from '../logger.ts';
import {
  AssociationOver, DataSetInterrupted, type AssociationEnd, type AssociationInfo, type AssociationLink, type AssociationSession, type DimseRequest, type DimseResponse, type OpenSession,
  type ServiceContext,
} from '../services/service.ts';
import { verification } from '../services/verification.ts';
import type { UpperLayer } from '../upper-layer/association.ts';
import { InvalidPdu } from '../upper-layer/fields.ts';
import { acceptAssociation, agreedExtensions, findRejection, rejections, serviceContexts, type AcceptancePolicy, type Rejection } from '../upper-layer/negotiation.ts';
import type { AssociateAccept, AssociateRequest } from '../upper-layer/pdu.ts';
import type { AbortIndication, UpperLayerUser } from '../upper-layer/primitives.ts';
import { commandFields, responseBit } from './command.ts';
import { MessageReader, type Message } from './message.ts';
import { MessageWriter } from './messageWriter.ts';
import { OpenOperation } from './operation.ts';
import { OutgoingRequests } from './outgoingRequests.ts';
import { responseCommand } from './response.ts';

/** What the listener lends to every association that it takes. */
export interface AcceptorContext {
  readonly policy: AcceptancePolicy;
  readonly maxLengthBytes: number;
  /** How long the requestor has for the answer to a request of ours. */
  readonly responseMs: number;
  readonly openSession: OpenSession;
  readonly logger: Logger;
  readonly newAssociationId: () => string;
  readonly now: () => Date;
  /** Claims a place among the associations. @returns why there is none */
  readonly admit: () => Rejection | undefined;
  readonly counted: (event: 'accepted' | 'rejected' | 'aborted' | 'message') => void;
}

const defaultOperations: readonly number[] = [commandFields.cStoreRequest];

/** Text of the peer in a log line: printable, short. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 16);

/** The acceptor's side of one association: negotiates, then hands its messages to the session, one after the other. */
export class AcceptedAssociation implements UpperLayerUser {
  readonly #context: AcceptorContext;
  readonly #peerAddress: string;
  readonly #reader = new MessageReader((message) => this.#message(message));
  readonly #closed = Promise.withResolvers<void>();
  #upperLayer!: UpperLayer;
  #fields: Record<string, unknown>;
  #contexts: ReadonlyMap<number, ServiceContext> = new Map();
  #writer: MessageWriter | undefined;
  #outgoing: OutgoingRequests | undefined;
  #operation: OpenOperation | undefined;
  #opening: Promise<AssociationSession | undefined> | undefined;
  #session: AssociationSession | undefined;
  #working: Promise<void> | undefined;
  #end: AssociationEnd | undefined;
  #messageCount = 0;

  constructor(context: AcceptorContext, peerAddress: string) {
    this.#context = context;
    this.#peerAddress = peerAddress;
    this.#fields = { peerAddress };
  }

  /** Before anything of `UpperLayerUser` is called. */
  attach(upperLayer: UpperLayer): void {
    this.#upperLayer = upperLayer;
  }

  /** Resolves when the connection is gone and the session was told. */
  get closedAndEnded(): Promise<void> {
    return this.#closed.promise;
  }

  get established(): boolean {
    return this.#opening !== undefined && this.#end === undefined;
  }

  abort(why = 'the gateway shuts down'): void {
    if (this.established) this.#context.logger.warn(this.#fields, `association aborted: ${why}`);
    this.#finish('aborted');
    this.#upperLayer.abort();
  }

  busy(): boolean {
    return this.#working !== undefined && !this.#reader.insideMessage;
  }

  associateIndication(request: AssociateRequest): void {
    const { userInformation } = request;
    this.#fields = { ...this.#fields, callingAETitle: printable(request.callingAETitle), calledAETitle: printable(request.calledAETitle) };
    const rejection = findRejection(request, this.#context.policy) ?? this.#context.admit();
    if (rejection) return this.#reject(rejection);
    const association: AssociationInfo = {
      associationId: this.#context.newAssociationId(),
      callingAETitle: request.callingAETitle,
      calledAETitle: request.calledAETitle,
      peerAddress: this.#peerAddress,
      acceptedAt: this.#context.now().toISOString(),
      peerImplementationClassUID: userInformation.implementationClassUID,
      peerImplementationVersionName: userInformation.implementationVersionName ?? '',
    };
    this.#fields = { ...this.#fields, associationId: association.associationId };
    this.#opening = this.#open(association, request);
  }

  async #open(association: AssociationInfo, request: AssociateRequest): Promise<AssociationSession | undefined> {
    const accept = acceptAssociation(request, this.#context.policy, this.#context.maxLengthBytes);
    const link = this.#link(request, accept);
    try {
      this.#session = await this.#context.openSession(association, link);
    } catch (error) {
      this.#context.logger.error({ ...this.#fields, err: error }, 'no session could be opened for the association');
      this.#reject('temporaryCongestion');
      return undefined;
    }
    if (this.#end !== undefined) return this.#session;
    this.#upperLayer.accept(accept);
    this.#context.counted('accepted');
    this.#context.logger.info({
      ...this.#fields, peerImplementationVersionName: printable(association.peerImplementationVersionName),
      proposedContextCount: request.presentationContexts.length, acceptedContextCount: this.#contexts.size,
    }, 'association accepted');
    return this.#session;
  }

  #link(request: AssociateRequest, accept: AssociateAccept): AssociationLink {
    const contexts = serviceContexts(request, accept);
    this.#contexts = new Map(contexts.map((context) => [context.id, context]));
    this.#writer = new MessageWriter(this.#upperLayer, request.userInformation.maxLengthBytes);
    const outgoing = new OutgoingRequests(this.#writer, this.#context.responseMs, (why) => this.abort(why));
    this.#outgoing = outgoing;
    const isOpen = (): boolean => this.#end === undefined;
    return {
      contexts, extensions: agreedExtensions(accept),
      get isOpen() { return isOpen(); },
      request: (contextId, command, dataSet) => outgoing.request(contextId, command, dataSet),
    };
  }

  #reject(rejection: Rejection): void {
    this.#context.counted('rejected');
    this.#context.logger.warn({ ...this.#fields, rejection, ...rejections[rejection] }, 'association rejected');
    this.#finish('aborted');
    this.#upperLayer.reject(rejections[rejection]);
  }

  fragment(contextId: number, control: number, bytes: Buffer, ends: boolean): void | Promise<void> {
    return this.#reader.fragment(contextId, control, bytes, ends);
  }

  #message(message: Message): void | Promise<void> {
    const context = this.#contexts.get(message.presentationContextId);
    if (!context) throw new InvalidPdu('a message names a presentation context that was not accepted');
    const { commandField, messageID } = message.command;
    if (commandField & responseBit) return this.#response(message);
    if (commandField === commandFields.cCancelRequest) return this.#cancel(message.command.messageIDBeingRespondedTo);
    if (messageID === undefined) throw new InvalidPdu('a request has no Message ID');
    const start = (): void => {
      this.#working = this.#work(context, message).finally(() => (this.#working = undefined));
    };
    return this.#working ? this.#working.then(start) : start();
  }

  #response({ command, dataSet }: Message): void {
    dataSet?.discard();
    if (!this.#outgoing?.answered(command)) throw new InvalidPdu('a response came that no request of ours waits for');
  }

  /** Of an operation that is over already nothing is left to cancel (PS3.7 9.3.2.3). */
  #cancel(messageID: number | undefined): void {
    if (messageID !== undefined && this.#operation?.command.messageID === messageID) this.#operation.cancel();
  }

  async #work(context: ServiceContext, { command, dataSet }: Message): Promise<void> {
    const request: DimseRequest = {
      presentationContextId: context.id, abstractSyntaxUID: context.abstractSyntaxUID, transferSyntaxUID: context.transferSyntaxUID, command, dataSet,
    };
    const operation = new OpenOperation(context.id, command, this.#writer!);
    this.#operation = operation;
    const response = await this.#handle(request, operation);
    this.#operation = undefined;
    if (dataSet) {
      dataSet.discard();
      await dataSet.over;
    }
    if (this.#end !== undefined) return;
    this.#messageCount += 1;
    this.#context.counted('message');
    const sent = this.#writer!.send(context.id, responseCommand(command, response), response.dataSet);
    if (sent) await sent.catch(() => undefined);
  }

  async #handle(request: DimseRequest, operation: OpenOperation): Promise<DimseResponse> {
    const { commandField } = request.command;
    if (commandField === commandFields.cEchoRequest && request.abstractSyntaxUID === verificationSopClassUID) return verification(request);
    if (!(this.#session?.operations ?? defaultOperations).includes(commandField)) return { status: status.unrecognizedOperation };
    if (request.abstractSyntaxUID === verificationSopClassUID) return { status: status.unrecognizedOperation };
    if (commandField === commandFields.cStoreRequest && !isUidShaped(request.command.affectedSOPInstanceUID ?? '')) {
      this.#context.logger.warn({ ...this.#fields, status: status.invalidInstance }, 'request refused: its SOP Instance UID is no UID');
      return { status: status.invalidInstance };
    }
    try {
      return await this.#session!.handle(request, operation);
    } catch (error) {
      if (!(error instanceof DataSetInterrupted || error instanceof AssociationOver)) {
        this.#context.logger.error({ ...this.#fields, err: error, commandField }, 'a request could not be handled');
      }
      return { status: commandField === commandFields.cStoreRequest ? status.outOfResources : status.processingFailure };
    }
  }

  releaseIndication(): void {
    if (this.#reader.insideMessage) return this.abort('the peer wants it released in the middle of a message');
    const release = (): void => {
      this.#finish('released');
      this.#context.logger.info({ ...this.#fields, messageCount: this.#messageCount }, 'association released');
      this.#upperLayer.respondRelease();
    };
    if (this.#working) void this.#working.then(release);
    else release();
  }

  abortIndication(abort: AbortIndication): void {
    const { by, source, reason, sentence } = abort;
    if (this.#end === undefined) this.#context.logger.warn({ ...this.#fields, by, source, reason }, `association aborted: ${sentence}`);
    this.#finish(by === 'transport' ? 'lost' : 'aborted');
  }

  closed(incident?: string): void {
    if (incident) this.#context.logger.warn(this.#fields, `connection closed: ${incident}`);
    this.#finish('lost');
    const ended = async (): Promise<void> => {
      await this.#working;
      const session = await this.#opening;
      await session?.ended(this.#end!);
    };
    ended()
      .catch((error: unknown) => this.#context.logger.error({ ...this.#fields, err: error }, 'the session failed at the end of its association'))
      .finally(() => this.#closed.resolve());
  }

  /** The first end counts. */
  #finish(how: AssociationEnd): void {
    if (this.#end !== undefined) return;
    this.#end = how;
    this.#reader.unfinished?.fail(new DataSetInterrupted(how));
    this.#operation?.end();
    this.#outgoing?.end();
    this.#writer?.end();
    if (this.#session && how !== 'released') this.#context.counted('aborted');
  }

  // The acceptor never asks for an association or a release.
  associateConfirmation(): void {}
  releaseConfirmation(): void {}
}
