import { inflateRawSync } from 'node:zlib';
import { dictionaryVR } from '../tags.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../transferSyntaxes.ts';
import { elementHeader, encodingInsideUN, encodingOf, isLongVR, itemDelimitationTag, itemHeader, itemTag, readLength, readTag, readVR, sequenceDelimitationTag, tagText, undefinedLength, type Encoding } from './encoding.ts';
import { encodeFileMeta, parseFileMeta } from './fileMeta.ts';
import { Unreadable } from './source.ts';

/** Bytes of one number of a VR, whose order differs between little and big endian (PS3.5 7.3). */
const numberBytes: Readonly<Record<string, 2 | 4 | 8>> = {
  AT: 2, OW: 2, SS: 2, US: 2, FL: 4, OF: 4, OL: 4, SL: 4, UL: 4, FD: 8, OD: 8, OV: 8, SV: 8, UV: 8,
};
const maxDepth = 64;
const maxInflatedBytes = 512 * 1024 * 1024;

/** The transfer syntaxes that a file is re-encoded in. */
export type LittleEndian = typeof explicitVRLittleEndian | typeof implicitVRLittleEndian;

export const isLittleEndian = (transferSyntaxUID: string): transferSyntaxUID is LittleEndian =>
  transferSyntaxUID === explicitVRLittleEndian || transferSyntaxUID === implicitVRLittleEndian;

/**
 * Re-encodes a Part 10 file whose pixels are not compressed as Explicit or Implicit VR Little Endian (PS3.5 A.1, A.2): the
 * same elements with the same values; sequences get undefined length, retired group lengths go. File meta is written anew.
 *
 * @throws Unreadable when the bytes are not what the transfer syntax says
 * @throws Inexpressible
 */
export function toLittleEndian(file: Buffer, transferSyntaxUID: LittleEndian): Buffer {
  const meta = parseFileMeta(file);
  if ('needMore' in meta) throw new Unreadable('The file ends within its File Meta Information.');
  const stored = encodingOf(meta.transferSyntaxUID);
  const fileMeta = encodeFileMeta({ sopClassUID: meta.mediaStorageSOPClassUID ?? '', sopInstanceUID: meta.mediaStorageSOPInstanceUID ?? '', transferSyntaxUID });
  const implicit = transferSyntaxUID === implicitVRLittleEndian;
  const dataSet = stored.deflated ? inflated(file.subarray(meta.dataSetOffsetBytes)) : file.subarray(meta.dataSetOffsetBytes);
  if (stored.deflated && !implicit) return Buffer.concat([fileMeta, dataSet]);
  const encoder = new Reencoder(dataSet, implicit);
  encoder.dataSet(0, dataSet.length, { encoding: { ...stored, deflated: false }, signedPixels: false, bitsAllocated: 16, depth: 0 }, false);
  return Buffer.concat([fileMeta, ...encoder.pieces]);
}

/** The file has what the transfer syntax cannot say; the message is a sentence without attribute values. */
export class Inexpressible extends Error {
  override readonly name = 'Inexpressible';
}

function inflated(dataSet: Buffer): Buffer {
  try {
    return inflateRawSync(dataSet, { maxOutputLength: maxInflatedBytes });
  } catch (error) {
    throw new Unreadable('The deflated data set cannot be inflated, or inflates to more than 512 MiB.', { cause: error });
  }
}

interface Context {
  readonly encoding: Encoding;
  readonly signedPixels: boolean;
  readonly bitsAllocated: number;
  readonly depth: number;
}

interface Header {
  readonly tag: number;
  readonly vr: string;
  readonly valueAt: number;
  readonly length: number;
  /** Of items, should this be a sequence. */
  readonly inner: Encoding;
}

class Reencoder {
  readonly pieces: Buffer[] = [];
  readonly #bytes: Buffer;
  readonly #implicitVR: boolean;

  /** @param implicitVR of what is written */
  constructor(bytes: Buffer, implicitVR: boolean) {
    this.#bytes = bytes;
    this.#implicitVR = implicitVR;
  }

  /** @param delimited whether an Item Delimitation Item ends it @returns where it ends */
  dataSet(start: number, limit: number, inherited: Context, delimited: boolean): number {
    let context = inherited;
    let at = start;
    while (at < limit || delimited) {
      const header = this.#header(at, limit, context);
      if (delimited && header.tag === itemDelimitationTag) return header.valueAt;
      const end = this.#element(header, limit, context);
      if (end - header.valueAt >= 2 && (header.tag === 0x00280103 || header.tag === 0x00280100)) {
        const value = context.encoding.bigEndian ? this.#bytes.readUInt16BE(header.valueAt) : this.#bytes.readUInt16LE(header.valueAt);
        context = header.tag === 0x00280103 ? { ...context, signedPixels: value === 1 } : { ...context, bitsAllocated: value };
      }
      at = end;
    }
    return at;
  }

