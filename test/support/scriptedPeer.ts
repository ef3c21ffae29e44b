import { connect, type Socket } from 'node:net';

/** A PDU as it came, header apart. */
export interface ReceivedPdu {
  readonly type: number;
  readonly body: Buffer;
}

const uint16 = (value: number): Buffer => Buffer.of(value >>> 8, value & 0xff);
const uint32 = (value: number): Buffer => Buffer.concat([uint16(value >>> 16), uint16(value & 0xffff)]);

/** Any PDU, true or forged: `length` overrides what the header says. */
export const pdu = (type: number, body: Buffer, length = body.length): Buffer => Buffer.concat([Buffer.of(type, 0), uint32(length), body]);
export const item = (type: number, value: Buffer | string, length = value.length): Buffer =>
  Buffer.concat([Buffer.of(type, 0), uint16(length), Buffer.from(value)]);
/** One PDV; `length` overrides the item length. */
export const pdv = (contextId: number, control: number, bytes: Buffer, length = bytes.length + 2): Buffer =>
  Buffer.concat([uint32(length), Buffer.of(contextId, control), bytes]);

export interface RequestParts {
  readonly calledAETitle?: string;
  readonly callingAETitle?: string;
  readonly protocolVersion?: number;
  readonly applicationContextUID?: string;
  readonly contexts?: readonly (readonly [id: number, abstractSyntax: string, ...transferSyntaxes: string[]])[];
  readonly maxLengthBytes?: number;
  /** More sub-items of User Information. */
  readonly userItems?: readonly Buffer[];
}

export const verification = '1.2.840.10008.1.1';
export const ctImage = '1.2.840.10008.5.1.4.1.1.2';
export const implicitLE = '1.2.840.10008.1.2';
export const explicitLE = '1.2.840.10008.1.2.1';

/** An A-ASSOCIATE-RQ, put together without the code under test. */
export function associateRQ(parts: RequestParts = {}): Buffer {
  const contexts = parts.contexts ?? [[1, verification, implicitLE], [3, ctImage, explicitLE]];
  return pdu(1, Buffer.concat([
    uint16(parts.protocolVersion ?? 1), Buffer.alloc(2),
    Buffer.from((parts.calledAETitle ?? 'PACS').padEnd(16), 'latin1'), Buffer.from((parts.callingAETitle ?? 'SCRIPT').padEnd(16), 'latin1'),
    Buffer.alloc(32),
    item(0x10, parts.applicationContextUID ?? '1.2.840.10008.3.1.1.1'),
    ...contexts.map(([id, abstractSyntax, ...transferSyntaxes]) => item(0x20, Buffer.concat([
      Buffer.of(id, 0, 0, 0), item(0x30, abstractSyntax), ...transferSyntaxes.map((uid) => item(0x40, uid)),
    ]))),
    item(0x50, Buffer.concat([item(0x51, uint32(parts.maxLengthBytes ?? 16_384)), item(0x52, '1.2.3.4'), ...(parts.userItems ?? [])])),
  ]));
}

/** One command element, Implicit VR Little Endian. */
export function element(number: number, value: Buffer | string | number): Buffer {
  const bytes = typeof value === 'number' ? Buffer.of(value & 0xff, value >>> 8) : Buffer.from(value);
  const padded = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
  const header = Buffer.alloc(8);
  header.writeUInt16LE(number, 2);
  header.writeUInt32LE(padded.length, 4);
  return Buffer.concat([header, padded]);
}

export const echoRQ = (messageID: number): Buffer =>
  Buffer.concat([element(0x0002, verification), element(0x0100, 0x0030), element(0x0110, messageID), element(0x0800, 0x0101)]);
export const storeRQ = (messageID: number, sopInstanceUID = '1.2.3.4.5'): Buffer => Buffer.concat([
  element(0x0002, ctImage), element(0x0100, 0x0001), element(0x0110, messageID), element(0x0700, 0), element(0x0800, 0), element(0x1000, sopInstanceUID),
]);

export const releaseRQ = pdu(5, Buffer.alloc(4));
export const abortPdu = pdu(7, Buffer.alloc(4));

/** A P-DATA-TF with one PDV that is a whole command (control 3), or with what is given. */
export const command = (contextId: number, bytes: Buffer): Buffer => pdu(4, pdv(contextId, 3, bytes));

/** US value of a command element in a received P-DATA-TF of one PDV. */
export function commandUint16(received: ReceivedPdu, number: number): number | undefined {
  for (let at = 6; at + 8 <= received.body.length;) {
    const length = received.body.readUInt32LE(at + 4);
    if (received.body.readUInt16LE(at + 2) === number) return received.body.readUInt16LE(at + 8);
    at += 8 + length;
  }
  return undefined;
}

/** A peer that sends literal bytes and waits for what comes back. */
export class ScriptedPeer {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #isClosed = false;
  #wake = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    const wake = (): void => {
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    };
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isClosed = true;
      wake();
    });
  }

  /** @param localAddress another of this machine's, such as 127.0.0.2 */
  static connect(port: number, localAddress = '127.0.0.1'): Promise<ScriptedPeer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, localAddress });
      socket.once('error', reject);
      socket.once('connect', () => resolve(new ScriptedPeer(socket)));
    });
  }

  send(...bytes: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(bytes));
  }

  /** @returns undefined when the connection closed before a whole PDU came */
  async receive(): Promise<ReceivedPdu | undefined> {
    for (;;) {
      const length = this.#received.length >= 6 ? this.#received.readUInt32BE(2) : Infinity;
      if (this.#received.length >= 6 + length) {
        const received = { type: this.#received.readUInt8(0), body: this.#received.subarray(6, 6 + length) };
        this.#received = this.#received.subarray(6 + length);
        return received;
      }
      if (this.#isClosed) return undefined;
      await this.#wake.promise;
    }
  }

  /** Type and body in hex: `07 00000202`. */
  async receiveHex(): Promise<string> {
    const received = await this.receive();
    return received ? `${received.type.toString(16).padStart(2, '0')} ${received.body.toString('hex')}` : 'closed';
  }

  /** From now on nothing of what the other side sends is read. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Bytes that the other side has not taken yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#wake.promise;
  }

  /** Cuts the connection without a word (RST). */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  end(): void {
    this.#socket.destroy();
  }
}

/** Connects and has an association accepted. */
export async function associatedPeer(port: number, parts?: RequestParts, localAddress?: string): Promise<ScriptedPeer> {
  const peer = await ScriptedPeer.connect(port, localAddress);
  peer.send(associateRQ(parts));
  const answer = await peer.receive();
  if (answer?.type !== 2) throw new Error(`the association was not accepted but answered by PDU type ${answer?.type}`);
  return peer;
}
