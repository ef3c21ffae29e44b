import { access, open, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedInstance } from '../../domain/instance.ts';
import type { GivenUp, SpooledPack } from '../../domain/pack.ts';
import { endOfArchiveBytes } from '../../domain/packTar.ts';
import { asideName, asideNoteName, associationFolder, isDiskFull, isMissing, isPackId, packName, releasedName, syncFolder } from './paths.ts';
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
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    if (size !== pack.lengthBytes) throw new PackUnreadable('The pack on disk has not the length that its journal says.');
    const instances = await readManifest(file, size - endOfArchiveBytes);
    return {
      lengthBytes: size,
      instances,
      close: () => file.close(),
      read: async (offsetBytes, lengthBytes, space) => {
        const bytes = await readUpTo(file, offsetBytes, lengthBytes, space);
        if (bytes.length < lengthBytes) throw new PackUnreadable('The pack ends before the range that was asked for.');
        return bytes;
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * The cloud has the pack for good: frees its room, durably. Idempotent. The tar is renamed to a mark, in one step, so
 * that pack and mark never both exist or both miss; the gateway process, which owns the folder, removes it with the
 * last mark. A folder that is gone was released completely.
 */
export async function releasePack(spoolDir: string, pack: SpooledPack): Promise<void> {
  const mark = packPath(spoolDir, pack, releasedName);
  try {
    await ignoreMissing(rename(packPath(spoolDir, pack, packName), mark));
    await ignoreMissing(truncate(mark, 0));
    await syncFolder(associationFolder(spoolDir, pack.associationId));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
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

/** The calls that the worker of role `edge` needs, for one spool folder. */
export const spoolReader = (spoolDir: string) => ({
  open: (pack: SpooledPack) => openPack(spoolDir, pack),
  release: (pack: SpooledPack) => releasePack(spoolDir, pack),
  setAside: (pack: SpooledPack, why: GivenUp) => setAsidePack(spoolDir, pack, why),
});

function packPath(spoolDir: string, pack: SpooledPack, name: (packId: string) => string): string {
  if (!isPackId(pack.packId)) throw new RangeError('This is not the ID of a pack.');
  return join(associationFolder(spoolDir, pack.associationId), name(pack.packId));
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, (error: unknown) => {
  if (isMissing(error)) return false;
  throw error;
});

const ignoreMissing = (done: Promise<void>): Promise<void> => done.catch((error: unknown) => {
  if (!isMissing(error)) throw error;
});
