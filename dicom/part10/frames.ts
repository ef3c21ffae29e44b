import type { ByteSource } from './source.ts';
import { itemTag, sequenceDelimitationTag, undefinedLength } from './encoding.ts';

/** Offset and length in bytes of one fragment, its item header excluded. */
export type Fragment = readonly [offsetBytes: number, lengthBytes: number];

/** What the items of encapsulated Pixel Data are (PS3.5 A.4). */
export interface EncapsulatedPixels {
  /** From the Basic Offset Table's item to before the delimiter; -1 when the file ends first. */
  readonly lengthBytes: number;
  readonly frames?: readonly Fragment[][];
}

/** Where Pixel Data lies, counted from the start of the Part 10 file (of the inflated data set when it is deflated). */
export interface PixelDataLocation {
  /** Of the first byte of the value: pixels when native, the Basic Offset Table's item when encapsulated. */
  readonly offsetBytes: number;
  /** Of the value, the Sequence Delimitation Item excluded; -1 when the file ends before it does. */
  readonly lengthBytes: number;
  readonly encapsulated: boolean;
  /** Encapsulated only, one list of fragments for every frame; absent when the fragments tell no frames apart. */
  readonly frames?: readonly Fragment[][];
}

/** The place of a value of the Extended Offset Table, (7FE0,0001), or of its lengths, (7FE0,0002). */
export interface ValueLocation {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

const headerWindowBytes = 4096;
const maxOffsetTableBytes = 16 * 1024 * 1024;
const maxFragments = 2_000_000;

/**
 * Walks the fragments of encapsulated Pixel Data by their item headers, reading no pixels, and tells which belong
 * to which frame: by the Extended or the Basic Offset Table where it fits the fragments; all of them when there is
 * one frame; one each when there are as many as frames. Otherwise `frames` is left out.
 *
 * @param offsetBytes of the value, where the Basic Offset Table's item starts
 * @param frameCount Number of Frames (0028,0008), 1 when absent
 */
export const locateFrames = async (
  source: ByteSource,
  offsetBytes: number,
  frameCount: number,
  extended?: { readonly offsets: ValueLocation; readonly lengths: ValueLocation },
): Promise<EncapsulatedPixels> => {
  const walked = await walkItems(source, offsetBytes);
  if (walked === undefined) return { lengthBytes: -1 };
  const [offsetTable, ...fragments] = walked.items;
  const lengthBytes = walked.endBytes - offsetBytes;
  if (offsetTable === undefined || fragments.length === 0) return { lengthBytes };
  const frames =
    (await byExtendedTable(source, fragments, frameCount, extended)) ??
    (await byBasicTable(source, offsetTable, fragments, frameCount)) ??
    byCount(fragments, frameCount);
  return frames === undefined ? { lengthBytes } : { lengthBytes, frames };
};

/** All items up to the delimiter; undefined when the file ends, or something else comes, before it. */
const walkItems = async (
  source: ByteSource,
  start: number,
): Promise<{ readonly items: Fragment[]; readonly endBytes: number } | undefined> => {
  const items: Fragment[] = [];
  let window: Buffer = Buffer.alloc(0);
  let windowAt = start;
  let at = start;
  while (at + 8 <= source.lengthBytes && items.length <= maxFragments) {
    if (at + 8 > windowAt + window.length) {
      window = await source.read(at, Math.min(headerWindowBytes, source.lengthBytes - at));
      windowAt = at;
      if (window.length < 8) return undefined;
    }
    const tag = window.readUInt16LE(at - windowAt) * 0x10000 + window.readUInt16LE(at - windowAt + 2);
    const length = window.readUInt32LE(at - windowAt + 4);
    if (tag === sequenceDelimitationTag) return { items, endBytes: at };
    if (tag !== itemTag || length === undefinedLength) return undefined;
    items.push([at + 8, length]);
    at += 8 + length;
  }
  return undefined;
};

/** One fragment a frame, at offsets and with lengths of 64 bits (PS3.3 C.7.6.3.1.8, C.7.6.3.1.9). */
const byExtendedTable = async (
  source: ByteSource,
  fragments: readonly Fragment[],
  frameCount: number,
  extended: { readonly offsets: ValueLocation; readonly lengths: ValueLocation } | undefined,
): Promise<Fragment[][] | undefined> => {
  const tableBytes = frameCount * 8;
  if (extended === undefined || tableBytes > maxOffsetTableBytes || fragments.length !== frameCount) return undefined;
  if (extended.offsets.lengthBytes !== tableBytes || extended.lengths.lengthBytes !== tableBytes) return undefined;
  const offsets = await source.read(extended.offsets.offsetBytes, tableBytes);
  const lengths = await source.read(extended.lengths.offsetBytes, tableBytes);
  const first = fragments[0]?.[0] ?? 0;
  const frames = fragments.map(([offset, length], index): Fragment[] | undefined => {
    const frameLength = lengths.readBigUInt64LE(index * 8);
    const fits = offsets.readBigUInt64LE(index * 8) === BigInt(offset - first) && frameLength <= BigInt(length);
    return fits ? [[offset, Number(frameLength)]] : undefined;
  });
  return frames.every((frame) => frame !== undefined) ? frames : undefined;
};

/** The Basic Offset Table gives, for every frame, the offset of its first fragment's item from the first item's (PS3.5 A.4). */
const byBasicTable = async (
  source: ByteSource,
  [tableOffset, tableBytes]: Fragment,
  fragments: readonly Fragment[],
  frameCount: number,
): Promise<Fragment[][] | undefined> => {
  if (tableBytes !== frameCount * 4 || tableBytes > maxOffsetTableBytes) return undefined;
  const table = await source.read(tableOffset, tableBytes);
  const first = fragments[0]?.[0] ?? 0;
  const frames: Fragment[][] = [];
  for (const fragment of fragments) {
    const nextStart = frames.length < frameCount ? table.readUInt32LE(frames.length * 4) : -1;
    if (fragment[0] - first === nextStart) frames.push([fragment]);
    else if (frames.length > 0) frames.at(-1)?.push(fragment);
    else return undefined;
  }
  return frames.length === frameCount ? frames : undefined;
};

const byCount = (fragments: readonly Fragment[], frameCount: number): Fragment[][] | undefined => {
  if (frameCount === 1) return [[...fragments]];
  return fragments.length === frameCount ? fragments.map((fragment) => [fragment]) : undefined;
};
