import { open } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Names inside the spool: one folder per association, named after the ID that the gateway made for it.
 * Nothing that a sender wrote becomes part of a path.
 */
export const journalName = 'journal.jsonl';
export const openPackName = (file: number): string => `open-${file}.tar`;
export const sideName = (file: number): string => `side-${file}.part`;
export const packName = (packId: string): string => `${packId}.tar`;
/** The mark of a pack that the cloud has released; empty, it says that the tar is nobody's business any more. */
export const releasedName = (packId: string): string => `${packId}.released`;
/** Where packs lie that the cloud has released and the gateway keeps for a while, each under its ID. */
export const keptFolder = (spoolDir: string): string => join(spoolDir, 'kept');
export const keptPath = (spoolDir: string, packId: string): string => join(keptFolder(spoolDir), packName(packId));
/** What a pack's tar is renamed to when a person gave it up; renamed back by hand, it is told again. */
export const asideName = (packId: string): string => `${packId}.aside.tar`;
/** Beside it: who gave it up, when and why. */
export const asideNoteName = (packId: string): string => `${packId}.aside.txt`;
/** A folder on its way out; renamed first, so that it is either whole or known to be rubbish. */
export const trashName = (associationId: string): string => `trash-${associationId}`;

const associationIdPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const packIdPattern = /^[0-9a-f]{64}$/;

export const isAssociationId = (text: string): boolean => associationIdPattern.test(text);
export const isPackId = (text: string): boolean => packIdPattern.test(text);
export const isTrash = (name: string): boolean => name.startsWith('trash-') && isAssociationId(name.slice('trash-'.length));

/** @throws RangeError when the text is no association ID of ours: it must not become a path */
export function associationFolder(spoolDir: string, associationId: string): string {
  if (!isAssociationId(associationId)) throw new RangeError('This is not the ID of an association.');
  return join(spoolDir, associationId);
}

/** What a file name inside an association's folder stands for. */
export type SpoolFile =
  | { readonly kind: 'journal' | 'side' | 'other' }
  | { readonly kind: 'open'; readonly file: number }
  | { readonly kind: 'pack' | 'released' | 'aside'; readonly packId: string };

export function parseFileName(name: string): SpoolFile {
  if (name === journalName) return { kind: 'journal' };
  const open = /^open-(\d{1,9})\.tar$/.exec(name);
  if (open) return { kind: 'open', file: Number(open[1]) };
  const pack = /^([0-9a-f]{64})\.(tar|released|aside\.tar)$/.exec(name);
  if (pack) return { kind: packKinds[pack[2]!]!, packId: pack[1]! };
  return { kind: /\.part$/.test(name) ? 'side' : 'other' };
}

const packKinds: Readonly<Record<string, 'pack' | 'released' | 'aside'>> = { tar: 'pack', released: 'released', 'aside.tar': 'aside' };

/** Makes names created, renamed or deleted in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
export const isDiskFull = (error: unknown): boolean => {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
};
