/**
 * The layout of a pack's tar (POSIX.1-2001 pax interchange format), so that every writer of a pack, gateway or API,
 * lays the same bytes for the same instances. Each entry is two headers and the data:
 *
 * | offset | bytes | what |
 * | --- | --- | --- |
 * | 0 | 512 | ustar header of type `x`, name `PaxHeaders/<name>` |
 * | 512 | 512 | its body: the record `comment=sha256:<hex>`, and `size=<bytes>` above 8 GiB; zeros to the end |
 * | 1024 | 512 | ustar header of type `0`: mode 0644, owner 0, time 0 |
 * | 1536 | | the Part 10 file, zeros up to a multiple of 512 |
 *
 * The size of the headers does not depend on what they say: a writer leaves room and fills them in once length and
 * hash are known.
 */
const blockBytes = 512;
export const entryHeaderBytes = 3 * blockBytes;
const largestOctalSize = 0o77777777777;

/** What the headers of one entry tell. */
export interface PackEntry {
  readonly name: string;
  readonly lengthBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** @returns how many bytes data of this length takes in the tar, padding included. */
export const paddedLength = (lengthBytes: number): number => Math.ceil(lengthBytes / blockBytes) * blockBytes;

/** Two zero blocks: what follows the last entry. */
export const endOfArchive = (): Buffer => Buffer.alloc(2 * blockBytes);

/** @param entryName at most 89 ASCII characters @returns the 1536 bytes before an entry's data */
export function paxAndUstarHeader(entryName: string, lengthBytes: number, sha256: string): Buffer {
  if (!/^[\x21-\x7e]{1,89}$/.test(entryName)) throw new RangeError('an entry name has 1 to 89 printable ASCII characters');
  if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0) throw new RangeError('an entry\'s length is a whole number of bytes');
  const large = lengthBytes > largestOctalSize;
  const records = paxRecord('comment', `sha256:${sha256}`) + (large ? paxRecord('size', String(lengthBytes)) : '');
  const header = Buffer.alloc(entryHeaderBytes);
  writeUstar(header.subarray(0, blockBytes), `PaxHeaders/${entryName}`, records.length, 'x');
  header.write(records, blockBytes, 'latin1');
  writeUstar(header.subarray(2 * blockBytes), entryName, large ? 0 : lengthBytes, '0');
  return header;
}

/** @returns undefined when the bytes are not the headers of a pack's entry, or a checksum does not hold. */
export function parseEntryHeader(bytes: Uint8Array): PackEntry | undefined {
  if (bytes.length < entryHeaderBytes) return undefined;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, entryHeaderBytes);
  const pax = parseUstar(header.subarray(0, blockBytes));
  const file = parseUstar(header.subarray(2 * blockBytes));
  if (!pax || !file || pax.type !== 'x' || file.type !== '0' || pax.sizeBytes > blockBytes) return undefined;
  const records = parsePaxRecords(header.toString('latin1', blockBytes, blockBytes + pax.sizeBytes));
  const sha256 = /^sha256:([0-9a-f]{64})$/.exec(records?.get('comment') ?? '')?.[1];
  const lengthBytes = Number(records?.get('size') ?? file.sizeBytes);
  if (!sha256 || !Number.isSafeInteger(lengthBytes) || lengthBytes < 0) return undefined;
  return { name: file.name, lengthBytes, sha256 };
}

/** Fields of a ustar header: [offset, length] (POSIX.1, ustar interchange format). */
const ustar = {
  name: [0, 100], mode: [100, 8], uid: [108, 8], gid: [116, 8], size: [124, 12], mtime: [136, 12],
  checksum: [148, 8], type: [156, 1], magicAndVersion: [257, 8],
} as const;

function writeUstar(block: Buffer, name: string, sizeBytes: number, type: 'x' | '0'): void {
  const octal = ([offset, length]: readonly [number, number], value: number): unknown =>
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  block.write(name, ustar.name[0], 'latin1');
  octal(ustar.mode, 0o644);
  octal(ustar.uid, 0);
  octal(ustar.gid, 0);
  octal(ustar.size, sizeBytes);
  octal(ustar.mtime, 0);
  block.write(type, ustar.type[0], 'latin1');
  block.write('ustar\x0000', ustar.magicAndVersion[0], 'latin1');
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, ustar.checksum[0], 'latin1');
}

function parseUstar(block: Buffer): { readonly name: string; readonly sizeBytes: number; readonly type: string } | undefined {
  const text = ([offset, length]: readonly [number, number]): string => {
    const field = block.toString('latin1', offset, offset + length);
    const end = field.indexOf('\0');
    return end < 0 ? field : field.slice(0, end);
  };
  const octal = (text: string): number => /^[0-7]+$/.test(text.trim()) ? Number.parseInt(text, 8) : -1;
  const sizeBytes = octal(text(ustar.size));
  if (text(ustar.magicAndVersion) !== 'ustar' || octal(text(ustar.checksum)) !== checksum(block) || sizeBytes < 0) return undefined;
  return { name: text(ustar.name), sizeBytes, type: text(ustar.type) };
}

/** Sum of all bytes, the checksum field counted as spaces. */
function checksum(block: Buffer): number {
  const [from, length] = ustar.checksum;
  let sum = length * 0x20;
  for (let at = 0; at < blockBytes; at++) if (at < from || at >= from + length) sum += block[at] ?? 0;
  return sum;
}

/** `<length> <keyword>=<value>\n`, where the length counts its own digits. */
function paxRecord(keyword: string, value: string): string {
  const rest = ` ${keyword}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function parsePaxRecords(text: string): ReadonlyMap<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < text.length;) {
    const length = Number.parseInt(text.slice(at), 10);
    if (!(length > 0) || at + length > text.length || text[at + length - 1] !== '\n') return undefined;
    const match = /^\d+ ([^=]+)=([^]*)\n$/.exec(text.slice(at, at + length));
    if (!match) return undefined;
    records.set(match[1] ?? '', match[2] ?? '');
    at += length;
  }
  return records;
}
