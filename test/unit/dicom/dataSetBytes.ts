import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import type { ByteSource } from '../../../dicom/part10/header.ts';

/** A small encoder of data sets, written from PS3.5 7 and independent of the code under test. */

export interface Element {
  readonly tag: number;
  readonly vr: string;
  readonly value: string | Buffer | readonly (readonly Element[])[];
  /** Sequences: with delimitation items instead of lengths. */
  readonly undefinedLength?: boolean;
}

export interface Layout {
  readonly implicitVR?: boolean;
  readonly bigEndian?: boolean;
}

const longVRs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);

const u16 = (value: number, { bigEndian }: Layout): Buffer => {
  const bytes = Buffer.alloc(2);
  return bigEndian ? (bytes.writeUInt16BE(value), bytes) : (bytes.writeUInt16LE(value), bytes);
};
const u32 = (value: number, { bigEndian }: Layout): Buffer => {
  const bytes = Buffer.alloc(4);
  return bigEndian ? (bytes.writeUInt32BE(value), bytes) : (bytes.writeUInt32LE(value), bytes);
};
const tagBytes = (tag: number, layout: Layout): Buffer => Buffer.concat([u16(Math.floor(tag / 0x10000), layout), u16(tag & 0xffff, layout)]);

export const header = (tag: number, vr: string, length: number, layout: Layout = {}): Buffer => {
  if (layout.implicitVR) return Buffer.concat([tagBytes(tag, layout), u32(length, layout)]);
  const start = Buffer.concat([tagBytes(tag, layout), Buffer.from(vr, 'latin1')]);
  return longVRs.has(vr) ? Buffer.concat([start, Buffer.alloc(2), u32(length, layout)]) : Buffer.concat([start, u16(length, layout)]);
};

export const itemHeader = (tag: number, length: number, layout: Layout = {}): Buffer => Buffer.concat([tagBytes(tag, layout), u32(length, layout)]);

export const encode = (elements: readonly Element[], layout: Layout = {}): Buffer =>
  Buffer.concat(elements.map((element) => encodeElement(element, layout)));

const encodeElement = ({ tag, vr, value, undefinedLength = false }: Element, layout: Layout): Buffer => {
  if (typeof value !== 'string' && !Buffer.isBuffer(value)) {
    const items = Buffer.concat(value.map((item) => encodeItem(encode(item, layout), undefinedLength, layout)));
    return undefinedLength
      ? Buffer.concat([header(tag, vr, 0xffffffff, layout), items, itemHeader(0xfffee0dd, 0, layout)])
      : Buffer.concat([header(tag, vr, items.length, layout), items]);
  }
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
  const padded = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' || vr === 'OB' ? '\0' : ' ')]);
  return Buffer.concat([header(tag, vr, padded.length, layout), padded]);
};

const encodeItem = (item: Buffer, undefinedLength: boolean, layout: Layout): Buffer =>
  undefinedLength
    ? Buffer.concat([itemHeader(0xfffee000, 0xffffffff, layout), item, itemHeader(0xfffee00d, 0, layout)])
    : Buffer.concat([itemHeader(0xfffee000, item.length, layout), item]);

export const explicitLE = '1.2.840.10008.1.2.1';
export const implicitLE = '1.2.840.10008.1.2';
export const explicitBE = '1.2.840.10008.1.2.2';
export const deflated = '1.2.840.10008.1.2.1.99';
export const jpegBaseline = '1.2.840.10008.1.2.4.50';

export const layoutOf = (transferSyntaxUID: string): Layout => ({
  implicitVR: transferSyntaxUID === implicitLE,
  bigEndian: transferSyntaxUID === explicitBE,
});

export const identity = {
  sopClassUID: '1.2.840.10008.5.1.4.1.1.2',
  sopInstanceUID: '1.2.826.0.1.1',
  studyInstanceUID: '1.2.826.0.1.2',
  seriesInstanceUID: '1.2.826.0.1.33',
} as const;

const text = (tag: number, vr: string, value: string): Element => ({ tag, vr, value });

export const sequence = (tag: number, items: readonly (readonly Element[])[], undefinedLength = false): Element =>
  ({ tag, vr: 'SQ', value: items, undefinedLength });

/** The elements of a small image up to (0020,000E), with one sequence of each kind before it. */
export const identityElements = (): readonly Element[] => [
  text(0x00080005, 'CS', 'ISO_IR 100'),
  text(0x00080016, 'UI', identity.sopClassUID),
  text(0x00080018, 'UI', identity.sopInstanceUID),
  sequence(0x00081115, [[text(0x0020000d, 'UI', '9.9.1'), text(0x0020000e, 'UI', '9.9.2')]]),
  sequence(0x00081140, [[text(0x00081155, 'UI', '9.9.3')], [sequence(0x0040a170, [[text(0x00080100, 'SH', 'A')]], true)]], true),
  text(0x00091001, 'OB', 'private'),
  text(0x0020000d, 'UI', identity.studyInstanceUID),
  text(0x0020000e, 'UI', identity.seriesInstanceUID),
];

export const file = (dataSet: Buffer, transferSyntaxUID: string = explicitLE): Buffer =>
  Buffer.concat([encodeFileMeta({ ...identity, transferSyntaxUID }), dataSet]);

/** A source that counts what is read from it. */
export class BufferSource implements ByteSource {
  readonly lengthBytes: number;
  readBytes = 0;
  readCount = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.lengthBytes = bytes.length;
  }

  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const bytes = this.#bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
    this.readBytes += bytes.length;
    this.readCount += 1;
    return bytes;
  }
}

/** Numbers from 0 to 1 that are the same on every run (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
};

export const randomBytesOf = (random: () => number, lengthBytes: number): Buffer =>
  Buffer.from(Array.from({ length: lengthBytes }, () => Math.floor(random() * 256)));
