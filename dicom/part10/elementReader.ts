import { textDecoderFor } from '../charset.ts';
import type { DicomJson, JsonAttribute, JsonValue } from '../json.ts';
import { dictionaryVR } from '../tags.ts';
import {
  encodingInsideUN, itemDelimitationTag, itemTag, jsonKey, readLength, readTag, readVR, sequenceDelimitationTag, tagText,
  undefinedLength, type Encoding,
} from './encoding.ts';
import { Unreadable } from './source.ts';
import { isBulk, jsonAttribute, type ValueContext } from './values.ts';

/** The window ends before the element does. */
export class NeedBytes extends Error {
  /** Absolute offset up to which bytes are needed. */
  readonly endOffsetBytes: number;

  constructor(endOffsetBytes: number) {
    super('More bytes of the data set are needed.');
    this.endOffsetBytes = endOffsetBytes;
  }
}

/** One top-level element. */
export interface ReadElement {
  readonly tag: number;
  readonly vr: string;
  readonly valueOffsetBytes: number;
  /** -1 when the length is undefined. */
  readonly lengthBytes: number;
  /** Absent for Pixel Data, whose value is not looked at. */
  readonly attribute?: JsonAttribute;
  /** Where the next element starts. Meaningless for Pixel Data of undefined length. */
  readonly nextOffsetBytes: number;
}

export interface ReadLimits {
  /** Sequences within sequences. */
  readonly depth: number;
  /** Elements, items and values of the whole data set. */
  readonly count: number;
}

/** What the attributes read so far say about those to come; items inherit it (PS3.5 7.5.3, PS3.3 C.12.1.1.2). */
interface Context extends ValueContext {
  readonly encoding: Encoding;
  readonly signedPixels: boolean;
  readonly depth: number;
}

interface Header {
  readonly tag: number;
  readonly vr: string;
  readonly valueAt: number;
  readonly length: number;
  /** Of the value, which differs from its surroundings within UN. */
  readonly encoding: Encoding;
}

interface ReadValue {
  readonly attribute: JsonAttribute;
  readonly end: number;
}

/** Pixel Data, Float Pixel Data, Double Float Pixel Data (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25). */
export const isPixelData = (tag: number): boolean => tag === 0x7fe00010 || tag === 0x7fe00008 || tag === 0x7fe00009;

/**
 * Reads the elements of a data set into the DICOM JSON Model from a window of its bytes (PS3.5 7). All offsets are
 * absolute; the window moves with `setWindow`. Every length is checked against what surrounds it before use.
 */
export class ElementReader {
  /** Of the source; may become known late (deflated). */
  totalBytes = Infinity;
  readonly #limits: ReadLimits;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;
  #count = 0;
  #context: Context;

  constructor(encoding: Encoding, limits: ReadLimits) {
    this.#limits = limits;
    this.#context = { encoding, bigEndian: encoding.bigEndian, decode: textDecoderFor([]), signedPixels: false, depth: 0 };
  }

  setWindow(window: Buffer, offsetBytes: number): void {
    this.#window = window;
    this.#windowAt = offsetBytes;
  }

  /**
   * @throws NeedBytes when the window has to reach further; the call can be repeated then
   * @throws Unreadable when the bytes are no element
   */
  topLevelElement(at: number): ReadElement {
    const countBefore = this.#count;
    try {
      const header = this.#header(at, this.totalBytes, this.#context);
      const { tag, vr, valueAt, length } = header;
      const lengthBytes = length === undefinedLength ? -1 : length;
      if (isPixelData(tag)) return { tag, vr, valueOffsetBytes: valueAt, lengthBytes, nextOffsetBytes: valueAt + length };
      const { attribute, end } = this.#value(header, this.totalBytes, this.#context);
      this.#context = contextAfter(this.#context, tag, attribute);
      return { tag, vr: attribute.vr, valueOffsetBytes: valueAt, lengthBytes, attribute, nextOffsetBytes: end };
    } catch (error) {
      if (error instanceof NeedBytes) this.#count = countBefore;
      throw error;
    }
  }

