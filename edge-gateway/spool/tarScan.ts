import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import { IdentityScanner } from '../../dicom/part10/identity.ts';
import type { PackedInstance } from '../../domain/instance.ts';
import { entryHeaderBytes, paddedLength, parseEntryHeader, type PackEntry } from '../../domain/packTar.ts';
import type { SeriesIdentity } from './openPack.ts';

/** Enough for the file meta that this gateway writes, which is under 1 KiB. */
const fileStartBytes = 4096;
const hashBytes = 1024 * 1024;
/** Where a Series Instance UID must lie for a lost journal to be made good. */
const seriesSearchBytes = 4 * 1024 * 1024;

/** The tar is no whole pack. The message names no values. */
export class PackUnreadable extends Error {
  override readonly name = 'PackUnreadable';
}

/** An entry as its header has it, or as the journal had it where the header cannot be read. */
export interface FoundEntry {
  readonly entry: PackEntry;
  /** Of its header. */
  readonly offsetBytes: number;
  readonly headerIsWhole: boolean;
}

/**
 * Finds the entries of a tar whose bytes have the digest that was promised for them.
 *
 * @param promised the journal's instances of this file: they tell where to go on behind a header that cannot be read
 */
export async function findWholeEntries(file: FileHandle, promised: readonly PackedInstance[]): Promise<readonly FoundEntry[]> {
  const sizeBytes = (await file.stat()).size;
  const byOffset = new Map(promised.map((instance) => [instance.offsetBytes - entryHeaderBytes, instance]));
  const found: FoundEntry[] = [];
  for (let at = 0; at < sizeBytes; ) {
    const header = parseEntryHeader(await readUpTo(file, at, entryHeaderBytes));
    const line = byOffset.get(at);
    const entry = header ?? (line && { name: `${line.sopInstanceUID}.dcm`, lengthBytes: line.lengthBytes, sha256: line.sha256 });
    if (entry === undefined) {
      const next = [...byOffset.keys()].filter((offset) => offset > at);
      if (next.length === 0) break;
      at = Math.min(...next);
      continue;
    }
    if (await hasDigest(file, at + entryHeaderBytes, entry, sizeBytes)) found.push({ entry, offsetBytes: at, headerIsWhole: header !== undefined });
    at += entryHeaderBytes + paddedLength(entry.lengthBytes);
  }
  return found;
}

/**
 * Reads the manifest of a pack from its tar headers and file meta.
 *
 * @throws PackUnreadable when something else than whole entry headers lies before the end of the archive
 */
export async function readManifest(file: FileHandle, entriesEndBytes: number): Promise<readonly PackedInstance[]> {
  const instances: PackedInstance[] = [];
  for (let at = 0; at < entriesEndBytes; ) {
    const bytes = await readUpTo(file, at, entryHeaderBytes + fileStartBytes);
    const entry = parseEntryHeader(bytes);
    if (entry === undefined) throw new PackUnreadable(`There is no entry header at byte ${at} of the pack.`);
    instances.push(toInstance(entry, at, bytes.subarray(entryHeaderBytes)));
    at += entryHeaderBytes + paddedLength(entry.lengthBytes);
    if (at > entriesEndBytes) throw new PackUnreadable('The last entry of the pack is cut off.');
  }
  return instances;
}

export async function readInstance(file: FileHandle, found: FoundEntry): Promise<PackedInstance> {
  return toInstance(found.entry, found.offsetBytes, await readUpTo(file, found.offsetBytes + entryHeaderBytes, fileStartBytes));
}

/** Which Series an instance says it belongs to: for a tar whose journal is lost. */
export async function readSeries(file: FileHandle, instance: PackedInstance): Promise<SeriesIdentity | undefined> {
  const bytes = await readUpTo(file, instance.offsetBytes, Math.min(instance.lengthBytes, seriesSearchBytes));
  const meta = parseFileMeta(bytes);
  if ('needMore' in meta) return undefined;
  const scanner = new IdentityScanner(meta.transferSyntaxUID);
  scanner.push(bytes.subarray(meta.dataSetOffsetBytes));
  const { studyInstanceUID, seriesInstanceUID } = scanner.result;
  return studyInstanceUID && seriesInstanceUID ? { studyInstanceUID, seriesInstanceUID } : undefined;
}

function toInstance(entry: PackEntry, headerAt: number, fileStart: Buffer): PackedInstance {
  const meta = parseFileMeta(fileStart);
  if ('needMore' in meta || !meta.mediaStorageSOPClassUID) throw new PackUnreadable(`The entry at byte ${headerAt} of the pack has no File Meta Information.`);
  return {
    sopInstanceUID: entry.name.replace(/\.dcm$/, ''), sopClassUID: meta.mediaStorageSOPClassUID, transferSyntaxUID: meta.transferSyntaxUID,
    offsetBytes: headerAt + entryHeaderBytes, lengthBytes: entry.lengthBytes, sha256: entry.sha256,
  };
}

async function hasDigest(file: FileHandle, offsetBytes: number, entry: PackEntry, sizeBytes: number): Promise<boolean> {
  if (offsetBytes + entry.lengthBytes > sizeBytes) return false;
  const hash = createHash('sha256');
  for (let done = 0; done < entry.lengthBytes; ) {
    const bytes = await readUpTo(file, offsetBytes + done, Math.min(hashBytes, entry.lengthBytes - done));
    if (bytes.length === 0) return false;
    hash.update(bytes);
    done += bytes.length;
  }
  return hash.digest('hex') === entry.sha256;
}

/** @returns fewer bytes only where the file ends */
export async function readUpTo(file: FileHandle, offsetBytes: number, lengthBytes: number, space?: Buffer): Promise<Buffer> {
  const buffer = space !== undefined && space.length >= lengthBytes ? space : Buffer.allocUnsafe(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    const { bytesRead } = await file.read(buffer, done, lengthBytes - done, offsetBytes + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
