import { open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedInstance } from '../../domain/instance.ts';
import type { PackOrigin, SpooledPack } from '../../domain/pack.ts';
import { endOfArchiveBytes, entryHeaderBytes, paddedLength } from '../../domain/packTar.ts';
import type { AssociationEnd } from '../services/service.ts';
import type { Clock } from './clock.ts';
import { Journal, readJournal, type JournalLine } from './journal.ts';
import { packIdOf, type SeriesIdentity } from './openPack.ts';
import { asideName, associationFolder, journalName, openPackName, packName, parseFileName, releasedName, syncFolder } from './paths.ts';
import type { AssociationRecord } from './record.ts';
import { copyEntries } from './repair.ts';
import { PackUnreadable, findWholeEntries, readInstance, readManifest, readSeries, type FoundEntry } from './tarScan.ts';

export interface RecoveryDeps {
  readonly spoolDir: string;
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly clock: Clock;
}

export interface RecoveredFolder {
  /** Undefined when the folder holds no pack: it can go. */
  readonly record: AssociationRecord | undefined;
  /** Packs closed here. */
  readonly closedCount: number;
  readonly tornLineCount: number;
  /** Instances that were answered with success and are not on the disk any more, by SOP Instance UID. */
  readonly lost: readonly string[];
}

interface Folder {
  readonly path: string;
  readonly associationId: string;
  readonly names: Set<string>;
  readonly lines: JournalLine[];
  readonly journal: Journal;
  readonly deps: RecoveryDeps;
}

/**
 * Brings an association's folder into order after its gateway process ended without closing it: whole entries become
 * closed packs, half ones and side files go away, the end is written down. The tar files are the truth; the journal
 * adds who sent them and which packs closed. Killed half-way, it does the rest the next time.
 *
 * @param how the association's end, where the journal has none
 */
export async function recoverFolder(deps: RecoveryDeps, associationId: string, how: AssociationEnd = 'lost'): Promise<RecoveredFolder> {
  const path = associationFolder(deps.spoolDir, associationId);
  const { lines, tornCount } = await readJournal(join(path, journalName));
  const names = new Set(await readdir(path));
  const journal = await Journal.open(join(path, journalName));
  const folder: Folder = { path, associationId, names, lines: [...lines], journal, deps };
  try {
    await recordOnce(folder, associationLine(folder));
    for (const name of folder.names) if (parseFileName(name).kind === 'side') await unlink(join(path, name));
    const openFiles = [...folder.names].map(parseFileName).filter((file) => file.kind === 'open').map((file) => file.file);
    const lost = lostWithTheirFile(folder, openFiles);
    for (const file of openFiles.sort((a, b) => a - b)) lost.push(...await closeOpenFile(folder, file));
    await adoptUnknownPacks(folder);
    return { record: await toRecord(folder, how), closedCount: openFiles.length, tornLineCount: tornCount, lost };
  } finally {
    await journal.close();
  }
}

/** @returns the SOP Instance UIDs of promised instances that are not in the file */
async function closeOpenFile(folder: Folder, file: number): Promise<string[]> {
  const path = join(folder.path, openPackName(file));
  const promised = linesOf(folder, 'instance').filter((line) => line.file === file);
  const instances = await cutToWholeEntries(path, promised);
  const kept = new Set(instances.map((instance) => instance.sha256));
  if (instances.length === 0) await unlink(path);
  else await renameToPack(folder, file, path, instances);
  return promised.filter((line) => !kept.has(line.sha256)).map((line) => line.sopInstanceUID);
}

/** Leaves a whole, synced tar of what is whole in the file. @returns its instances */
async function cutToWholeEntries(path: string, promised: readonly PackedInstance[]): Promise<readonly PackedInstance[]> {
  const handle = await open(path, 'r+');
  try {
    const found = await findWholeEntries(handle, promised);
    if (found.length === 0) return [];
    if (!areGapless(found)) await copyEntries(handle, path, found);
    else {
      const last = found.at(-1)!;
      const end = last.offsetBytes + entryHeaderBytes + paddedLength(last.entry.lengthBytes);
      await handle.truncate(end);
      await handle.truncate(end + endOfArchiveBytes);
      await handle.sync();
      return await Promise.all(found.map((entry) => readInstance(handle, entry)));
    }
  } finally {
    await handle.close();
  }
  return cutToWholeEntries(path, []);
}

function areGapless(found: readonly FoundEntry[]): boolean {
  let expected = 0;
  for (const { offsetBytes, headerIsWhole, entry } of found) {
    if (offsetBytes !== expected || !headerIsWhole) return false;
    expected += entryHeaderBytes + paddedLength(entry.lengthBytes);
  }
  return true;
}

async function renameToPack(folder: Folder, file: number, path: string, instances: readonly PackedInstance[]): Promise<void> {
  const series = linesOf(folder, 'open').find((line) => line.file === file) ?? await seriesInside(path, instances[0]!);
  const pack = toPack(folder, series, instances);
  await folder.journal.record(add(folder, { type: 'closed', at: folder.deps.clock.timestamp(), file, pack }));
  const known = [...folder.names].map(parseFileName).some((name) => 'packId' in name && name.packId === pack.packId);
  if (known) await unlink(path);
  else {
    await rename(path, join(folder.path, packName(pack.packId)));
    folder.names.add(packName(pack.packId));
  }
  await syncFolder(folder.path);
}

