import type { Socket } from 'node:net';
import { InvalidPdu, abortReason } from './fields.ts';
import {
  encodeAbort, encodeAssociateAccept, encodeAssociateReject, encodeAssociateRequest, encodeReleaseRequest, encodeReleaseResponse,
  type AssociateAccept, type AssociateReject, type AssociateRequest, type Pdu,
} from './pdu.ts';
import { Pace } from './pace.ts';
import { PduReader } from './pduReader.ts';
import { abortSource, type UpperLayerOptions, type UpperLayerUser } from './primitives.ts';
import { actionFor, events, nextStates, type Action, type Event, type State } from './stateMachine.ts';

interface Input {
  readonly pdu?: Pdu;
  readonly bytes?: Buffer;
  readonly reason?: number;
  readonly sentence?: string;
}

const eventOfPdu = {
  associateRequest: events.associateRequestPdu, associateAccept: events.associateAcceptPdu, associateReject: events.associateRejectPdu,
  releaseRequest: events.releaseRequestPdu, releaseResponse: events.releaseResponsePdu, abort: events.abortPdu,
} as const satisfies Record<Pdu['type'], Event>;

/** Of a message control header: the fragment is the last of its command or data set (PS3.8 E.2). */
const lastFragment = 0x02;

/** Bit 0 of Protocol-version is version 1 (PS3.8 9.3.2). */
const supportsVersion1 = (pdu: Pdu | undefined): boolean =>
  pdu?.type === 'associateRequest' && (pdu.request.protocolVersion & 1) === 1;
const unsupportedVersion: AssociateReject = { result: 1, source: 2, reason: 2 };

/** One transport connection and its state machine (PS3.8 9.2), in either role. Never throws, whatever the peer sends. */
export class UpperLayer {
  readonly #socket: Socket;
  readonly #user: UpperLayerUser;
  readonly #options: UpperLayerOptions;
  readonly #reader: PduReader;
  readonly #pace: Pace;
  #state: State = 1;
  #requestor = false;
  #artim: NodeJS.Timeout | undefined;
  #finished = false;
  /** The user holds the peer's bytes back. */
  #holding = false;
  #incident: string | undefined;
  /** The peer's bytes can no longer be cut into PDUs; they are read and dropped until it closes. */
  #unreadable = false;

