import { HeadObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { resolveStudy } from '../../../domain/documents.ts';
import { packKey, parseChoiceKey, parsePackKey, tenantPrefix } from '../../../domain/keys.ts';
import type { PackIdentity, PackIndex } from '../../../domain/pack.ts';
import { listKeys } from '../../../stores/s3/s3Objects.ts';
import { sha256 } from '../../support/pacsClient.ts';
import type { Book } from './book.ts';
import { destinationId, type Site } from './site.ts';

/** Where what senders were told and what there is differ. A run is good when `problemsOf` finds nothing. */
export interface Comparison {
  readonly acknowledgedCount: number;
  /** Current instances, read back from S3 and hashed. */
  readonly archivedCount: number;
  /** Told success, and not in the archive with these bytes, or without a current instance under their UID. */
  readonly lost: readonly string[];
  /** Current twice under one SOP Instance UID. */
  readonly doubled: readonly string[];
  /** Current, and never offered by a sender with these bytes. */
  readonly foreign: readonly string[];
  /** The bytes in the archive are others than its index says. */
  readonly corrupt: readonly string[];
  /** Archived and not found by QIDO-RS, or found twice, or not archived. */
  readonly indexDiffers: readonly string[];
  /** WADO-RS gives other instances or bytes than were archived. */
  readonly retrievalDiffers: readonly string[];
  /** The ledger of the destination does not name each instance once, as delivered, with its digest. */
  readonly ledgerDiffers: readonly string[];
  /** The set of what the destination took differs from the archive's. */
  readonly destinationDiffers: readonly string[];
  /** Copies beside the current ones: a resend that was archived before it was known to be one. */
  readonly copiesBeside: number;
  /** Instances that the destination took more than once: a kill between its answer and the ledger. */
  readonly deliveredAgain: number;
  /** Tars or headers without a commit, and uploads that nobody finished: a sweep's to remove. */
  readonly orphans: readonly string[];
  /** The longest time from a sender's success to the commit in S3, by S3's clock; STOW-RS answers after it. */
  readonly longestToCommitMs: number;
}

export const problemsOf = (found: Comparison): readonly string[] => {
  const lists = ['lost', 'doubled', 'foreign', 'corrupt', 'indexDiffers', 'retrievalDiffers', 'ledgerDiffers', 'destinationDiffers'] as const;
  return lists.flatMap((name) => found[name].map((text) => `${name}: ${text}`));
};

/** In place of a comparison that could not be made. */
export const nothingCompared: Comparison = {
  acknowledgedCount: 0, archivedCount: 0, lost: [], doubled: [], foreign: [], corrupt: [], indexDiffers: [], retrievalDiffers: [], ledgerDiffers: [],
  destinationDiffers: [], copiesBeside: 0, deliveredAgain: 0, orphans: [], longestToCommitMs: 0,
};

interface Archived { readonly sopInstanceUID: string; readonly dataSetSha256: string; readonly sha256: string }

/** Reads everything there is and compares. The site is quiet, and no fault is armed. */
export async function compareLists(site: Site, book: Book): Promise<Comparison> {
  const { packs, orphans } = await readArchive(site);
  const found = { doubled: [] as string[], corrupt: [] as string[], indexDiffers: [] as string[], retrievalDiffers: [] as string[], ledgerDiffers: [] as string[] };
  const current = new Map<string, string>();
  const everything = new Set<string>();
  let copiesBeside = 0;
  let longestToCommitMs = 0;
  for (const [study, indexes] of packs) {
    const bytes = await readPacks(site, indexes, found.corrupt);
    for (const [name, digest] of bytes) everything.add(`${name.split(' ')[1]} ${digest}`);
    const resolved = resolveStudy(indexes);
    copiesBeside += resolved.setAside.length;
    const archived: Archived[] = resolved.current.map(({ sopInstanceUID, packId, sha256: digest }) =>
      ({ sopInstanceUID, sha256: digest, dataSetSha256: bytes.get(`${packId} ${sopInstanceUID}`) ?? 'not in the pack' }));
    for (const { sopInstanceUID, dataSetSha256 } of archived) {
      if (current.has(sopInstanceUID)) found.doubled.push(sopInstanceUID);
      current.set(sopInstanceUID, dataSetSha256);
    }
    longestToCommitMs = Math.max(longestToCommitMs, ...await commitDelays(site, indexes, bytes, book));
    found.indexDiffers.push(...differences(`QIDO ${study}`, archived.map(({ sopInstanceUID }) => sopInstanceUID), await searched(site, study)));
    const back = await site.api.retrieve(study);
    found.retrievalDiffers.push(...differences(`WADO ${study}`, pairs(archived), pairs(back)));
    const ledger = await site.api.ledger(destinationId, study);
    found.ledgerDiffers.push(...differences(`ledger ${study}`, archived.map(({ sopInstanceUID, sha256: digest }) => `${sopInstanceUID} ${digest} delivered`),
      ledger.instances.map(({ sopInstanceUID, sha256: digest, state }) => `${sopInstanceUID} ${digest} ${state}`)));
  }
  const currentPairs = [...current].map(([uid, digest]) => `${uid} ${digest}`);
  return {
    ...found, copiesBeside, orphans, acknowledgedCount: book.acknowledged.size, archivedCount: current.size,
    lost: [...book.acknowledged.keys()].filter((key) => !everything.has(key) || !current.has(key.split(' ')[0]!)),
    foreign: currentPairs.filter((key) => !book.offered.has(key)),
    destinationDiffers: differences('destination', currentPairs, [...site.destination.received.keys()]),
    deliveredAgain: [...site.destination.received.values()].filter((count) => count > 1).length,
    longestToCommitMs,
  };
}

const pairs = (list: readonly { readonly sopInstanceUID: string; readonly dataSetSha256: string }[]): readonly string[] =>
  list.map(({ sopInstanceUID, dataSetSha256 }) => `${sopInstanceUID} ${dataSetSha256}`);

/** What one list has more often than the other. */
function differences(what: string, expected: readonly string[], actual: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const item of expected) counts.set(item, (counts.get(item) ?? 0) + 1);
  for (const item of actual) counts.set(item, (counts.get(item) ?? 0) - 1);
  return [...counts].filter(([, count]) => count !== 0).map(([item, count]) => `${what}: ${item} is ${count > 0 ? 'missing' : 'too many'}`);
}

