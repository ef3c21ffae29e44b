import { explicitVRLittleEndian } from '../transferSyntaxes.ts';
import { ElementReader, isPixelData } from './elementReader.ts';
import { encodingOf, itemTag, sequenceDelimitationTag, undefinedLength } from './encoding.ts';
import { encodeFileMeta, parseFileMeta } from './fileMeta.ts';
import { Unreadable } from './source.ts';

/** What takes the place of Pixel Data (7FE0,0010) and of a few attributes before it. */
export interface NewPixels {
  readonly transferSyntaxUID: string;
  /** By tag, ascending: VR and value of even length; a VR with a 16-bit length (PS3.5 Table 7.1-2). */
  readonly attributes: ReadonlyMap<number, { readonly vr: string; readonly value: Buffer }>;
  /** Native: the value in pieces. Encapsulated: a fragment for each frame. `undefined` leaves the data set without pixels as it is. */
  readonly pixels: { readonly encapsulated: boolean; readonly vr: 'OB' | 'OW'; readonly pieces: readonly Buffer[] } | undefined;
}

/**
 * Writes a Part 10 file anew with other pixels. Every element but those named is copied byte for byte, sequences and
 * private ones included; group lengths and offset tables that would be wrong now go (PS3.5 7.2, A.4). File meta is new.
 *
 * @param file in an explicit VR little endian transfer syntax, its data set not deflated
 * @returns the file in pieces, some of them slices of `file`
 * @throws Unreadable
 */
export function withPixels(file: Buffer, replacement: NewPixels): Buffer[] {
  const meta = parseFileMeta(file);
  if ('needMore' in meta) throw new Unreadable('The file ends within its File Meta Information.');
  const fileMeta = encodeFileMeta({
    sopClassUID: meta.mediaStorageSOPClassUID ?? '', sopInstanceUID: meta.mediaStorageSOPInstanceUID ?? '', transferSyntaxUID: replacement.transferSyntaxUID,
  });
  return [fileMeta, ...dataSetPieces(file, meta.dataSetOffsetBytes, replacement)];
}

/** Tags that describe how the old pixels lay: offset tables (PS3.3 C.7.6.3.1.8), and lengths of groups that change. */
const dropped = new Set([0x00280000, 0x7fe00000, 0x7fe00001, 0x7fe00002, 0x7fe00003]);

function* dataSetPieces(file: Buffer, start: number, { attributes, pixels }: NewPixels): Generator<Buffer> {
  const reader = new ElementReader(encodingOf(explicitVRLittleEndian), { depth: 64, count: 1_000_000 });
  reader.setWindow(file, 0);
  reader.totalBytes = file.length;
  const waiting = [...attributes];
  const before = function* (tag: number): Generator<Buffer> {
    for (let next = waiting[0]; next && next[0] < tag; next = waiting[0]) {
      waiting.shift();
      yield shortElement(next[0], next[1].vr, next[1].value);
    }
  };
  for (let at = start; at < file.length;) {
    const element = reader.topLevelElement(at);
    yield* before(element.tag);
    const end = element.nextOffsetBytes;
    if (isPixelData(element.tag) && pixels) {
      yield* pixelElement(pixels);
      const rest = element.lengthBytes < 0 ? endOfFragments(file, element.valueOffsetBytes) : end;
      return yield file.subarray(rest);
    }
    if (waiting[0]?.[0] === element.tag) {
      const [tag, { vr, value }] = waiting.shift()!;
      yield shortElement(tag, vr, value);
    } else if (!dropped.has(element.tag)) yield file.subarray(at, end);
    at = end;
  }
  yield* before(undefinedLength);
}

function* pixelElement({ encapsulated, vr, pieces }: NonNullable<NewPixels['pixels']>): Generator<Buffer> {
  const lengthBytes = pieces.reduce((sum, { length }) => sum + length, 0);
  if (!encapsulated) {
    if (lengthBytes + 1 > 0xfffffffe) throw new Unreadable('The pixels are longer than a value can be.');
    yield longHeader(vr, lengthBytes + lengthBytes % 2);
    yield* pieces;
    if (lengthBytes % 2 === 1) yield Buffer.alloc(1);
    return;
  }
  yield longHeader('OB', undefinedLength);
  yield item(itemTag, pieces.length * 4, offsetTable(pieces));
  for (const piece of pieces) {
    yield item(itemTag, piece.length + piece.length % 2);
    yield piece;
    if (piece.length % 2 === 1) yield Buffer.alloc(1);
  }
  yield item(sequenceDelimitationTag, 0);
}

/** The Basic Offset Table (PS3.5 A.4): where the item of each frame starts, counted from the first. */
function offsetTable(pieces: readonly Buffer[]): Buffer {
  const table = Buffer.alloc(pieces.length * 4);
  let offset = 0;
  pieces.forEach(({ length }, index) => {
    if (offset > 0xffffffff) throw new Unreadable('The compressed frames are longer than the offset table can say.');
    table.writeUInt32LE(offset, index * 4);
    offset += 8 + length + length % 2;
  });
  return table;
}

function endOfFragments(file: Buffer, start: number): number {
  for (let at = start; at + 8 <= file.length;) {
    const tag = file.readUInt16LE(at) * 0x10000 + file.readUInt16LE(at + 2);
    if (tag === sequenceDelimitationTag) return at + 8;
    at += 8 + file.readUInt32LE(at + 4);
  }
  return file.length;
}

function shortElement(tag: number, vr: string, value: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16LE(tag >>> 16, 0);
  header.writeUInt16LE(tag & 0xffff, 2);
  header.write(vr, 4, 'latin1');
  header.writeUInt16LE(value.length, 6);
  return Buffer.concat([header, value]);
}

function longHeader(vr: string, lengthBytes: number): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16LE(0x7fe0, 0);
  header.writeUInt16LE(0x0010, 2);
  header.write(vr, 4, 'latin1');
  header.writeUInt32LE(lengthBytes, 8);
  return header;
}

function item(tag: number, lengthBytes: number, value: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16LE(tag >>> 16, 0);
  header.writeUInt16LE(tag & 0xffff, 2);
  header.writeUInt32LE(lengthBytes, 4);
  return Buffer.concat([header, value]);
}