  /** @param socket connected for the acceptor; for the requestor it may still be connecting */
  constructor(socket: Socket, user: UpperLayerUser, options: UpperLayerOptions) {
    this.#socket = socket;
    this.#user = user;
    this.#options = options;
    this.#reader = new PduReader({
      pdu: (pdu) => this.#fire(eventOfPdu[pdu.type], { pdu, sentence: 'the peer sent a PDU that is not expected in this state' }),
      data: () => this.#dataPdu(),
      fragment: (contextId, control, bytes, ends) => this.#fragment(contextId, control, bytes, ends),
    }, options);
    this.#pace = new Pace(options.idleTimeoutMs, () => this.#holding || user.busy(), () => this.#abortAsUser('the peer sent a message too slowly'));
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('timeout', () => this.#idle());
    socket.on('error', () => undefined);
    socket.on('close', () => this.#fire(events.transportClosed, { sentence: 'the connection was closed' }));
  }

  get state(): State {
    return this.#state;
  }

  /** Acceptor: the transport connection is there; waits for A-ASSOCIATE-RQ under the ARTIM timer. */
  awaitRequest(): void {
    this.#fire(events.transportIndication);
  }

  /** Requestor: sends A-ASSOCIATE-RQ as soon as the socket is connected. */
  associate(request: AssociateRequest, connectEvent: 'connect' | 'secureConnect'): void {
    this.#requestor = true;
    this.#fire(events.associateRequest);
    this.#socket.once(connectEvent, () => this.#fire(events.transportConfirm, { bytes: encodeAssociateRequest(request) }));
  }

  accept(accept: AssociateAccept): void {
    this.#fire(events.associateResponseAccept, { bytes: encodeAssociateAccept(accept) });
  }

  reject(reject: AssociateReject): void {
    this.#fire(events.associateResponseReject, { bytes: encodeAssociateReject(reject) });
  }

  /**
   * Sends P-DATA-TF PDUs, given in pieces; nothing when the association is over.
   *
   * @returns false when the peer is slow and `drained` is to be awaited before more is sent
   */
  send(pieces: readonly Buffer[]): boolean {
    if (!actionFor(this.#state, events.dataRequest)) return true;
    this.#socket.cork();
    for (const piece of pieces) this.#fire(events.dataRequest, { bytes: piece });
    this.#socket.uncork();
    return !this.#socket.writableNeedDrain;
  }

  /** Resolves when the peer took what was sent, or the connection is gone. */
  drained(): Promise<void> {
    if (!this.#socket.writableNeedDrain || this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.on('drain', done).on('close', done);
    });
  }

  release(): void {
    this.#fire(events.releaseRequest);
  }

  respondRelease(): void {
    this.#fire(events.releaseResponse);
  }

  /** A-ABORT by the service-user; closes a connection without an association as it is. */
  abort(): void {
    if (this.#state === 2) this.#socket.destroy();
    this.#fire(events.abortRequest);
  }

  #read(chunk: Buffer): void {
    if (this.#unreadable) return;
    this.#pace.moved(chunk.length);
    try {
      const wait = this.#reader.push(chunk);
      if (wait) void this.#hold(wait);
      else if (this.#socket.writableNeedDrain) void this.#resumeDrained();
    } catch (error) {
      this.#invalid(error);
    }
  }

  async #hold(wait: Promise<void>): Promise<void> {
    this.#holding = true;
    this.#socket.pause();
    await wait.catch((error: unknown) => this.#invalid(error));
    this.#holding = false;
    await this.#resumeDrained();
  }

  /** A peer that does not take our answers is not read either: what waits for it here stays bounded. */
  async #resumeDrained(): Promise<void> {
    this.#socket.pause();
    await this.drained();
    this.#socket.resume();
  }

  #fragment(contextId: number, control: number, bytes: Buffer, ends: boolean): void | Promise<void> {
    if (ends && (control & lastFragment) !== 0) this.#pace.endedMessage();
    if (this.#state === 6 || this.#state === 7) return this.#user.fragment(contextId, control, bytes, ends);
  }

  #dataPdu(): boolean {
    this.#fire(events.dataPdu, { sentence: 'the peer sent a P-DATA-TF that is not expected in this state' });
    return this.#state === 6 || this.#state === 7;
  }

  #invalid(error: unknown): void {
    const { reason, message } = error instanceof InvalidPdu ? error : new InvalidPdu(`internal error: ${String(error)}`, abortReason.notSpecified);
    this.#unreadable = true;
    this.#fire(events.invalidPdu, { reason, sentence: message });
  }

  #idle(): void {
    if (this.#socket.writableNeedDrain && this.#state >= 6 && this.#state <= 12) {
      this.#abortAsUser('the peer took nothing of what it was sent for too long');
    } else if (this.#holding || this.#user.busy()) {
      this.#socket.setTimeout(this.#options.idleTimeoutMs);
    } else if (this.#state >= 6 && this.#state <= 12) {
      this.#abortAsUser('the association was idle for too long');
    }
  }

  #abortAsUser(sentence: string): void {
    this.#fire(events.abortRequest);
    this.#user.abortIndication({ by: 'provider', source: abortSource.serviceUser, reason: 0, sentence });
  }

  #fire(event: Event, input: Input = {}): void {
    const action = actionFor(this.#state, event);
    if (!action) return;
    this.#state = this.#nextState(action, input);
    this.#actions[action](input);
    if (this.#state === 1) this.#finish();
  }

  #nextState(action: Action, input: Input): State {
    const [first, second] = nextStates[action] as readonly [State, State?];
    if (action === 'AE-6') return supportsVersion1(input.pdu) ? first : second!;
    if (action === 'AR-8') return this.#requestor ? first : second!;
    return first;
  }

  /** PS3.8 Tables 9-6 to 9-9. The state is the next one already. */
  readonly #actions: Readonly<Record<Action, (input: Input) => void>> = {
    'AE-1': () => undefined,
    'AE-2': ({ bytes }) => this.#write(bytes),
    'AE-3': ({ pdu }) => {
      this.#watch();
      if (pdu?.type === 'associateAccept') this.#user.associateConfirmation({ accept: pdu.accept });
    },
    'AE-4': ({ pdu }) => {
      if (pdu?.type === 'associateReject') this.#user.associateConfirmation({ reject: pdu.reject });
    },
    'AE-5': () => this.#startArtim(),
    'AE-6': ({ pdu }) => {
      this.#stopArtim();
      if (this.#state === 3 && pdu?.type === 'associateRequest') this.#user.associateIndication(pdu.request);
      else this.#leave(encodeAssociateReject(unsupportedVersion));
    },
    'AE-7': ({ bytes }) => {
      this.#watch();
      this.#write(bytes);
    },
    'AE-8': ({ bytes }) => this.#leave(bytes),
    'DT-1': ({ bytes }) => this.#write(bytes),
    'DT-2': () => undefined,
    'AR-1': () => this.#write(encodeReleaseRequest()),
    'AR-2': () => this.#user.releaseIndication(),
    'AR-3': () => this.#user.releaseConfirmation(),
    'AR-4': () => {
      this.#write(encodeReleaseResponse());
      this.#startArtim();
    },
    'AR-5': () => this.#stopArtim(),
    'AR-6': () => undefined,
    'AR-7': ({ bytes }) => this.#write(bytes),
    'AR-8': () => this.#user.releaseIndication(),
    'AR-9': () => this.#write(encodeReleaseResponse()),
    'AR-10': () => this.#user.releaseConfirmation(),
    'AA-1': ({ sentence }) => {
      this.#incident = sentence;
      this.#leave(encodeAbort({ source: abortSource.serviceUser, reason: 0 }));
    },
    'AA-2': ({ sentence }) => {
      this.#incident ??= sentence;
      this.#stopArtim();
    },
    'AA-3': ({ pdu }) => {
      const abort = pdu?.type === 'abort' ? pdu.abort : { source: 0, reason: 0 };
      this.#user.abortIndication({ ...abort, by: 'peer', sentence: 'the peer aborted the association' });
    },
    'AA-4': ({ sentence = '' }) => this.#user.abortIndication({ by: 'transport', source: abortSource.serviceProvider, reason: 0, sentence }),
    'AA-5': () => this.#stopArtim(),
    'AA-6': () => undefined,
    'AA-7': () => this.#write(encodeAbort({ source: abortSource.serviceProvider, reason: abortReason.unexpectedPdu })),
    'AA-8': ({ reason = abortReason.unexpectedPdu, sentence = '' }) => {
      this.#leave(encodeAbort({ source: abortSource.serviceProvider, reason }));
      this.#user.abortIndication({ by: 'provider', source: abortSource.serviceProvider, reason, sentence });
    },
  };

  #write(bytes: Buffer | undefined): void {
    if (bytes && this.#socket.writable) this.#socket.write(bytes);
  }

  /** Sends a last PDU and our end of the stream; reads on, so that closing does not reset the PDU away, until the peer closes. */
  #leave(bytes: Buffer | undefined): void {
    this.#startArtim();
    if (bytes && this.#socket.writable) this.#socket.end(bytes);
  }

  /** From here on, silence and dawdling of the peer end the association. */
  #watch(): void {
    this.#socket.setTimeout(this.#options.idleTimeoutMs);
    this.#pace.start();
  }

  #startArtim(): void {
    clearTimeout(this.#artim);
    this.#socket.setTimeout(0);
    this.#pace.stop();
    const sentence = this.#state === 2 ? 'no A-ASSOCIATE-RQ came within the ARTIM time-out' : undefined;
    this.#artim = setTimeout(() => this.#fire(events.artimExpired, { ...(sentence && { sentence }) }), this.#options.artimTimeoutMs);
  }

  #stopArtim(): void {
    clearTimeout(this.#artim);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#stopArtim();
    this.#pace.stop();
    this.#socket.destroy();
    this.#user.closed(this.#incident);
  }
}
