import { Readable } from 'node:stream';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { isSameDecision, latestChoices, withChoices, type ChoiceDraft, type StudyChoice } from '../../domain/choice.ts';
import { inCommitOrder } from '../../domain/documents.ts';
import type { InstanceHeader } from '../../domain/instance.ts';
import { choiceKey, packKey, packStem, parseChoiceKey, parsePackKey, studyPrefix, tenantPrefix } from '../../domain/keys.ts';
import type { PackIdentity, PackIndex } from '../../domain/pack.ts';
import { marginMs, type PackStanding } from '../../domain/removal.ts';
import { concurrently } from '../concurrently.ts';
import { inContext, StoreError, type StoreContext } from '../errors.ts';
import { gunzipJson, gunzipLines, gzipJson, gzipLines } from './jsonLines.ts';
import { LruCache } from '../lru.ts';
import { provePack } from '../packs/packProof.ts';
import { checksumOf, partBuffers, partBytes, partsOf, readFully, sameLengthExists, uploadInParts, type Upload } from './packUpload.ts';
import type { ArchiveStore } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { standingOf } from './orphanStore.ts';
import { abortable, discard, listFolders, listKeys, listObjects, objectLength, openObject, readObject, writeObject } from './s3Objects.ts';

export interface ArchiveStoreValues {
  readonly s3: S3Client;
  readonly bucket: string;
  /** What cached pack indexes may take, counted as their JSON text. Default 32 MiB. */
  readonly cacheBytes?: number;
}

const indexReadsInFlight = 8;
const gzip = 'application/gzip';

/** Packs in S3. Errors are StoreError with tenant and key, or an AbortError after cancellation. */
export function createArchiveStore({ s3, bucket: name, cacheBytes = 32 * 1024 * 1024 }: ArchiveStoreValues): ArchiveStore {
  const bucket: Bucket = { s3, bucket: name };
  const indexes = new IndexReader(bucket, cacheBytes);
  const context = (pack: PackIdentity, part: 'tar' | 'headers' | 'index'): StoreContext =>
    ({ tenantId: pack.tenantId, key: packKey(pack, part) });

  return {
    putPack(pack, file, options = {}) {
      const at = context(pack, 'tar');
      return inContext('Storing a pack', at, () => putFile({ ...at, bucket, file, options }), options.signal);
    },
    replacePack(index, file, options = {}) {
      const at = context(index, 'tar');
      return inContext('Replacing a damaged pack', at, () => replaceFile(index, { ...at, bucket, file, options }), options.signal);
    },
    putHeaders(pack, headers, signal) {
      const at = context(pack, 'headers');
      return inContext('Storing headers', at, async () => {
        await writeObject(bucket, at.key, await gzipLines(headers), 'new', { contentType: gzip, signal });
      }, signal);
    },
    getHeaders(pack, signal) {
      const at = context(pack, 'headers');
      return inContext('Reading headers', at, async () => {
        const opened = await openObject(bucket, at.key, signal);
        return opened && Array.fromAsync(gunzipLines<InstanceHeader>(opened.stream));
      }, signal);
    },
    packLengthBytes(pack, signal) {
      const at = context(pack, 'tar');
      return inContext('Looking at a pack', at, () => objectLength(bucket, at.key, signal), signal);
    },
    look(pack, signal) {
      const key = `${packStem(pack)}.`;
      return inContext('Looking at a pack', { tenantId: pack.tenantId, key }, () => lookAt(bucket, pack, key, signal), signal);
    },
    commitIndex: (index, signal) => inContext('Committing a pack', context(index, 'index'), () => indexes.commit(index, signal), signal),
    getIndex: (pack, signal) => inContext('Reading a pack index', context(pack, 'index'), () => indexes.get(pack, signal), signal),
    listIndexes(tenantId, studyInstanceUID, signal) {
      const at = { tenantId, key: studyPrefix(tenantId, studyInstanceUID) };
      return inContext('Listing pack indexes', at, () => indexes.list(at.key, signal), signal);
    },
    addChoice(draft, signal) {
      const at = { tenantId: draft.tenantId, key: `${studyPrefix(draft.tenantId, draft.studyInstanceUID)}choices` };
      return inContext('Writing a choice', at, () => indexes.addChoice(draft, signal), signal);
    },
    listStudies(tenantId, page, signal) {
      const prefix = `${tenantPrefix(tenantId)}studies/`;
      return inContext('Listing studies', { tenantId, key: prefix }, async () => {
        const { folders, next } = await listFolders(bucket, prefix, page, signal);
        return { studyInstanceUIDs: folders.map((folder) => folder.slice(prefix.length, -1)), next };
      }, signal);
    },
    readRange(pack, offsetBytes, lengthBytes, signal) {
      const at = context(pack, 'tar');
      return inContext('Reading a pack', at, () => openRange(bucket, at, offsetBytes, lengthBytes, signal), signal);
    },
  };
}

