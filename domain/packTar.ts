import type { PackedInstance } from './instance.ts';
import { entryName } from './keys.ts';

/**
 * The tar layout of a pack. Each instance is a pax extended header (POSIX.1-2001, type `x`) holding its
 * SHA-256 as a `comment` record, which tar programs ignore, a ustar header, and the Part 10 file padded to a block. Nothing
 * in it depends on time or place: the same instances in the same order are the same bytes, and
 * a reader that has the tar alone knows name, length and digest of each.
 */
export const blockBytes = 512;

/** Pax header, its record block, ustar header. */
export const entryHeaderBytes = 3 * blockBytes;

/** Largest Part 10 file an entry can hold: eleven octal digits of the ustar size field. */
export const maxEntryBytes = 0o77777777777;

/** Two zero blocks end the archive. */
export const endOfArchiveBytes = 2 * blockBytes;
export const endOfArchive = (): Uint8Array => new Uint8Array(endOfArchiveBytes);

export const paddedLength = (lengthBytes: number): number => Math.ceil(lengthBytes / blockBytes) * blockBytes;

export interface PackEntry {
  /** `<SOPInstanceUID>.dcm`, at most 100 ASCII characters. */
  readonly name: string;
  readonly lengthBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

// "83 comment=sha256:<64 hex>\n": a pax record counts its own length digits.
const recordLength = 83;
const recordOf = (sha256: string): string => `${recordLength} comment=sha256:${sha256}\n`;
const paxName = 'instance.pax';

const encoder = new TextEncoder();
const decoder = new TextDecoder('latin1');

/** @returns the 1536 bytes before the Part 10 file */
export function encodeEntryHeader(entry: PackEntry): Uint8Array {
  if (entry.name.length > 100) throw new RangeError(`A tar entry name has at most 100 characters: ${entry.name}`);
  if (entry.lengthBytes > maxEntryBytes) throw new RangeError(`A tar entry holds at most ${maxEntryBytes} bytes: ${entry.name}`);
  const bytes = new Uint8Array(entryHeaderBytes);
  writeUstar(bytes.subarray(0, blockBytes), paxName, recordLength, 'x');
  bytes.set(encoder.encode(recordOf(entry.sha256)), blockBytes);
  writeUstar(bytes.subarray(2 * blockBytes), entry.name, entry.lengthBytes, '0');
  return bytes;
}

/**
 * Reads the 1536 bytes before an instance.
 *
 * @returns undefined when they are not a whole entry header with right checksums: a torn or foreign entry
 */
export function parseEntryHeader(bytes: Uint8Array): PackEntry | undefined {
  if (bytes.length < entryHeaderBytes) return undefined;
  const pax = readUstar(bytes.subarray(0, blockBytes));
  const file = readUstar(bytes.subarray(2 * blockBytes, entryHeaderBytes));
  const record = /^83 comment=sha256:([0-9a-f]{64})\n$/.exec(decoder.decode(bytes.subarray(blockBytes, blockBytes + recordLength)));
  if (pax?.type !== 'x' || file?.type !== '0' || !record?.[1]) return undefined;
  return { name: file.name, lengthBytes: file.lengthBytes, sha256: record[1] };
}

/** A piece of a pack's tar: what stands before an instance, the instance, or zeros behind it and at the end. */
export type PackSpan = { readonly lengthBytes: number } & (
  | { readonly kind: 'header'; readonly instance: PackedInstance; readonly bytes: Uint8Array }
  | { readonly kind: 'instance'; readonly instance: PackedInstance }
  | { readonly kind: 'zeros' });

/** All of a pack's tar, in order and without gaps: with the instances' bytes it can be made again, the same to the last byte. */
export function* packSpans(instances: readonly PackedInstance[]): Generator<PackSpan> {
  for (const instance of instances) {
    const { sopInstanceUID, lengthBytes, sha256 } = instance;
    yield { kind: 'header', instance, lengthBytes: entryHeaderBytes, bytes: encodeEntryHeader({ name: entryName(sopInstanceUID), lengthBytes, sha256 }) };
    yield { kind: 'instance', instance, lengthBytes };
    yield { kind: 'zeros', lengthBytes: paddedLength(lengthBytes) - lengthBytes };
  }
  yield { kind: 'zeros', lengthBytes: endOfArchiveBytes };
}

/** POSIX.1-1988 ustar fields, as [offset, length]. */
const ustar = { name: [0, 100], mode: [100, 8], uid: [108, 8], gid: [116, 8], size: [124, 12], mtime: [136, 12],
  checksum: [148, 8], type: [156, 1], magic: [257, 8] } as const;

function writeUstar(block: Uint8Array, name: string, lengthBytes: number, type: 'x' | '0'): void {
  const put = (field: readonly [number, number], text: string) => block.set(encoder.encode(text), field[0]);
  const octal = (field: readonly [number, number], value: number) => put(field, `${value.toString(8).padStart(field[1] - 1, '0')}\0`);
  put(ustar.name, name);
  octal(ustar.mode, 0o644);
  octal(ustar.uid, 0);
  octal(ustar.gid, 0);
  octal(ustar.size, lengthBytes);
  octal(ustar.mtime, 0);
  put(ustar.type, type);
  put(ustar.magic, 'ustar\x0000');
  put(ustar.checksum, `${checksumOf(block).toString(8).padStart(6, '0')}\0 `);
}

function readUstar(block: Uint8Array): { readonly name: string; readonly lengthBytes: number; readonly type: string } | undefined {
  const text = ([offset, length]: readonly [number, number]) => decoder.decode(block.subarray(offset, offset + length)).replace(/\0.*$/s, '');
  if (text(ustar.magic) !== 'ustar' || parseInt(text(ustar.checksum), 8) !== checksumOf(block)) return undefined;
  const lengthBytes = parseInt(text(ustar.size), 8);
  return Number.isSafeInteger(lengthBytes) ? { name: text(ustar.name), lengthBytes, type: text(ustar.type) } : undefined;
}

/** Sum of the block's bytes with the checksum field taken as spaces. */
function checksumOf(block: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < blockBytes; i++) sum += i >= 148 && i < 156 ? 0x20 : block[i]!;
  return sum;
}