async function readArchive({ bucket, archive, tenantId }: Site) {
  const studies = new Set<string>();
  const [committed, parts] = [new Set<string>(), [] as string[]];
  for await (const key of listKeys(bucket, `${tenantPrefix(tenantId)}studies/`)) {
    const pack = parsePackKey(key);
    if (!pack && parseChoiceKey(key)) continue;
    if (!pack) throw new Error(`A key that is no pack's: ${key}`);
    if (pack.part !== 'index') parts.push(key);
    else {
      committed.add(pack.packId + pack.seriesInstanceUID);
      studies.add(pack.studyInstanceUID);
    }
  }
  const packs = new Map<string, readonly PackIndex[]>();
  for (const study of studies) packs.set(study, await archive.listIndexes(tenantId, study));
  const isOrphan = (key: string): boolean => {
    const { packId, seriesInstanceUID } = parsePackKey(key) as PackIdentity;
    return !committed.has(packId + seriesInstanceUID);
  };
  const { Uploads = [] } = await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket }));
  return { packs, orphans: [...parts.filter(isOrphan), ...Uploads.map(({ Key }) => `upload of ${Key}`)] };
}

/** Reads whole packs. @returns `<packId> <SOPInstanceUID>` → SHA-256 of the data set */
async function readPacks({ archive }: Site, indexes: readonly PackIndex[], corrupt: string[]): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>();
  for (const index of indexes) {
    const tar = Buffer.concat(await Array.fromAsync(await archive.readRange(index, 0, index.lengthBytes) as AsyncIterable<Buffer>));
    for (const { sopInstanceUID, offsetBytes, lengthBytes, sha256: digest } of index.instances) {
      const file = tar.subarray(offsetBytes, offsetBytes + lengthBytes);
      const meta = parseFileMeta(file);
      if ('needMore' in meta || sha256(file) !== digest) corrupt.push(`${index.packId} ${sopInstanceUID}`);
      else digests.set(`${index.packId} ${sopInstanceUID}`, sha256(file.subarray(meta.dataSetOffsetBytes)));
    }
  }
  return digests;
}

/** From each sender's success to the commit of the first pack with the instance, by S3's clock (whole seconds). */
async function commitDelays({ bucket }: Site, indexes: readonly PackIndex[], digests: ReadonlyMap<string, string>, book: Book): Promise<readonly number[]> {
  const delays: number[] = [];
  for (const index of indexes) {
    const { LastModified } = await bucket.s3.send(new HeadObjectCommand({ Bucket: bucket.bucket, Key: packKey(index, 'index') }));
    for (const { sopInstanceUID, verdict } of index.instances) {
      const acknowledgedAt = book.acknowledged.get(`${sopInstanceUID} ${digests.get(`${index.packId} ${sopInstanceUID}`)}`);
      if (verdict === 'accepted' && acknowledgedAt !== undefined) delays.push(LastModified!.getTime() - acknowledgedAt);
    }
  }
  return delays;
}

const pageSize = 1_000;

/** SOP Instance UIDs of a study by QIDO-RS, every page. */
async function searched({ api }: Site, study: string): Promise<readonly string[]> {
  const uids: string[] = [];
  for (let offset = 0; ; offset += pageSize) {
    const answer = await api.call(`dicom-web/studies/${study}/instances?limit=${pageSize}&offset=${offset}`);
    if (answer.status === 204) return uids;
    const page = await answer.json() as readonly Readonly<Record<string, { readonly Value?: readonly string[] }>>[];
    uids.push(...page.map((instance) => instance['00080018']?.Value?.[0] ?? ''));
    if (page.length < pageSize) return uids;
  }
}