/** A file of one part or less is one request: with If-None-Match, and looked at first so that a repeat sends no bytes. */
async function putFile(upload: Upload): Promise<{ readonly existed: boolean }> {
  const { file, options, bucket, key } = upload;
  if (await sameLengthExists(upload)) return { existed: true };
  if (file.lengthBytes > partBytes) return uploadInParts(upload);
  const etag = await partBuffers.lend(async (space) => {
    const body = await readFully(upload, 0, file.lengthBytes, space);
    return writeObject(bucket, key, body, 'new', { contentType: 'application/x-tar', signal: options.signal });
  });
  if (etag === undefined) return { existed: await sameLengthExists(upload) };
  return { existed: false };
}

/** A file of one part or less is one request here too: S3 keeps all of it or none. */
async function replaceFile(index: PackIndex, upload: Upload): Promise<void> {
  const { file, options: { signal }, bucket: { s3, bucket }, key } = upload;
  const proven = { ...upload, provenSums: await provePack(file, index, partsOf(file.lengthBytes), signal) };
  if (file.lengthBytes > partBytes) return void await uploadInParts(proven);
  await partBuffers.lend(async (space) => {
    const body = await readFully(proven, 0, file.lengthBytes, space);
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, ContentType: 'application/x-tar', ...checksumOf(proven, 1) }), abortable(signal));
  });
}

/** Its keys are looked at one after the other: what is deleted meanwhile is told from what is not as long as that takes less than the margin. */
async function lookAt(bucket: Bucket, pack: PackIdentity, prefix: string, signal: AbortSignal | undefined): Promise<PackStanding> {
  for (;;) {
    const startedAt = performance.now();
    const { at, objects } = await listObjects(bucket, prefix, { limit: 1000 }, signal);
    if (performance.now() - startedAt < marginMs / 2) return standingOf(pack, at, objects);
  }
}

async function openRange(bucket: Bucket, at: StoreContext, offsetBytes: number, lengthBytes: number, signal?: AbortSignal): Promise<Readable> {
  if (lengthBytes === 0) return Readable.from([]);
  const opened = await openObject(bucket, at.key, signal, `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}`);
  if (!opened) throw new StoreError('The archive does not have this pack', at);
  if (opened.lengthBytes === lengthBytes) return opened.stream;
  await discard(opened.stream);
  throw new StoreError(`The pack ends before byte ${offsetBytes + lengthBytes}`, at);
}

/** Pack indexes and their cache: an index never changes once it is written, so what was read stays true. */
class IndexReader {
  readonly #bucket: Bucket;
  readonly #cache: LruCache<PackIndex>;

  constructor(bucket: Bucket, cacheBytes: number) {
    this.#bucket = bucket;
    this.#cache = new LruCache(cacheBytes);
  }

  async commit(index: PackIndex, signal?: AbortSignal): Promise<PackIndex> {
    const key = packKey(index, 'index');
    const etag = await writeObject(this.#bucket, key, gzipJson(index), 'new', { contentType: gzip, signal });
    if (etag !== undefined) return index;
    const first = await this.#read(key, signal);
    if (!first) throw new StoreError('A pack index was there, and then it was not', { tenantId: index.tenantId, key });
    return first;
  }

  get(pack: PackIdentity, signal?: AbortSignal): Promise<PackIndex | undefined> {
    return this.#read(packKey(pack, 'index'), signal);
  }

  async list(prefix: string, signal?: AbortSignal): Promise<readonly PackIndex[]> {
    const keys: string[] = [];
    const choiceKeys: string[] = [];
    for await (const key of listKeys(this.#bucket, prefix, signal)) {
      if (parsePackKey(key)?.part === 'index') keys.push(key);
      else if (parseChoiceKey(key)) choiceKeys.push(key);
    }
    const found = await concurrently(keys, indexReadsInFlight, (key) => this.#read(key, signal));
    return withChoices(inCommitOrder(found.filter((index) => index !== undefined)), await this.#readChoices(choiceKeys, signal));
  }

  /** Two writers at once take two numbers: the write-once key tells the second, which looks again. */
  async addChoice(draft: ChoiceDraft, signal?: AbortSignal): Promise<StudyChoice> {
    const prefix = `${studyPrefix(draft.tenantId, draft.studyInstanceUID)}choices/`;
    for (;;) {
      const keys = (await Array.fromAsync(listKeys(this.#bucket, prefix, signal))).filter((key) => parseChoiceKey(key));
      const known = latestChoices(await this.#readChoices(keys, signal)).get(draft.sopInstanceUID);
      if (known && isSameDecision(known, draft)) return known;
      const choice: StudyChoice = { formatVersion: 1, ...draft, number: keys.length + 1 };
      const key = choiceKey(draft.tenantId, draft.studyInstanceUID, choice.number);
      if (await writeObject(this.#bucket, key, gzipJson(choice), 'new', { contentType: gzip, signal }) !== undefined) return choice;
    }
  }

  async #readChoices(keys: readonly string[], signal?: AbortSignal): Promise<readonly StudyChoice[]> {
    const objects = await concurrently(keys, indexReadsInFlight, (key) => readObject(this.#bucket, key, signal));
    return objects.flatMap((object) => (object ? [gunzipJson<StudyChoice>(object.body).value] : []));
  }

  async #read(key: string, signal?: AbortSignal): Promise<PackIndex | undefined> {
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const object = await readObject(this.#bucket, key, signal);
    if (!object) return undefined;
    const { value, textBytes } = gunzipJson<PackIndex>(object.body);
    this.#cache.set(key, value, textBytes);
    return value;
  }
}
