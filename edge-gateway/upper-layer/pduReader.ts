import { InvalidPdu, abortReason } from './fields.ts';
import { decodePdu, pduHeaderLength, pduTypes, pdvHeaderLength, type Pdu } from './pdu.ts';

/** Who takes what `PduReader` reads. */
export interface PduSink {
  pdu(pdu: Pdu): void;
  /** A P-DATA-TF begins. @returns false when its bytes are to be passed over. */
  data(): boolean;
  /**
   * The next bytes of a fragment: a slice of what was pushed, not a copy. `ends` is set with the fragment's last bytes.
   * A returned promise holds back everything behind these bytes until it settles.
   */
  fragment(contextId: number, control: number, bytes: Buffer, ends: boolean): void | Promise<void>;
}

export interface PduLimits {
  /** Largest P-DATA-TF, header excluded: the Maximum Length Received that was advertised (PS3.8 D.1); 0 is unlimited. */
  readonly maxLengthBytes: number;
  /** Largest A-ASSOCIATE-RQ or -AC, header excluded. 128 contexts with every transfer syntax are about 200 KiB. */
  readonly maxAssociateLengthBytes: number;
}

/** Of A-ASSOCIATE-RJ, A-RELEASE and A-ABORT (PS3.8 9.3.4, 9.3.6 to 9.3.8). */
const fixedBodyLength = 4;
/** Of an A-ASSOCIATE before its items (PS3.8 Table 9-11). */
const associateFixedLength = 68;
/** A body that trickles in is joined now and then, so that a byte a packet costs a byte. */
const maxBodyPieces = 64;

type Expecting = 'pduHeader' | 'body' | 'pdvHeader' | 'fragment' | 'skip';

/**
 * Cuts a byte stream into PDUs (PS3.8 9.3). Every length is checked when its header arrives and before anything is
 * kept; the fragments of a P-DATA-TF pass through in slices, so what is held is at most one header or one A-ASSOCIATE.
 */
export class PduReader {
  readonly #sink: PduSink;
  readonly #limits: PduLimits;
  readonly #header = Buffer.alloc(pduHeaderLength);
  #headerLength = 0;
  #expecting: Expecting = 'pduHeader';
  #type = 0;
  /** Bytes of the PDU that were not read yet. */
  #left = 0;
  #fragmentLeft = 0;
  #contextId = 0;
  #control = 0;
  #body: Buffer[] = [];

  constructor(sink: PduSink, limits: PduLimits) {
    this.#sink = sink;
    this.#limits = limits;
  }

  /**
   * Reads the next bytes, up to the first that the sink holds back.
   *
   * @returns a promise when the sink returned one: push nothing more before it settles
   * @throws `InvalidPdu`, also from the promise; the stream can then not be read any further
   */
  push(chunk: Buffer): void | Promise<void> {
    let at = 0;
    while (at < chunk.length || (this.#expecting === 'fragment' && this.#fragmentLeft === 0)) {
      if (this.#expecting !== 'fragment') {
        at = this.#readControl(chunk, at);
        continue;
      }
      const length = Math.min(this.#fragmentLeft, chunk.length - at);
      const bytes = chunk.subarray(at, at + length);
      at += length;
      const wait = this.#passFragment(bytes);
      if (wait) {
        const rest = chunk.subarray(at);
        return rest.length === 0 ? wait : wait.then(() => this.push(rest));
      }
    }
  }

  #passFragment(bytes: Buffer): void | Promise<void> {
    this.#fragmentLeft -= bytes.length;
    this.#left -= bytes.length;
    const ends = this.#fragmentLeft === 0;
    if (ends) this.#expecting = this.#left === 0 ? 'pduHeader' : 'pdvHeader';
    return this.#sink.fragment(this.#contextId, this.#control, bytes, ends);
  }

  /** Everything but fragments. @returns the position behind what it took */
  #readControl(chunk: Buffer, at: number): number {
    if (this.#expecting === 'body') return this.#readBody(chunk, at);
    if (this.#expecting === 'skip') return this.#skip(chunk, at);
    const length = Math.min(pduHeaderLength - this.#headerLength, chunk.length - at);
    chunk.copy(this.#header, this.#headerLength, at, at + length);
    this.#headerLength += length;
    if (this.#headerLength === pduHeaderLength) {
      this.#headerLength = 0;
      if (this.#expecting === 'pduHeader') this.#beginPdu();
      else this.#beginFragment();
    }
    return at + length;
  }

  #beginPdu(): void {
    this.#type = this.#header.readUInt8(0);
    this.#left = this.#header.readUInt32BE(2);
    this.#checkLength();
    if (this.#type === pduTypes.data) {
      this.#expecting = this.#sink.data() ? 'pdvHeader' : 'skip';
      return;
    }
    this.#expecting = 'body';
    this.#body = [];
  }

  #checkLength(): void {
    const { maxLengthBytes, maxAssociateLengthBytes } = this.#limits;
    if (this.#type === pduTypes.data) {
      if (maxLengthBytes > 0 && this.#left > maxLengthBytes) throw new InvalidPdu('a P-DATA-TF is longer than the maximum length that was negotiated');
      if (this.#left < pdvHeaderLength) throw new InvalidPdu('a P-DATA-TF is too short for a PDV');
    } else if (this.#type === pduTypes.associateRequest || this.#type === pduTypes.associateAccept) {
      if (this.#left > maxAssociateLengthBytes) throw new InvalidPdu('an A-ASSOCIATE PDU is longer than the limit');
      if (this.#left < associateFixedLength) throw new InvalidPdu('an A-ASSOCIATE PDU is too short for its fixed fields');
    } else if (this.#type < pduTypes.associateRequest || this.#type > pduTypes.abort) {
      throw new InvalidPdu('the PDU type is not one of PS3.8', abortReason.unrecognizedPdu);
    } else if (this.#left !== fixedBodyLength) {
      throw new InvalidPdu('a PDU of fixed length has another length');
    }
  }

  #beginFragment(): void {
    const length = this.#header.readUInt32BE(0);
    this.#left -= pdvHeaderLength;
    this.#fragmentLeft = length - 2;
    if (length < 2 || this.#fragmentLeft > this.#left) throw new InvalidPdu('a PDV does not fit its P-DATA-TF');
    if (this.#fragmentLeft < this.#left && this.#left - this.#fragmentLeft < pdvHeaderLength) throw new InvalidPdu('bytes follow the last PDV');
    this.#contextId = this.#header.readUInt8(4);
    this.#control = this.#header.readUInt8(5);
    this.#expecting = 'fragment';
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#body.push(chunk.subarray(at, end));
    this.#left -= end - at;
    if (this.#body.length > maxBodyPieces) this.#body = [Buffer.concat(this.#body)];
    if (this.#left === 0) {
      this.#expecting = 'pduHeader';
      const pdu = decodePdu(this.#type, Buffer.concat(this.#body));
      this.#body = [];
      this.#sink.pdu(pdu);
    }
    return end;
  }

  #skip(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#expecting = 'pduHeader';
    return end;
  }
}
