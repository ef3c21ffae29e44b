import { access, mkdir, open, rename, truncate, utimes, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedInstance } from '../../domain/instance.ts';
import type { GivenUp, SpooledPack } from '../../domain/pack.ts';
import { endOfArchiveBytes } from '../../domain/packTar.ts';
import { asideName, asideNoteName, associationFolder, isDiskFull, isMissing, isPackId, keptFolder, keptPath, packName, releasedName, syncFolder } from './paths.ts';
import { PackUnreadable, readManifest, readUpTo } from './tarScan.ts';

/** A closed pack opened for reading by range, with its manifest. */
export interface SpooledPackFile {
  readonly lengthBytes: number;
  readonly instances: readonly PackedInstance[];
  /**
   * @param space to read into, when it is long enough
   * @throws PackUnreadable when the file ends before the range does
   */
  read(offsetBytes: number, lengthBytes: number, space?: Buffer): Promise<Buffer>;
  close(): Promise<void>;
}

/**
 * Opens a closed pack of the spool, from any process on the gateway's device. The manifest is read from the tar itself.
 *
 * @returns undefined when the disk does not have it: released, or never here
 * @throws PackUnreadable when the file is not the pack that was closed
 */
export async function openPack(spoolDir: string, pack: SpooledPack): Promise<SpooledPackFile | undefined> {
  const path = packPath(spoolDir, pack, packName);
  const file = await openIfThere(path);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    if (size !== pack.lengthBytes) throw new PackUnreadable('The pack on disk has not the length that its journal says.');
    const instances = await readManifest(file, size - endOfArchiveBytes);
    return {
      lengthBytes: size,
      instances,
      close: () => file.close(),
      read: readFrom(file),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Opens a pack wherever the disk still has it: kept after its release, not released yet, or set aside. Its bytes are compared with
 * nothing here: the reader knows the index.
 *
 * @returns undefined when the disk does not have it
 */
export async function findPack(spoolDir: string, { packId, associationId }: Pick<SpooledPack, 'packId' | 'associationId'>): Promise<Omit<SpooledPackFile, 'instances'> | undefined> {
  if (!isPackId(packId)) throw new RangeError('This is not the ID of a pack.');
  const folder = associationFolder(spoolDir, associationId);
  for (const path of [keptPath(spoolDir, packId), join(folder, packName(packId)), join(folder, asideName(packId))]) {
    const file = await openIfThere(path);
    if (file === undefined) continue;
    try {
      return { lengthBytes: (await file.stat()).size, read: readFrom(file), close: () => file.close() };
    } catch (error) {
      await file.close();
      throw error;
    }
  }
  return undefined;
}

/**
 * The cloud has the pack for good. Its tar is kept for a while, or its room is freed at once; either way a mark says, durably, that it
 * is released, and the gateway process, which owns the folder, removes it with the last mark. Idempotent. A folder that is gone was
 * released completely.
 */
export async function releasePack(spoolDir: string, pack: SpooledPack, { keep }: { readonly keep: boolean } = { keep: false }): Promise<void> {
  try {
    if (!keep || !await keepPack(spoolDir, pack)) await forgetPack(spoolDir, pack);
    await syncFolder(associationFolder(spoolDir, pack.associationId));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/**
 * The mark first: a pack that has both waits still, so that a death between them is made good by the next attempt. Then the tar moves in
 * one step, so that it is never in both places.
 *
 * @returns false when the disk has no room for the mark: the pack is to be forgotten then
 */
async function keepPack(spoolDir: string, pack: SpooledPack): Promise<boolean> {
  const tar = packPath(spoolDir, pack, packName);
  if (!await exists(tar)) return true;
  try {
    await mkdir(keptFolder(spoolDir), { recursive: true });
    await (await open(packPath(spoolDir, pack, releasedName), 'a')).close();
  } catch (error) {
    if (isDiskFull(error)) return false;
    throw error;
  }
  await syncFolder(associationFolder(spoolDir, pack.associationId));
  const now = new Date();
  await utimes(tar, now, now);
  await ignoreMissing(rename(tar, keptPath(spoolDir, pack.packId)));
  await syncFolder(keptFolder(spoolDir));
  return true;
}

/** The tar becomes the mark in one step, so that they never both miss, and is cut to nothing. Needs no room. */
async function forgetPack(spoolDir: string, pack: SpooledPack): Promise<void> {
  const mark = packPath(spoolDir, pack, releasedName);
  await ignoreMissing(rename(packPath(spoolDir, pack, packName), mark));
  await ignoreMissing(truncate(mark, 0));
}

/**
 * A person gave the pack up: the tar gets another name in its folder, in one durable step, behind a note that says who
 * decided so and why. The gateway process sees the name, tells the pack no more, and keeps it and its folder. Idempotent;
 * a pack that was released or set aside before stays so. On a full disk the note is left out: the audit has it too.
 */
export async function setAsidePack(spoolDir: string, pack: SpooledPack, why: GivenUp): Promise<void> {
  const tar = packPath(spoolDir, pack, packName);
  try {
    if (!await exists(tar)) return await syncFolder(associationFolder(spoolDir, pack.associationId));
    await writeNote(packPath(spoolDir, pack, asideNoteName), noteOf(pack, why));
    await ignoreMissing(rename(tar, packPath(spoolDir, pack, asideName)));
    await syncFolder(associationFolder(spoolDir, pack.associationId));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

const noteOf = ({ packId, studyInstanceUID, instanceCount }: SpooledPack, { kind, by, why, at }: GivenUp): string => `\
This pack was given up. The gateway keeps it and tells it no more.
who: ${oneLine(by)}
why: ${oneLine(why)}
how: ${kind}, ${at}
study: ${studyInstanceUID}, ${instanceCount} instances

To have it told again, rename it here; the gateway may be running:
mv ${asideName(packId)} ${packName(packId)}
`;

const oneLine = (text: string): string => text.replace(/[\p{Cc}]+/gu, ' ').slice(0, 1000);

async function writeNote(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flush: true });
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  }
}

/** The calls that the worker of role `edge` needs, for one spool folder; `keep`: packs are kept for a while when they are released. */
export const spoolReader = (spoolDir: string, keeping: { readonly keep: boolean }) => ({
  open: (pack: SpooledPack) => openPack(spoolDir, pack),
  find: (pack: Pick<SpooledPack, 'packId' | 'associationId'>) => findPack(spoolDir, pack),
  release: (pack: SpooledPack) => releasePack(spoolDir, pack, keeping),
  setAside: (pack: SpooledPack, why: GivenUp) => setAsidePack(spoolDir, pack, why),
});

function packPath(spoolDir: string, pack: SpooledPack, name: (packId: string) => string): string {
  if (!isPackId(pack.packId)) throw new RangeError('This is not the ID of a pack.');
  return join(associationFolder(spoolDir, pack.associationId), name(pack.packId));
}

const openIfThere = (path: string): Promise<FileHandle | undefined> => open(path, 'r').catch((error: unknown) => {
  if (isMissing(error)) return undefined;
  throw error;
});

const readFrom = (file: FileHandle): SpooledPackFile['read'] => async (offsetBytes, lengthBytes, space) => {
  const bytes = await readUpTo(file, offsetBytes, lengthBytes, space);
  if (bytes.length < lengthBytes) throw new PackUnreadable('The pack ends before the range that was asked for.');
  return bytes;
};

const exists = (path: string): Promise<boolean> => access(path).then(() => true, (error: unknown) => {
  if (isMissing(error)) return false;
  throw error;
});

const ignoreMissing = (done: Promise<void>): Promise<void> => done.catch((error: unknown) => {
  if (!isMissing(error)) throw error;
});