/** Packs that the journal has no line for, because it was lost: their tar tells. */
async function adoptUnknownPacks(folder: Folder): Promise<void> {
  const known = new Set(linesOf(folder, 'closed').map((line) => line.pack.packId));
  for (const name of folder.names) {
    const file = parseFileName(name);
    if ((file.kind !== 'pack' && file.kind !== 'aside') || known.has(file.packId)) continue;
    const path = join(folder.path, name);
    const handle = await open(path, 'r');
    try {
      const instances = await readManifest(handle, (await handle.stat()).size - endOfArchiveBytes);
      const pack = toPack(folder, await seriesInside(path, instances[0]!), instances);
      await folder.journal.record(add(folder, { type: 'closed', at: folder.deps.clock.timestamp(), file: -1, pack }));
    } finally {
      await handle.close();
    }
  }
}

async function seriesInside(path: string, instance: PackedInstance): Promise<SeriesIdentity> {
  const handle = await open(path, 'r');
  try {
    const series = await readSeries(handle, instance);
    if (series === undefined) throw new PackUnreadable('Neither the journal nor the pack tells which Series it belongs to.');
    return series;
  } finally {
    await handle.close();
  }
}

function toPack(folder: Folder, series: SeriesIdentity, instances: readonly PackedInstance[]): SpooledPack {
  const { tenantId, origin } = linesOf(folder, 'association')[0]!;
  const last = instances.at(-1)!;
  return { tenantId, studyInstanceUID: series.studyInstanceUID, seriesInstanceUID: series.seriesInstanceUID, packId: packIdOf(instances),
    gatewayId: origin.gatewayId, associationId: folder.associationId,
    lengthBytes: last.offsetBytes + paddedLength(last.lengthBytes) + endOfArchiveBytes, instanceCount: instances.length };
}

async function toRecord(folder: Folder, how: AssociationEnd): Promise<AssociationRecord | undefined> {
  const packs = new Map(linesOf(folder, 'closed').map(({ pack }) => {
    const { packId } = pack;
    const isGone = !folder.names.has(packName(packId));
    const setAside = isGone && folder.names.has(asideName(packId));
    return [packId, { pack, setAside, released: isGone && !setAside && folder.names.has(releasedName(packId)) }];
  }));
  if (packs.size === 0) return undefined;
  const { tenantId, origin } = linesOf(folder, 'association')[0]!;
  const at = folder.deps.clock.timestamp();
  const instanceCount = [...packs.values()].reduce((sum, { pack }) => sum + pack.instanceCount, 0);
  await recordOnce(folder, { type: 'ended', at, end: { how, packCount: packs.size, instanceCount, at } });
  const reopened = linesOf(folder, 'reopened').at(-1);
  return { associationId: folder.associationId, tenantId, origin, packs,
    end: linesOf(folder, 'ended')[0]!.end, endTold: folder.lines.findLastIndex((line) => line.type === 'endTold') > folder.lines.findLastIndex((line) => line.type === 'reopened'),
    releasedBefore: reopened && { packCount: reopened.releasedPackCount, instanceCount: reopened.releasedInstanceCount } };
}

/** Instances promised in a file that neither exists nor was ever closed. */
const lostWithTheirFile = (folder: Folder, openFiles: readonly number[]): string[] => {
  const there = new Set([...openFiles, ...linesOf(folder, 'closed').map((line) => line.file)]);
  return linesOf(folder, 'instance').filter((line) => !there.has(line.file)).map((line) => line.sopInstanceUID);
};

/** Stands in for a first line that is lost: who sent it is then unknown, when it began its ID tells (RFC 9562 5.7). */
function associationLine(folder: Folder): JournalLine {
  const { tenantId, gatewayId, clock } = folder.deps;
  const receivedAt = new Date(parseInt(folder.associationId.replace('-', '').slice(0, 12), 16)).toISOString();
  const origin: PackOrigin = { kind: 'dimse', gatewayId, associationId: folder.associationId, callingAETitle: '', calledAETitle: '', receivedAt };
  return { type: 'association', at: clock.timestamp(), tenantId, origin, peerAddress: '', peerImplementationClassUID: '', peerImplementationVersionName: '' };
}

async function recordOnce(folder: Folder, line: JournalLine): Promise<void> {
  if (linesOf(folder, line.type).length === 0) await folder.journal.record(add(folder, line));
}

const add = (folder: Folder, line: JournalLine): JournalLine => {
  folder.lines.push(line);
  return line;
};

const linesOf = <T extends JournalLine['type']>(folder: Folder, type: T): Extract<JournalLine, { type: T }>[] =>
  folder.lines.filter((line): line is Extract<JournalLine, { type: T }> => line.type === type);