  /** @param limit where the surrounding item, or the source, ends */
  #header(at: number, limit: number, context: Context): Header {
    this.#charge(1);
    const { encoding } = context;
    this.#need(at, 8, limit);
    const i = at - this.#windowAt;
    const tag = readTag(this.#window, i, encoding.bigEndian);
    if (encoding.implicitVR || tag >= itemTag && tag <= sequenceDelimitationTag) {
      const length = readLength(this.#window, i + 4, encoding.bigEndian);
      return { tag, vr: resolvedVR(tag, undefined, length, context), valueAt: at + 8, length, encoding };
    }
    const { vr, long } = readVR(this.#window, i + 4);
    if (vr === undefined) throw new Unreadable(`There is no VR where ${tagText(tag)} has one in its transfer syntax.`);
    if (long) this.#need(at, 12, limit);
    const length = long ? readLength(this.#window, i + 8, encoding.bigEndian)
      : encoding.bigEndian ? this.#window.readUInt16BE(i + 6) : this.#window.readUInt16LE(i + 6);
    return {
      tag, vr: resolvedVR(tag, vr, length, context), valueAt: at + (long ? 12 : 8), length,
      encoding: vr === 'UN' ? encodingInsideUN : encoding,
    };
  }

  #value(header: Header, limit: number, context: Context): ReadValue {
    const { tag, vr, valueAt, length, encoding } = header;
    const end = length === undefinedLength ? limit : valueAt + length;
    if (end > limit) throw cutOff(tag, limit < this.totalBytes);
    if (vr === 'SQ') return this.#sequence(header, end, { ...context, encoding, bigEndian: encoding.bigEndian, depth: context.depth + 1 });
    if (length === undefinedLength) return this.#fragments(header, limit, context);
    if (isBulk(vr, length)) return { attribute: { vr, BulkDataURI: bulkDataURI(valueAt, length) }, end };
    this.#need(valueAt, length, limit);
    const i = valueAt - this.#windowAt;
    const attribute = jsonAttribute(vr, this.#window.subarray(i, i + length), { bigEndian: encoding.bigEndian, decode: context.decode });
    this.#charge(attribute.Value?.length ?? 0);
    return { attribute, end };
  }

  #sequence({ tag, vr, valueAt, length }: Header, limit: number, context: Context): ReadValue {
    if (context.depth > this.#limits.depth) throw new Unreadable('Sequences are nested too deeply.');
    const items: JsonValue[] = [];
    let at = valueAt;
    while (length === undefinedLength || at < limit) {
      const item = this.#itemHeader(tag, at, limit, context);
      at += 8;
      if (item.tag === sequenceDelimitationTag) break;
      const itemEnd = item.length === undefinedLength ? limit : at + item.length;
      if (itemEnd > limit) throw cutOff(tag, limit < this.totalBytes);
      const { dataSet, end } = this.#item(at, itemEnd, item.length === undefinedLength, context);
      items.push(dataSet);
      at = end;
    }
    return { attribute: items.length === 0 ? { vr } : { vr, Value: items }, end: length === undefinedLength ? at : limit };
  }

  #itemHeader(sequence: number, at: number, limit: number, { encoding }: Context): { readonly tag: number; readonly length: number } {
    this.#charge(1);
    this.#need(at, 8, limit);
    const tag = readTag(this.#window, at - this.#windowAt, encoding.bigEndian);
    if (tag !== itemTag && tag !== sequenceDelimitationTag) {
      throw new Unreadable(`There is ${tagText(tag)} where an item of ${tagText(sequence)} starts.`);
    }
    return { tag, length: readLength(this.#window, at - this.#windowAt + 4, encoding.bigEndian) };
  }

  #item(start: number, limit: number, delimited: boolean, inherited: Context): { readonly dataSet: DicomJson; readonly end: number } {
    const dataSet: Record<string, JsonAttribute> = {};
    let context = inherited;
    let at = start;
    while (delimited || at < limit) {
      const header = this.#header(at, limit, context);
      if (header.tag === itemDelimitationTag) return { dataSet, end: header.valueAt };
      const { attribute, end } = this.#value(header, limit, context);
      context = contextAfter(context, header.tag, attribute);
      if ((header.tag & 0xffff) !== 0) dataSet[jsonKey(header.tag)] ??= attribute;
      at = end;
    }
    return { dataSet, end: limit };
  }

  /** Encapsulated pixels within an item (Icon Image Sequence): fragments up to the delimiter (PS3.5 A.4). */
  #fragments({ tag, vr, valueAt }: Header, limit: number, context: Context): ReadValue {
    let at = valueAt;
    for (;;) {
      const item = this.#itemHeader(tag, at, limit, context);
      if (item.tag === sequenceDelimitationTag) {
        return { attribute: { vr, BulkDataURI: bulkDataURI(valueAt, at - valueAt) }, end: at + 8 };
      }
      at += 8 + item.length;
      if (at > limit) throw cutOff(tag, limit < this.totalBytes);
    }
  }

  #need(at: number, lengthBytes: number, limit: number): void {
    const end = at + lengthBytes;
    if (end <= this.#windowAt + this.#window.length) {
      if (end > limit) throw new Unreadable('An element reaches beyond the item that holds it.');
      return;
    }
    if (end > this.totalBytes) throw new Unreadable('The data set ends in the middle of an element.');
    if (end > limit) throw new Unreadable('An element reaches beyond the item that holds it.');
    throw new NeedBytes(end);
  }

  #charge(count: number): void {
    this.#count += count;
    if (this.#count > this.#limits.count) throw new Unreadable('The data set has more elements than are read.');
  }
}

/** Where a value lies: `#<offset>,<length>` in bytes, the length -1 when the file ends before the value does. */
export const bulkDataURI = (offsetBytes: number, lengthBytes: number): string => `#${offsetBytes},${lengthBytes}`;

const cutOff = (tag: number, withinItem: boolean): Unreadable =>
  new Unreadable(
    withinItem ? `${tagText(tag)} reaches beyond the item that holds it.` : `The data set ends in the middle of ${tagText(tag)}.`,
  );

const contextAfter = (context: Context, tag: number, attribute: JsonAttribute): Context => {
  if (tag === 0x00080005) {
    const terms = (attribute.Value ?? []).map((term) => (typeof term === 'string' ? term : ''));
    return { ...context, decode: textDecoderFor(terms) };
  }
  return tag === 0x00280103 ? { ...context, signedPixels: attribute.Value?.[0] === 1 } : context;
};

/** The VR to convert by: as written, or by the dictionary where it is implicit or UN (PS3.5 6.2.2). */
const resolvedVR = (tag: number, written: string | undefined, length: number, context: Context): string => {
  if (written !== undefined && written !== 'UN') return written;
  const vr = dictionaryVR(tag);
  if (vr === undefined || vr === 'na') return length === undefinedLength ? 'SQ' : 'UN';
  if (vr === 'xs') return context.signedPixels ? 'SS' : 'US';
  if (vr === 'up') return 'UL';
  if (vr === 'ox' || vr === 'lt') return 'OW';
  return length === undefinedLength && !vr.startsWith('O') ? 'SQ' : vr;
};
