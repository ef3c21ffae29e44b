/** How the elements of a data set are laid out in bytes (PS3.5 7.1, Annex A). */
export interface Encoding {
  readonly implicitVR: boolean;
  readonly bigEndian: boolean;
  readonly deflated: boolean;
}

const implicitLittleEndian: Encoding = { implicitVR: true, bigEndian: false, deflated: false };
const explicitLittleEndian: Encoding = { implicitVR: false, bigEndian: false, deflated: false };

/** Every transfer syntax that is not explicit VR little endian (PS3.5 A.1, A.3, A.5, A.9, A.19). */
const otherEncodings: ReadonlyMap<string, Encoding> = new Map([
  ['1.2.840.10008.1.2', implicitLittleEndian],
  ['1.2.840.10008.1.2.2', { implicitVR: false, bigEndian: true, deflated: false }],
  ['1.2.840.10008.1.2.1.99', { implicitVR: false, bigEndian: false, deflated: true }],
  ['1.2.840.10008.1.2.4.95', { implicitVR: false, bigEndian: false, deflated: true }],
  ['1.2.840.10008.1.2.4.205', { implicitVR: false, bigEndian: false, deflated: true }],
]);

/**
 * The encoding of a transfer syntax. One that is not known, private ones included, is taken as explicit VR
 * little endian, which PS3.5 10.1 asks of every encapsulated syntax.
 */
export const encodingOf = (transferSyntaxUID: string): Encoding =>
  otherEncodings.get(transferSyntaxUID) ?? explicitLittleEndian;

/** What a value of VR UN holds: implicit VR little endian, whatever surrounds it (PS3.5 6.2.2 note). */
export const encodingInsideUN: Encoding = implicitLittleEndian;

/** The VRs whose explicit header is 8 bytes long with a 16-bit length (PS3.5 Table 7.1-2). */
const shortVRs = 'AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US';
/** The VRs whose explicit header is 12 bytes long with a 32-bit length (PS3.5 Table 7.1-1). */
const longVRs = 'OB OD OF OL OV OW SQ SV UC UN UR UT UV';

const vrCode = (vr: string): number => (vr.charCodeAt(0) << 8) | vr.charCodeAt(1);
const shortCodes: ReadonlyMap<number, string> = new Map(shortVRs.split(' ').map((vr) => [vrCode(vr), vr]));
const longCodes: ReadonlyMap<number, string> = new Map(longVRs.split(' ').map((vr) => [vrCode(vr), vr]));

/** Whether the explicit header of a VR is 12 bytes long. */
export const isLongVR = (vr: string): boolean => longCodes.has(vrCode(vr));

/**
 * The header of an element in little endian (PS3.5 7.1.2, 7.1.3).
 *
 * @param lengthBytes of the value, or `undefinedLength`; it fits the VR's length field
 */
export const elementHeader = (tag: number, vr: string, lengthBytes: number, implicitVR = false): Buffer => {
  const long = isLongVR(vr);
  const header = Buffer.alloc(!implicitVR && long ? 12 : 8);
  header.writeUInt16LE(tag >>> 16, 0);
  header.writeUInt16LE(tag & 0xffff, 2);
  if (!implicitVR) header.write(vr, 4, 'latin1');
  if (implicitVR || long) header.writeUInt32LE(lengthBytes, header.length - 4);
  else header.writeUInt16LE(lengthBytes, 6);
  return header;
};

/** An item, or a delimiter of items or of their sequence, in little endian (PS3.5 7.5): they have no VR. */
export const itemHeader = (tag: number, lengthBytes: number): Buffer => elementHeader(tag, '', lengthBytes, true);

/**
 * Reads the two letters of an explicit VR. `vr` is undefined when they are no VR. A pair of capitals
 * that names no VR of today has the long header that PS3.5 6.2 (note) reserves for VRs to come, and is read as UN.
 */
export const readVR = (bytes: Buffer, at: number): { readonly vr: string | undefined; readonly long: boolean } => {
  const code = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const short = shortCodes.get(code);
  if (short !== undefined) return { vr: short, long: false };
  const long = longCodes.get(code);
  if (long !== undefined) return { vr: long, long: true };
  return { vr: isCapital(code >> 8) && isCapital(code & 0xff) ? 'UN' : undefined, long: true };
};

/** True when the bytes name a VR of today: two of them in a length field betray an explicit data set. */
export const looksLikeVR = (bytes: Buffer, at: number): boolean => {
  const code = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return shortCodes.has(code) || longCodes.has(code);
};

const isCapital = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;

/** The value length that means: until a delimitation item (PS3.5 7.1.1). */
export const undefinedLength = 0xffffffff;

/** Tags as unsigned 32-bit numbers, group in the high half. */
export const itemTag = 0xfffee000;
export const itemDelimitationTag = 0xfffee00d;
export const sequenceDelimitationTag = 0xfffee0dd;

/** A tag (group, then element) as an unsigned 32-bit number. */
export const readTag = (bytes: Buffer, at: number, bigEndian: boolean): number =>
  bigEndian
    ? bytes.readUInt32BE(at)
    : bytes.readUInt16LE(at) * 0x10000 + bytes.readUInt16LE(at + 2);

export const readLength = (bytes: Buffer, at: number, bigEndian: boolean): number =>
  bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);

/** A tag as eight upper-case hex digits, the key of the DICOM JSON Model. */
export const jsonKey = (tag: number): string => tag.toString(16).toUpperCase().padStart(8, '0');

/** `(gggg,eeee)`, as messages name an attribute. */
export const tagText = (tag: number): string => {
  const hex = jsonKey(tag);
  return `(${hex.slice(0, 4)},${hex.slice(4)})`;
};
