import {
  encodingInsideUN, itemDelimitationTag, itemTag, looksLikeVR, readLength, readTag, readVR, sequenceDelimitationTag,
  tagText, undefinedLength, type Encoding,
} from './encoding.ts';

export interface ElementScannerEvents {
  /** Asked for every top-level element: how many bytes of its value to hand over. Undefined length comes as Infinity. */
  wantedLength(tag: number, lengthBytes: number): number;
  /** A value that was asked for, whole. The buffer is only valid during the call. */
  value(tag: number, value: Buffer): void;
  unreadable(sentence: string): void;
}

/** Sequences and items of undefined length that may be open at once; PS3.5 sets no limit, real data has less than 20. */
const maxDepth = 128;
/** Element and item headers that may be read before the scan gives up, a bound on its time. */
const maxHeaders = 1_000_000;

/** A sequence or an item of undefined length that is still open. What has a defined length is skipped as a whole. */
interface Container {
  readonly kind: 'sequence' | 'item';
  readonly encoding: Encoding;
}

/**
 * Walks the elements of a data set that arrives in chunks (PS3.5 7), without keeping more than one header and one
 * wanted value. Tags within sequences are never reported.
 */
export class ElementScanner {
  readonly #encoding: Encoding;
  readonly #events: ElementScannerEvents;
  readonly #open: Container[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #skipBytes = 0;
  #headers = 0;
  #stopped = false;

  constructor(encoding: Encoding, events: ElementScannerEvents) {
    this.#encoding = encoding;
    this.#events = events;
  }

  /** Whether the bytes so far end where a top-level element ends. */
  get atBoundary(): boolean {
    return this.#rest.length === 0 && this.#skipBytes === 0 && this.#open.length === 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#rest = Buffer.alloc(0);
  }

  push(chunk: Buffer): void {
    if (this.#stopped) return;
    if (this.#skipBytes >= chunk.length) {
      this.#skipBytes -= chunk.length;
      return;
    }
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (!this.#stopped) {
      const skipped = Math.min(this.#skipBytes, bytes.length - at);
      at += skipped;
      this.#skipBytes -= skipped;
      const used = this.#skipBytes > 0 ? 0 : this.#step(bytes, at);
      if (used === 0) break;
      at += used;
    }
    if (!this.#stopped) this.#rest = Buffer.from(bytes.subarray(at));
  }

  /** Reads one header (and the value when it is wanted); returns the bytes used, 0 when more are needed. */
  #step(bytes: Buffer, at: number): number {
    if (at + 8 > bytes.length) return 0;
    const inside = this.#open.at(-1);
    const encoding = inside?.encoding ?? this.#encoding;
    const tag = readTag(bytes, at, encoding.bigEndian);
    if (this.#headers >= maxHeaders) return this.#fail('The data set has more elements before its UIDs than are read.');
    const used = this.#header(bytes, at, tag, inside?.kind, encoding);
    if (used > 0) this.#headers += 1;
    return used;
  }

  #header(bytes: Buffer, at: number, tag: number, inside: Container['kind'] | undefined, encoding: Encoding): number {
    if (inside === 'sequence') return this.#itemHeader(tag, readLength(bytes, at + 4, encoding.bigEndian), encoding);
    if (inside === 'item' && tag === itemDelimitationTag) {
      this.#open.pop();
      return 8;
    }
    return encoding.implicitVR ? this.#implicitElement(bytes, at, tag, encoding) : this.#explicitElement(bytes, at, tag, encoding);
  }

  #itemHeader(tag: number, length: number, encoding: Encoding): number {
    if (tag === sequenceDelimitationTag) this.#open.pop();
    else if (tag !== itemTag) return this.#fail(`There is ${tagText(tag)} where an item of a sequence starts.`);
    else if (length === undefinedLength) return this.#enter({ kind: 'item', encoding }, 8);
    else this.#skipBytes = length;
    return 8;
  }

  #implicitElement(bytes: Buffer, at: number, tag: number, encoding: Encoding): number {
    if (this.#headers === 0 && looksLikeVR(bytes, at + 4)) {
      return this.#fail('The data set has explicit VRs, which its transfer syntax does not.');
    }
    return this.#element(bytes, at, tag, 8, readLength(bytes, at + 4, encoding.bigEndian), encoding);
  }

  #explicitElement(bytes: Buffer, at: number, tag: number, encoding: Encoding): number {
    const { vr, long } = readVR(bytes, at + 4);
    if (vr === undefined) return this.#fail(`There is no VR where ${tagText(tag)} has one in its transfer syntax.`);
    if (!long) {
      const length = encoding.bigEndian ? bytes.readUInt16BE(at + 6) : bytes.readUInt16LE(at + 6);
      return this.#element(bytes, at, tag, 8, length, encoding);
    }
    if (at + 12 > bytes.length) return 0;
    const length = readLength(bytes, at + 8, encoding.bigEndian);
    return this.#element(bytes, at, tag, 12, length, vr === 'UN' ? encodingInsideUN : encoding);
  }

  /** @param inner the encoding of the items, should this be a sequence of undefined length */
  #element(bytes: Buffer, at: number, tag: number, headerBytes: number, length: number, inner: Encoding): number {
    if (this.#open.length === 0) {
      const wanted = this.#events.wantedLength(tag, length === undefinedLength ? Infinity : length);
      if (this.#stopped) return 0;
      if (wanted > 0) return this.#wantedValue(bytes, at + headerBytes, tag, headerBytes, wanted);
    }
    if (length === undefinedLength) return this.#enter({ kind: 'sequence', encoding: inner }, headerBytes);
    this.#skipBytes = length;
    return headerBytes;
  }

  #wantedValue(bytes: Buffer, start: number, tag: number, headerBytes: number, length: number): number {
    if (start + length > bytes.length) return 0;
    this.#events.value(tag, bytes.subarray(start, start + length));
    return headerBytes + length;
  }

  #enter(container: Container, headerBytes: number): number {
    if (this.#open.length >= maxDepth) return this.#fail('Sequences are nested too deeply.');
    this.#open.push(container);
    return headerBytes;
  }

  #fail(sentence: string): number {
    this.#events.unreadable(sentence);
    return 0;
  }
}
