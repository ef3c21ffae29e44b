import type { DicomJson, JsonAttribute, JsonValue, PersonName } from '../json.ts';
import { isDataSet } from '../json.ts';
import { elementHeader, isLongVR, itemDelimitationTag, itemHeader, itemTag, sequenceDelimitationTag, tagText, undefinedLength } from './encoding.ts';

/** A data set in the DICOM JSON Model that cannot be written; the sentence names the attribute and no value. */
export class Unwritable extends Error {
  override readonly name = 'Unwritable';
}

/** A value that lies elsewhere. */
export interface BulkValue {
  readonly lengthBytes: number;
}

/** Where the value of a BulkDataURI is: one value, or the fragments of encapsulated Pixel Data (PS3.5 A.4), one a frame. */
export type BulkPlace<B extends BulkValue> = B | { readonly fragments: readonly B[] };

export interface WriteOptions<B extends BulkValue = never> {
  /** Default: Explicit VR (PS3.5 7.1.2). */
  readonly implicitVR?: boolean;
  /** Text of the VRs that Specific Character Set governs; default: UTF-8, which (0008,0005) must then say. */
  readonly encodeText?: (text: string, vr: string) => Buffer;
  /** @returns undefined when there is no such value */
  readonly bulk?: (uri: string) => BulkPlace<B> | undefined;
}

/**
 * Writes a data set of the DICOM JSON Model (PS3.18 Annex F) in little endian (PS3.5 7). Attributes go by ascending tag; groups 0000 and
 * 0002 and group lengths are left out; sequences and items have undefined length.
 *
 * @throws Unwritable when a value does not fit its VR
 */
export const encodeDataSet = (dataSet: DicomJson, options: Omit<WriteOptions, 'bulk'> = {}): Buffer =>
  Buffer.concat([...dataSetPieces(dataSet, options)] as Buffer[]);

/** As `encodeDataSet`, in pieces: bytes, and in their places the values that `bulk` knows. @throws Unwritable */
export function* dataSetPieces<B extends BulkValue = never>(dataSet: DicomJson, options: WriteOptions<B>): Generator<Buffer | B> {
  for (const key of Object.keys(dataSet).sort()) {
    const attribute = dataSet[key];
    if (!/^[0-9A-F]{8}$/.test(key) || typeof attribute?.vr !== 'string') throw new Unwritable(`An attribute has no tag of eight hexadecimal digits, or no VR.`);
    const tag = Number.parseInt(key, 16);
    if (tag >>> 16 === 0 || tag >>> 16 === 2 || (tag & 0xffff) === 0) continue;
    yield* elementPieces(tag, attribute, options);
  }
}

function* elementPieces<B extends BulkValue>(tag: number, attribute: JsonAttribute, options: WriteOptions<B>): Generator<Buffer | B> {
  const { vr, BulkDataURI } = attribute;
  if (vr === 'SQ') return yield* sequencePieces(tag, attribute.Value ?? [], options);
  if (BulkDataURI !== undefined) return yield* bulkPieces(tag, vr, BulkDataURI, options);
  const value = valueBytes(tag, attribute, options.encodeText ?? utf8);
  yield header(tag, vr, value.length, options);
  yield value;
}

function* sequencePieces<B extends BulkValue>(tag: number, items: readonly JsonValue[], options: WriteOptions<B>): Generator<Buffer | B> {
  if (items.length === 0) return void (yield header(tag, 'SQ', 0, options));
  yield header(tag, 'SQ', undefinedLength, options);
  for (const item of items) {
    if (item !== null && !isDataSet(item)) throw new Unwritable(`${tagText(tag)} is a sequence with an item that is no data set.`);
    yield itemHeader(itemTag, undefinedLength);
    yield* dataSetPieces((item ?? {}) as DicomJson, options);
    yield itemHeader(itemDelimitationTag, 0);
  }
  yield itemHeader(sequenceDelimitationTag, 0);
}

const pad = Buffer.alloc(1);

function* bulkPieces<B extends BulkValue>(tag: number, vr: string, uri: string, options: WriteOptions<B>): Generator<Buffer | B> {
  const place = options.bulk?.(uri);
  if (!place) throw new Unwritable(`The bulk data of ${tagText(tag)} did not come with it.`);
  if ('fragments' in place) {
    yield header(tag, 'OB', undefinedLength, options);
    yield itemHeader(itemTag, 0);
    for (const fragment of place.fragments) {
      yield itemHeader(itemTag, even(fragment.lengthBytes));
      yield* padded(fragment);
    }
    return void (yield itemHeader(sequenceDelimitationTag, 0));
  }
  yield header(tag, vr, even(place.lengthBytes), options);
  yield* padded(place);
}

function* padded<B extends BulkValue>(value: B): Generator<Buffer | B> {
  if (value.lengthBytes > 0) yield value;
  if (value.lengthBytes % 2 === 1) yield pad;
}

