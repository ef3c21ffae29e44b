import { once } from 'node:events';
import { addAbortSignal, type Readable } from 'node:stream';
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { StoredPart } from '../../domain/removal.ts';
import { statusOf } from '../errors.ts';
import type { Bucket } from './s3.ts';

/** A small object as it was read, with the ETag that guards its replacement. */
export interface StoredObject {
  readonly body: Buffer;
  readonly etag: string | undefined;
}

/**
 * When a write counts: `new` only when nothing is there (If-None-Match: *), or when what is there has this ETag (If-Match).
 *
 * SeaweedFS 4.48 honours both on PutObject and answers 412; of 20 racing writers one wins. A write whose answer was lost is
 * sent again by the SDK and then meets itself: 412 does not tell who was first, reading does.
 */
export type WriteCondition = 'new' | { readonly etag: string };

export const isMissing = (error: unknown): boolean => statusOf(error) === 404 && (error as Error).name !== 'NoSuchBucket';
/** 412, or AWS's 409 for a conditional write that met another one under way. */
export const isConditionFailed = (error: unknown): boolean =>
  statusOf(error) === 412 || (error as Error | undefined)?.name === 'ConditionalRequestConflict';

/** @returns its length, undefined when there is no such object */
export async function objectLength({ s3, bucket }: Bucket, key: string, signal?: AbortSignal): Promise<number | undefined> {
  try {
    const { ContentLength } = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), abortable(signal));
    return ContentLength ?? 0;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Reads an object whole. For small ones. @returns undefined when there is no such object */
export async function readObject(bucket: Bucket, key: string, signal?: AbortSignal): Promise<StoredObject | undefined> {
  const opened = await openObject(bucket, key, signal);
  if (!opened) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of opened.stream) chunks.push(chunk as Buffer);
  return { body: Buffer.concat(chunks), etag: opened.etag };
}

export interface OpenedObject {
  readonly stream: Readable;
  readonly lengthBytes: number | undefined;
  readonly etag: string | undefined;
}

/** @returns the object as a stream that the signal destroys; undefined when there is no such object */
export async function openObject({ s3, bucket }: Bucket, key: string, signal?: AbortSignal, range?: string): Promise<OpenedObject | undefined> {
  try {
    const answer = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...(range ? { Range: range } : {}) }), abortable(signal));
    const stream = answer.Body as Readable;
    if (signal) addAbortSignal(signal, stream);
    return { stream, lengthBytes: answer.ContentLength, etag: answer.ETag };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * Writes an object whole; the server verifies its CRC-32 before it keeps it.
 *
 * @returns its ETag; undefined when the condition did not hold and nothing was written
 */
export async function writeObject({ s3, bucket }: Bucket, key: string, body: Buffer, condition: WriteCondition,
  options: { readonly contentType: string; readonly signal?: AbortSignal | undefined }): Promise<string | undefined> {
  const guard = condition === 'new' ? { IfNoneMatch: '*' } : { IfMatch: condition.etag };
  try {
    const { ETag } = await s3.send(new PutObjectCommand({
      Bucket: bucket, Key: key, Body: body, ContentType: options.contentType, ChecksumAlgorithm: 'CRC32', ...guard,
    }), abortable(options.signal));
    return ETag ?? '';
  } catch (error) {
    if (isConditionFailed(error) || (condition !== 'new' && isMissing(error))) return undefined;
    throw error;
  }
}

/** What is not there is removed already. */
export async function removeObject({ s3, bucket }: Bucket, key: string, signal?: AbortSignal): Promise<void> {
  await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }), abortable(signal));
}

/** Every key under a prefix, page by page. */
export async function* listKeys({ s3, bucket }: Bucket, prefix: string, signal?: AbortSignal): AsyncIterable<string> {
  let token: string | undefined;
  do {
    const page = await s3.send(new ListObjectsV2Command({
      Bucket: bucket, Prefix: prefix, ...(token ? { ContinuationToken: token } : {}),
    }), abortable(signal));
    for (const { Key } of page.Contents ?? []) if (Key) yield Key;
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (token);
}

/** One page of the keys under a prefix. The cursor is S3's own. */
export async function listKeyPage({ s3, bucket }: Bucket, prefix: string, page: { readonly cursor?: string | undefined; readonly limit: number },
  signal?: AbortSignal): Promise<{ readonly keys: readonly string[]; readonly next: string | undefined }> {
  const answer = await s3.send(new ListObjectsV2Command({
    Bucket: bucket, Prefix: prefix, MaxKeys: page.limit, ...(page.cursor === undefined ? {} : { ContinuationToken: page.cursor }),
  }), abortable(signal));
  return { keys: (answer.Contents ?? []).flatMap(({ Key }) => Key ?? []), next: answer.IsTruncated ? answer.NextContinuationToken : undefined };
}

export interface ListedObject extends StoredPart {
  readonly key: string;
}

/** Objects under a prefix, a page, with S3's own time of the answer. */
export async function listObjects({ s3, bucket }: Bucket, prefix: string, page: { readonly cursor?: string | undefined; readonly limit: number },
  signal?: AbortSignal): Promise<{ readonly at: Date; readonly objects: readonly ListedObject[]; readonly next: string | undefined }> {
  const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: page.limit, ...(page.cursor === undefined ? {} : { ContinuationToken: page.cursor }) });
  const dated = noteDate(command);
  const answer = await s3.send(command, abortable(signal));
  const objects = (answer.Contents ?? []).flatMap(({ Key, Size, LastModified }) => (Key && LastModified ? [{ key: Key, lengthBytes: Size ?? 0, writtenAt: LastModified }] : []));
  return { at: dated(), objects, next: answer.IsTruncated ? answer.NextContinuationToken : undefined };
}

/** @returns gives the `Date` of the answer, S3's clock: ours may be set */
export function noteDate(command: { readonly middlewareStack: Pick<ListObjectsV2Command['middlewareStack'], 'add'> }): () => Date {
  let date: string | undefined;
  command.middlewareStack.add((next) => async (args) => {
    const result = await next(args);
    date = (result.response as { readonly headers?: Readonly<Record<string, string>> }).headers?.['date'];
    return result;
  }, { step: 'deserialize', priority: 'low', name: 'noteDate' });
  return () => {
    const at = new Date(date ?? '');
    if (Number.isNaN(at.getTime())) throw new Error('S3 answered without its time (header Date)');
    return at;
  };
}

/**
 * Folders right below a prefix, each with its closing slash. The cursor is S3's own: where a folder's name begins another's,
 * servers differ in the order they list them.
 */
export async function listFolders({ s3, bucket }: Bucket, prefix: string, page: { readonly cursor?: string | undefined; readonly limit: number },
  signal?: AbortSignal): Promise<{ readonly folders: readonly string[]; readonly next: string | undefined }> {
  const answer = await s3.send(new ListObjectsV2Command({
    Bucket: bucket, Prefix: prefix, Delimiter: '/', MaxKeys: page.limit, ...(page.cursor === undefined ? {} : { ContinuationToken: page.cursor }),
  }), abortable(signal));
  return { folders: (answer.CommonPrefixes ?? []).flatMap(({ Prefix }) => Prefix ?? []), next: answer.IsTruncated ? answer.NextContinuationToken : undefined };
}

export const abortable = (signal: AbortSignal | undefined): { abortSignal?: AbortSignal } => (signal ? { abortSignal: signal } : {});

/** Destroys a stream nobody wants and waits until its connection is given back. */
export async function discard(stream: Readable): Promise<void> {
  if (stream.closed) return;
  stream.destroy();
  await once(stream, 'close').catch(() => undefined);
}
