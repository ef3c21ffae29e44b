import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readJournal, type JournalLine } from './journal.ts';
import { associationFolder, isAssociationId, isMissing, journalName, parseFileName } from './paths.ts';
import { openPack } from './reader.ts';

/**
 * Which of these instances lie in the spool in packs that are open, or that the cloud has not released. For any process on the gateway's device; reads
 * journals, and of a pack whose journal is incomplete its tar.
 */
export async function findWaiting(spoolDir: string, sopInstanceUIDs: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const associationId of (await readdir(spoolDir)).filter(isAssociationId)) {
    for (const uid of await instancesIn(spoolDir, associationId)) if (sopInstanceUIDs.has(uid)) found.add(uid);
  }
  return found;
}

async function instancesIn(spoolDir: string, associationId: string): Promise<readonly string[]> {
  const path = associationFolder(spoolDir, associationId);
  const files = (await readdir(path).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  })).map(parseFileName);
  const waiting = new Set(files.flatMap((file) => (file.kind === 'pack' ? [file.packId] : [])));
  const open = new Set(files.flatMap((file) => (file.kind === 'open' ? [file.file] : [])));
  if (waiting.size === 0 && open.size === 0) return [];
  const { lines } = await readJournal(join(path, journalName));
  const ofFile = Map.groupBy(lines.filter((line) => line.type === 'instance'), ({ file }) => file);
  const closed = lines.filter((line): line is Extract<JournalLine, { type: 'closed' }> => line.type === 'closed').filter(({ pack }) => waiting.has(pack.packId));
  const uids = [...open].flatMap((file) => uidsOf(ofFile.get(file)));
  for (const { file, pack } of closed) {
    const noted = uidsOf(ofFile.get(file));
    uids.push(...noted.length >= pack.instanceCount ? noted : await manifestOf(spoolDir, pack));
  }
  return uids;
}

const uidsOf = (instances: readonly { readonly sopInstanceUID: string }[] = []): readonly string[] => instances.map(({ sopInstanceUID }) => sopInstanceUID);

async function manifestOf(spoolDir: string, pack: Parameters<typeof openPack>[1]): Promise<readonly string[]> {
  const file = await openPack(spoolDir, pack);
  await file?.close();
  return uidsOf(file?.instances);
}