const even = (lengthBytes: number): number => lengthBytes + (lengthBytes % 2);
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');

/** Text that Specific Character Set does not govern, and is ISO 646. */
const plainVRs: ReadonlySet<string> = new Set(['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'TM', 'UI', 'UR']);
const textVRs: ReadonlySet<string> = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT']);
const binaryVRs: ReadonlySet<string> = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);

function valueBytes(tag: number, { vr, Value = [], InlineBinary }: JsonAttribute, encodeText: (text: string, vr: string) => Buffer): Buffer {
  if (binaryVRs.has(vr)) return evenBytes(Buffer.from(InlineBinary ?? '', 'base64'), 0);
  const writer = numberWriters[vr];
  if (writer) return Buffer.concat(Value.map((value) => writer(numberOf(tag, vr, value))));
  if (vr === 'AT') return Buffer.concat(Value.map((value) => attributeTag(tag, value)));
  if (!plainVRs.has(vr) && !textVRs.has(vr)) throw new Unwritable(`${tagText(tag)} has a VR that PS3.5 6.2 does not know.`);
  const text = Value.map((value) => textOf(tag, vr, value)).join('\\');
  return evenBytes(plainVRs.has(vr) ? Buffer.from(text, 'latin1') : encodeText(text, vr), vr === 'UI' ? 0 : 0x20);
}

const evenBytes = (bytes: Buffer, padding: number): Buffer => (bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from([padding])]));

function textOf(tag: number, vr: string, value: JsonValue): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && (vr === 'DS' || vr === 'IS')) return decimalString(value);
  if (vr === 'PN' && typeof value === 'object') {
    const { Alphabetic = '', Ideographic = '', Phonetic = '' } = value as PersonName;
    return [Alphabetic, Ideographic, Phonetic].join('=').replace(/=+$/, '');
  }
  throw new Unwritable(`${tagText(tag)} has a value that its VR does not take.`);
}

/** A DS has at most 16 characters (PS3.5 6.2): digits beyond are rounded away. */
function decimalString(value: number): string {
  let text = String(value);
  for (let digits = 15; text.length > 16 && digits > 0; digits--) text = String(Number(value.toPrecision(digits)));
  return text;
}

function numberOf(tag: number, vr: string, value: JsonValue): number | bigint {
  const whole = typeof value === 'string' && /^[+-]?\d{1,20}$/.test(value);
  if ((vr === 'SV' || vr === 'UV') && (whole || Number.isSafeInteger(value))) return BigInt(value as string | number);
  const number = typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : undefined;
  if (number === undefined || (Number.isNaN(number) && value !== 'NaN')) throw new Unwritable(`${tagText(tag)} has a value that its VR does not take.`);
  return number;
}

const writer = (lengthBytes: number, write: (bytes: Buffer, value: never) => void) => (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(lengthBytes);
  try {
    write(bytes, value as never);
  } catch (error) {
    throw new Unwritable('A number lies outside of what its VR holds.', { cause: error });
  }
  return bytes;
};

const numberWriters: Readonly<Record<string, (value: number | bigint) => Buffer>> = {
  US: writer(2, (bytes, value: number) => bytes.writeUInt16LE(value)), SS: writer(2, (bytes, value: number) => bytes.writeInt16LE(value)),
  UL: writer(4, (bytes, value: number) => bytes.writeUInt32LE(value)), SL: writer(4, (bytes, value: number) => bytes.writeInt32LE(value)),
  UV: writer(8, (bytes, value: bigint) => bytes.writeBigUInt64LE(value)), SV: writer(8, (bytes, value: bigint) => bytes.writeBigInt64LE(value)),
  FL: writer(4, (bytes, value: number) => bytes.writeFloatLE(value)), FD: writer(8, (bytes, value: number) => bytes.writeDoubleLE(value)),
};

function attributeTag(tag: number, value: JsonValue): Buffer {
  if (typeof value !== 'string' || !/^[0-9A-Fa-f]{8}$/.test(value)) throw new Unwritable(`${tagText(tag)} has a value that is no tag.`);
  return Buffer.from([2, 0, 6, 4].flatMap((at) => [Number.parseInt(value.slice(at, at + 2), 16)]));
}

/** @throws Unwritable when the value is longer than its length field can say */
function header(tag: number, vr: string, lengthBytes: number, { implicitVR = false }: { readonly implicitVR?: boolean }): Buffer {
  if (lengthBytes > undefinedLength) throw new Unwritable(`${tagText(tag)} is longer than 4 GiB.`);
  if (!implicitVR && !isLongVR(vr) && lengthBytes > 0xffff) throw new Unwritable(`${tagText(tag)} is longer than 65534 bytes, which its VR does not allow.`);
  return elementHeader(tag, vr, lengthBytes, implicitVR);
}
