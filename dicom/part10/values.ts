import type { TextDecode } from '../charset.ts';
import type { JsonAttribute, JsonValue, PersonName } from '../json.ts';

/** Values of OB, OD, OF, OL, OV, OW and UN that are longer stay out of the header. */
const maxInlineBinaryBytes = 1024;
/** So do numbers and long text beyond this, for which PS3.18 F.2.2 allows a BulkDataURI too. */
const maxInlineBytes = 256 * 1024;

const binaryVRs: ReadonlySet<string> = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
/** VRs other than the binary ones that may be bulk data (PS3.18 F.2.2). */
const otherBulkVRs: ReadonlySet<string> = new Set(
  ['DS', 'FD', 'FL', 'IS', 'LT', 'SL', 'SS', 'ST', 'SV', 'UC', 'UL', 'UR', 'US', 'UT', 'UV'],
);

/** Whether the header names a value's place instead of holding it. */
export const isBulk = (vr: string, lengthBytes: number): boolean =>
  (lengthBytes > maxInlineBinaryBytes && binaryVRs.has(vr)) || (lengthBytes > maxInlineBytes && otherBulkVRs.has(vr));

export interface ValueContext {
  readonly bigEndian: boolean;
  readonly decode: TextDecode;
}

/** Text in Specific Character Set (PS3.5 6.2); the rest of the text VRs is ISO 646. */
const characterSetVRs: ReadonlySet<string> = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT']);
/** Text of one value, in which a backslash is a character and leading spaces count. */
const paragraphVRs: ReadonlySet<string> = new Set(['LT', 'ST', 'UT', 'UR']);

/**
 * Converts the bytes of a value to the DICOM JSON Model (PS3.18 F.2.3). DS and IS become numbers when they are
 * decimal numbers, and stay strings otherwise; SV and UV become strings where a number would lose digits, and
 * NaN and the infinities of FL and FD, which JSON lacks, the strings `NaN`, `Infinity` and `-Infinity`.
 * Binary values become little endian base64.
 *
 * @param vr one of PS3.5 6.2 except SQ
 */
export const jsonAttribute = (vr: string, bytes: Buffer, context: ValueContext): JsonAttribute => {
  if (bytes.length === 0) return { vr };
  if (binaryVRs.has(vr)) return { vr, InlineBinary: inLittleEndian(vr, bytes, context.bigEndian).toString('base64') };
  const values = numericReaders[vr] === undefined ? textValues(vr, bytes, context.decode) : numbers(vr, bytes, context.bigEndian);
  return values.length === 0 ? { vr } : { vr, Value: values };
};

const inLittleEndian = (vr: string, bytes: Buffer, bigEndian: boolean): Buffer => {
  const wordBytes = { OW: 2, OF: 4, OL: 4, OD: 8, OV: 8 }[vr];
  if (!bigEndian || wordBytes === undefined || bytes.length % wordBytes !== 0) return bytes;
  const copy = Buffer.from(bytes);
  return wordBytes === 2 ? copy.swap16() : wordBytes === 4 ? copy.swap32() : copy.swap64();
};

interface NumericReader {
  readonly bytes: number;
  readonly read: (bytes: Buffer, at: number, bigEndian: boolean) => string | number;
}

const safe = (value: bigint): string | number =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value.toString();
const finite = (value: number): string | number => (Number.isFinite(value) ? value : String(value));
const hex4 = (value: number): string => value.toString(16).toUpperCase().padStart(4, '0');
const u16 = (b: Buffer, at: number, big: boolean): number => (big ? b.readUInt16BE(at) : b.readUInt16LE(at));

const numericReaders: Readonly<Record<string, NumericReader>> = {
  US: { bytes: 2, read: u16 },
  SS: { bytes: 2, read: (b, at, big) => (big ? b.readInt16BE(at) : b.readInt16LE(at)) },
  UL: { bytes: 4, read: (b, at, big) => (big ? b.readUInt32BE(at) : b.readUInt32LE(at)) },
  SL: { bytes: 4, read: (b, at, big) => (big ? b.readInt32BE(at) : b.readInt32LE(at)) },
  UV: { bytes: 8, read: (b, at, big) => safe(big ? b.readBigUInt64BE(at) : b.readBigUInt64LE(at)) },
  SV: { bytes: 8, read: (b, at, big) => safe(big ? b.readBigInt64BE(at) : b.readBigInt64LE(at)) },
  FL: { bytes: 4, read: (b, at, big) => finite(big ? b.readFloatBE(at) : b.readFloatLE(at)) },
  FD: { bytes: 8, read: (b, at, big) => finite(big ? b.readDoubleBE(at) : b.readDoubleLE(at)) },
  AT: { bytes: 4, read: (b, at, big) => hex4(u16(b, at, big)) + hex4(u16(b, at + 2, big)) },
};

/** Bytes behind the last whole number are dropped. */
const numbers = (vr: string, bytes: Buffer, bigEndian: boolean): JsonValue[] => {
  const reader = numericReaders[vr];
  const values: JsonValue[] = [];
  if (reader === undefined) return values;
  for (let at = 0; at + reader.bytes <= bytes.length; at += reader.bytes) values.push(reader.read(bytes, at, bigEndian));
  return values;
};

const textValues = (vr: string, bytes: Buffer, decode: TextDecode): JsonValue[] => {
  const text = characterSetVRs.has(vr) ? decode(bytes, vr === 'PN') : bytes.toString('latin1');
  if (paragraphVRs.has(vr)) {
    const paragraph = withoutPadding(text);
    return paragraph === '' ? [] : [paragraph];
  }
  const values = text.split('\\').map((value) => jsonValue(vr, withoutPadding(value)));
  return values.length === 1 && values[0] === null ? [] : values;
};

const jsonValue = (vr: string, text: string): JsonValue => {
  if (vr === 'PN') return personName(text);
  const value = text.replace(/^ +/, '');
  if (value === '') return null;
  return vr === 'DS' || vr === 'IS' ? decimal(value) : value;
};

/** Spaces, and the NUL of UI that some writers put behind text as well (PS3.5 6.2). */
const withoutPadding = (text: string): string => {
  let end = text.length;
  while (end > 0 && (text.charCodeAt(end - 1) === 0x20 || text.charCodeAt(end - 1) === 0)) end -= 1;
  return end === text.length ? text : text.slice(0, end);
};

const decimalPattern = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

const decimal = (text: string): string | number => {
  const value = decimalPattern.test(text) ? Number(text) : NaN;
  return Number.isFinite(value) ? value : text;
};

/** The component groups of a PN (PS3.5 6.2.1.2): alphabetic, ideographic, phonetic, parted by equals signs. */
const personName = (text: string): PersonName | null => {
  const [alphabetic = '', ideographic = '', phonetic = ''] = text.split('=').map(withoutPadding);
  if (alphabetic === '' && ideographic === '' && phonetic === '') return null;
  return {
    ...(alphabetic === '' ? {} : { Alphabetic: alphabetic }),
    ...(ideographic === '' ? {} : { Ideographic: ideographic }),
    ...(phonetic === '' ? {} : { Phonetic: phonetic }),
  };
};