  #element(header: Header, limit: number, context: Context): number {
    const { tag, vr, valueAt, length, inner } = header;
    if (vr === 'SQ') return this.#sequence(header, limit, { ...context, encoding: inner, depth: context.depth + 1 });
    if (length === undefinedLength) throw new Unreadable(`${tagText(tag)} has fragments, which its transfer syntax does not.`);
    const end = valueAt + length;
    if (end > limit) throw new Unreadable(`${tagText(tag)} reaches beyond what holds it.`);
    if ((tag & 0xffff) === 0) return end;
    const value = this.#bytes.subarray(valueAt, end);
    const unit = context.encoding.bigEndian && vr !== 'UN' ? unitOf(tag, vr, context) : undefined;
    if (this.#implicitVR && !context.encoding.implicitVR && !isReadAlike(vr, implicitVR(tag, length, context))) {
      throw new Inexpressible(`${tagText(tag)} has VR ${vr}, which a reader of Implicit VR Little Endian would take for another.`);
    }
    this.pieces.push(elementHeader(tag, vr, length, this.#implicitVR), unit === undefined ? value : swapped(value, unit));
    return end;
  }

  #sequence({ tag, valueAt, length }: Header, limit: number, context: Context): number {
    if (context.depth > maxDepth) throw new Unreadable('Sequences are nested too deeply.');
    const end = length === undefinedLength ? limit : valueAt + length;
    if (end > limit) throw new Unreadable(`${tagText(tag)} reaches beyond what holds it.`);
    this.pieces.push(elementHeader(tag, 'SQ', undefinedLength, this.#implicitVR));
    let at = valueAt;
    while (length === undefinedLength || at < end) {
      const item = this.#itemHeader(at, end, context.encoding);
      at += 8;
      if (item.tag === sequenceDelimitationTag) break;
      if (item.tag !== itemTag) throw new Unreadable(`There is ${tagText(item.tag)} where an item of ${tagText(tag)} starts.`);
      const delimited = item.length === undefinedLength;
      if (!delimited && at + item.length > end) throw new Unreadable(`An item of ${tagText(tag)} reaches beyond it.`);
      this.pieces.push(itemHeader(itemTag, undefinedLength));
      at = this.dataSet(at, delimited ? end : at + item.length, context, delimited);
      this.pieces.push(itemHeader(itemDelimitationTag, 0));
    }
    this.pieces.push(itemHeader(sequenceDelimitationTag, 0));
    return at;
  }

  #itemHeader(at: number, limit: number, { bigEndian }: Encoding): { readonly tag: number; readonly length: number } {
    if (at + 8 > limit) throw new Unreadable('The data set ends in the middle of a sequence.');
    return { tag: readTag(this.#bytes, at, bigEndian), length: readLength(this.#bytes, at + 4, bigEndian) };
  }

  #header(at: number, limit: number, context: Context): Header {
    const { encoding } = context;
    const { tag, length } = this.#itemHeader(at, limit, encoding);
    if (encoding.implicitVR || tag >>> 16 === 0xfffe) return { tag, length, valueAt: at + 8, vr: implicitVR(tag, length, context), inner: encoding };
    const { vr, long } = readVR(this.#bytes, at + 4);
    if (vr === undefined) throw new Unreadable(`There is no VR where ${tagText(tag)} has one in its transfer syntax.`);
    if (!long) return { tag, vr, valueAt: at + 8, inner: encoding, length: encoding.bigEndian ? this.#bytes.readUInt16BE(at + 6) : this.#bytes.readUInt16LE(at + 6) };
    if (at + 12 > limit) throw new Unreadable(`The data set ends in the middle of ${tagText(tag)}.`);
    const longLength = readLength(this.#bytes, at + 8, encoding.bigEndian);
    const hidden = vr === 'UN' && longLength === undefinedLength;
    return { tag, vr: hidden ? 'SQ' : vr, valueAt: at + 12, length: longLength, inner: hidden ? encodingInsideUN : encoding };
  }
}

/** Pixels of 32 and 64 bits are turned round as a whole, though their VR is OW (PS3.5 8.1.1). */
const unitOf = (tag: number, vr: string, { bitsAllocated }: Context): 2 | 4 | 8 | undefined =>
  tag === 0x7fe00010 && vr === 'OW' && (bitsAllocated === 32 || bitsAllocated === 64) ? (bitsAllocated === 32 ? 4 : 8) : numberBytes[vr];

/** The VR of an element that does not say it (PS3.5 A.1, 6.2.2). */
function implicitVR(tag: number, length: number, { signedPixels }: Context): string {
  const vr = dictionaryVR(tag);
  if (length === undefinedLength && vr !== 'ox') return 'SQ';
  if (vr === undefined || vr === 'na') return 'UN';
  if (vr === 'xs') return signedPixels ? 'SS' : 'US';
  if (vr === 'up') return 'UL';
  if (vr === 'ox' || vr === 'lt') return 'OW';
  return !isLongVR(vr) && length > 0xffff ? 'UN' : vr;
}

/** VRs whose values are numbers, by the bytes of one; reals and integers apart. */
const numberKinds: Readonly<Record<string, string>> = {
  US: 'integer 2', SS: 'integer 2', UL: 'integer 4', SL: 'integer 4', AT: 'tag', FL: 'real 4', FD: 'real 8', SV: 'integer 8', UV: 'integer 8', SQ: 'items',
};
const byteVRs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const kindOf = (vr: string): string => numberKinds[vr] ?? (byteVRs.has(vr) ? 'bytes' : 'text');

/**
 * Whether a reader that is not told the VR still understands the value. Strings are strings to it, and bytes of no known kind are what
 * it makes of them (PS3.5 6.2.2); a number is no string and no number of another size.
 */
const isReadAlike = (written: string, implied: string): boolean => {
  const kinds = [kindOf(written), kindOf(implied)];
  return kinds[0] === kinds[1] || kinds.includes('bytes');
};

function swapped(value: Buffer, unit: 2 | 4 | 8): Buffer {
  const copy = Buffer.from(value.subarray(0, value.length - (value.length % unit)));
  if (unit === 2) copy.swap16();
  else if (unit === 4) copy.swap32();
  else copy.swap64();
  return Buffer.concat([copy, value.subarray(copy.length)]);
}
