import { implementationClassUID, implementationVersionName } from '../uid.ts';
import { readVR, tagText } from './encoding.ts';

/** Who a Part 10 file says it is (PS3.10 7.1). */
export interface FileMeta {
  readonly transferSyntaxUID: string;
  readonly mediaStorageSOPClassUID: string | undefined;
  readonly mediaStorageSOPInstanceUID: string | undefined;
  /** Of the first byte of the data set, from the start of the file. */
  readonly dataSetOffsetBytes: number;
}

export type PartTenProblem = 'noDicomPrefix' | 'malformedFileMeta' | 'noTransferSyntax';

/** The bytes are no Part 10 file. The message is a sentence without attribute values. */
export class PartTenError extends Error {
  readonly problem: PartTenProblem;

  constructor(problem: PartTenProblem, sentence: string) {
    super(sentence);
    this.name = 'PartTenError';
    this.problem = problem;
  }
}

const preambleBytes = 128;
const firstElementAt = preambleBytes + 4;
/** File Meta Information longer than this is refused: it holds a few UIDs and names. */
export const maxFileMetaBytes = 1024 * 1024;

/**
 * Encodes preamble, prefix and File Meta Information (PS3.10 7.1) for a data set. A pure function of the three
 * UIDs, without AE titles or dates, so that the same data set always becomes the same file.
 */
export const encodeFileMeta = (meta: {
  readonly sopClassUID: string;
  readonly sopInstanceUID: string;
  readonly transferSyntaxUID: string;
}): Buffer => {
  const elements = Buffer.concat([
    // (0002,0001) File Meta Information Version, OB, 2 bytes: 00\01
    Buffer.from([0x02, 0x00, 0x01, 0x00, 0x4f, 0x42, 0, 0, 2, 0, 0, 0, 0x00, 0x01]),
    shortElement(0x0002, 'UI', meta.sopClassUID),
    shortElement(0x0003, 'UI', meta.sopInstanceUID),
    shortElement(0x0010, 'UI', meta.transferSyntaxUID),
    shortElement(0x0012, 'UI', implementationClassUID),
    shortElement(0x0013, 'SH', implementationVersionName),
  ]);
  const head = Buffer.alloc(firstElementAt + 12);
  head.write('DICM', preambleBytes, 'latin1');
  head.writeUInt16LE(0x0002, firstElementAt);
  head.write('UL', firstElementAt + 4, 'latin1');
  head.writeUInt16LE(4, firstElementAt + 6);
  head.writeUInt32LE(elements.length, firstElementAt + 8);
  return Buffer.concat([head, elements]);
};

/** One element of group 2 with an 8-byte header; UIDs are padded with NUL, text with a space (PS3.5 6.2). */
const shortElement = (element: number, vr: 'UI' | 'SH', value: string): Buffer => {
  const length = value.length + (value.length % 2);
  const bytes = Buffer.alloc(8 + length, vr === 'UI' ? 0 : 0x20);
  bytes.writeUInt16LE(0x0002, 0);
  bytes.writeUInt16LE(element, 2);
  bytes.write(vr, 4, 'latin1');
  bytes.writeUInt16LE(length, 6);
  bytes.write(value, 8, 'latin1');
  return bytes;
};

/**
 * Reads the File Meta Information at the start of a file. Group 2 is walked element by element; File Meta
 * Information Group Length, which writers get wrong, is believed only where the bytes given end.
 *
 * @param bytes the file from its first byte, as far as it is at hand
 * @returns `needMore` when group 2 goes on behind the bytes given; on a whole file that means it is cut off
 * @throws PartTenError when no number of further bytes makes this a Part 10 file
 */
export const parseFileMeta = (bytes: Buffer): FileMeta | { readonly needMore: true } => {
  if (bytes.length < firstElementAt) {
    const prefix = bytes.subarray(preambleBytes).toString('latin1');
    if (!'DICM'.startsWith(prefix)) throw noPrefix();
    return { needMore: true };
  }
  if (bytes.toString('latin1', preambleBytes, firstElementAt) !== 'DICM') throw noPrefix();
  const uids = new Map<number, string>();
  const end = walkGroupTwo(bytes, uids);
  if (end === undefined) {
    if (bytes.length > maxFileMetaBytes) throw malformed('is longer than 1 MiB');
    return { needMore: true };
  }
  const transferSyntaxUID = uids.get(0x0010);
  if (!transferSyntaxUID) {
    throw new PartTenError('noTransferSyntax', 'The File Meta Information has no Transfer Syntax UID (0002,0010).');
  }
  return {
    transferSyntaxUID,
    mediaStorageSOPClassUID: uids.get(0x0002) || undefined,
    mediaStorageSOPInstanceUID: uids.get(0x0003) || undefined,
    dataSetOffsetBytes: end,
  };
};

/** Collects the UIDs of group 2 by element number; undefined when the bytes end before the group does. */
const walkGroupTwo = (bytes: Buffer, uids: Map<number, string>): number | undefined => {
  let at = firstElementAt;
  let declaredEnd = -1;
  while (at + 8 <= bytes.length) {
    if (bytes.readUInt16LE(at) !== 0x0002) return at;
    const element = bytes.readUInt16LE(at + 2);
    const { vr, long } = readVR(bytes, at + 4);
    if (vr === undefined) throw malformed(`has no explicit VR at ${tagText(0x00020000 + element)}`);
    if (long && at + 12 > bytes.length) return undefined;
    const length = long ? bytes.readUInt32LE(at + 8) : bytes.readUInt16LE(at + 6);
    if (length > maxFileMetaBytes) throw malformed('is longer than 1 MiB');
    const value = at + (long ? 12 : 8);
    if (value + length > bytes.length) return undefined;
    if (element === 0 && length === 4) declaredEnd = value + 4 + bytes.readUInt32LE(value);
    if (vr === 'UI') uids.set(element, uidText(bytes, value, length));
    at = value + length;
  }
  // Fewer than 8 bytes are left. The group is over when they start another group or the group length says so.
  if (at + 2 <= bytes.length && bytes.readUInt16LE(at) !== 0x0002) return at;
  return at === declaredEnd ? at : undefined;
};

/** The text of a UI value without its padding: NUL by PS3.5 9.1, a space from some writers. */
export const uidText = (bytes: Buffer, at: number, lengthBytes: number): string =>
  bytes.toString('latin1', at, at + lengthBytes).replace(/^[\0 ]+|[\0 ]+$/g, '');

const noPrefix = (): PartTenError =>
  new PartTenError('noDicomPrefix', 'The file has no DICM prefix behind a 128-byte preamble.');

const malformed = (what: string): PartTenError =>
  new PartTenError('malformedFileMeta', `The File Meta Information ${what}.`);
