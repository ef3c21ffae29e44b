import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, ListPartsCommand, UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { concurrently } from '../concurrently.ts';
import { ContentMismatch, statusOf, type StoreContext } from '../errors.ts';
import { PartBuffers } from './partBuffers.ts';
import type { PackFile, PutPackOptions } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { abortable, isConditionFailed, objectLength } from './s3Objects.ts';

export const MiB = 1024 * 1024;
export const partBytes = 16 * MiB;
/** Of S3: an upload has 10,000 parts at most, so parts grow beyond 156 GiB. */
const maxParts = 10_000;
const partsInFlight = 3;
/** Of the process: together 128 MiB, however many packs are on their way. Parts that had to grow bring their own memory. */
export const partBuffers = new PartBuffers(partBytes, 8);

/** A file on its way to a key. Memory: three parts, whatever the file's length. */
export interface Upload extends StoreContext {
  readonly bucket: Bucket;
  readonly file: PackFile;
  readonly options: PutPackOptions;
  /**
   * Set when the file is to take the place of what lies at the key: the CRC-32 that each part had when the file was compared with its
   * index (base64). S3 refuses a part that has another by now.
   */
  readonly provenSums?: readonly string[];
}

interface Part { readonly number: number; readonly offsetBytes: number; readonly lengthBytes: number }

/**
 * Uploads a file in parts and completes it only when nothing lies at the key, or, with `provenSums`, in the place of what lies there:
 * until then that stays as it is. Resumable: what ListParts names of
 * `options.resume` is not sent again, and when that upload is gone (completed or aborted) a new one starts.
 *
 * SeaweedFS 4.48: a part whose CRC-32 does not fit is refused (400 BadDigest) and not kept; CompleteMultipartUpload with
 * If-None-Match: * answers 412 when an object is there, also to a repeated complete of the same upload, but two completes at
 * the same moment may both succeed: harmless, since equal keys mean equal bytes. An unknown upload is 404 NoSuchUpload.
 * ListParts has ETag and size but no checksums, and a complete must name those of all parts: they are
 * computed again from the file, which also proves that a resumed upload is of this very file.
 *
 * An upload that fails for good is aborted. One that was interrupted (cancelled, server away) stays for the next attempt;
 * a sweep removes it when none comes (activities/sweep/abortUploads.ts).
 *
 * @returns whether the object was there already
 */
export async function uploadInParts(upload: Upload): Promise<{ readonly existed: boolean }> {
  const { uploadId, done } = await openUpload(upload);
  try {
    const parts = await uploadMissing(upload, uploadId, done);
    return await complete(upload, uploadId, parts);
  } catch (error) {
    if (isPermanent(error)) await abort(upload, uploadId);
    throw error;
  }
}

async function openUpload(upload: Upload): Promise<{ readonly uploadId: string; readonly done: ReadonlyMap<number, CompletedPart> }> {
  const { resume, signal } = upload.options;
  const done = resume && await listParts(upload, resume.uploadId);
  if (resume && done) return { uploadId: resume.uploadId, done };
  const { s3, bucket } = upload.bucket;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({
    Bucket: bucket, Key: upload.key, ContentType: 'application/x-tar', ChecksumAlgorithm: 'CRC32',
  }), abortable(signal));
  if (!UploadId) throw new Error('S3 opened an upload without an ID');
  upload.options.onProgress?.({ uploadId: UploadId, partsDone: 0 });
  return { uploadId: UploadId, done: new Map() };
}

/** @returns the parts that are there in full; undefined when the upload is gone */
async function listParts(upload: Upload, uploadId: string): Promise<ReadonlyMap<number, CompletedPart> | undefined> {
  const expected = new Map(partsOf(upload.file.lengthBytes).map((part) => [part.number, part.lengthBytes]));
  const done = new Map<number, CompletedPart>();
  let marker: string | undefined;
  try {
    do {
      const page = await upload.bucket.s3.send(new ListPartsCommand({
        Bucket: upload.bucket.bucket, Key: upload.key, UploadId: uploadId, ...(marker ? { PartNumberMarker: marker } : {}),
      }), abortable(upload.options.signal));
      for (const { PartNumber, Size, ETag, ChecksumCRC32 } of page.Parts ?? []) {
        if (PartNumber && ETag && expected.get(PartNumber) === Size) done.set(PartNumber, completedPart(PartNumber, ETag, ChecksumCRC32));
      }
      marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
    } while (marker);
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
  return done;
}

async function uploadMissing(upload: Upload, uploadId: string, already: ReadonlyMap<number, CompletedPart>): Promise<readonly CompletedPart[]> {
  const parts = partsOf(upload.file.lengthBytes);
  const done = new Map(already);
  const missing = parts.filter(({ number }) => !done.has(number));
  await concurrently(missing, partsInFlight, async (part) => {
    done.set(part.number, await uploadPart(upload, uploadId, part));
    upload.options.onProgress?.({ uploadId, partsDone: countFromFirst(done) });
  });
  const completed: CompletedPart[] = [];
  for (const part of parts) completed.push(await withChecksum(upload, part, done.get(part.number)!));
  return completed;
}

async function withChecksum(upload: Upload, { number, offsetBytes, lengthBytes }: Part, done: CompletedPart): Promise<CompletedPart> {
  const proven = upload.provenSums?.[number - 1];
  if (proven !== undefined) return { ...done, ChecksumCRC32: proven };
  if (done.ChecksumCRC32) return done;
  const checksum = Buffer.alloc(4);
  await partBuffers.lend(async (space) => checksum.writeUInt32BE(crc32(await readFully(upload, offsetBytes, lengthBytes, space))));
  return { ...done, ChecksumCRC32: checksum.toString('base64') };
}

const uploadPart = (upload: Upload, uploadId: string, { number, offsetBytes, lengthBytes }: Part): Promise<CompletedPart> =>
  partBuffers.lend(async (space) => {
    const { s3, bucket } = upload.bucket;
    upload.options.signal?.throwIfAborted();
    const body = await readFully(upload, offsetBytes, lengthBytes, space);
    const { ETag, ChecksumCRC32 } = await s3.send(new UploadPartCommand({
      Bucket: bucket, Key: upload.key, UploadId: uploadId, PartNumber: number, Body: body, ...checksumOf(upload, number),
    }), abortable(upload.options.signal));
    if (!ETag) throw new Error(`S3 took part ${number} without an ETag`);
    return completedPart(number, ETag, ChecksumCRC32);
  });

/** Of the bytes that are sent, or the proven one, which they then must have. */
export const checksumOf = ({ provenSums }: Upload, number: number): { readonly ChecksumAlgorithm: 'CRC32' } | { readonly ChecksumCRC32: string } =>
  (provenSums === undefined ? { ChecksumAlgorithm: 'CRC32' } : { ChecksumCRC32: provenSums[number - 1]! });

async function complete(upload: Upload, uploadId: string, parts: readonly CompletedPart[]): Promise<{ readonly existed: boolean }> {
  const { s3, bucket } = upload.bucket;
  try {
    await s3.send(new CompleteMultipartUploadCommand({
      Bucket: bucket, Key: upload.key, UploadId: uploadId, ...(upload.provenSums ? {} : { IfNoneMatch: '*' }), MultipartUpload: { Parts: [...parts] },
    }), abortable(upload.options.signal));
    return { existed: false };
  } catch (error) {
    // What lies there is no proof that this upload was completed: the next attempt starts anew.
    if (upload.provenSums || (!isConditionFailed(error) && statusOf(error) !== 404)) throw error;
    const existed = await sameLengthExists(upload);
    if (!existed) throw error;
    await abort(upload, uploadId);
    return { existed: true };
  }
}

/**
 * Whether the object is there with the file's length: the key follows from the content, so that is the same content.
 *
 * @throws ContentMismatch when it has another length
 */
export async function sameLengthExists({ bucket, key, tenantId, file, options }: Upload): Promise<boolean> {
  const lengthBytes = await objectLength(bucket, key, options.signal);
  if (lengthBytes === undefined) return false;
  if (lengthBytes === file.lengthBytes) return true;
  throw new ContentMismatch(`The archive has ${lengthBytes} bytes where ${file.lengthBytes} were to be written`, { tenantId, key });
}

/** @throws ContentMismatch when the file is shorter than it was said to be */
export async function readFully({ file, tenantId, key }: Upload, offsetBytes: number, lengthBytes: number, space?: Buffer): Promise<Buffer> {
  const body = await file.read(offsetBytes, lengthBytes, space);
  if (body.length === lengthBytes) return body;
  throw new ContentMismatch(`The file ends at byte ${offsetBytes + body.length} of ${file.lengthBytes}`, { tenantId, key });
}

/** The upload may be gone already, and one that stays is a sweep's: a failure here hides no other. */
async function abort({ bucket, key }: Upload, uploadId: string): Promise<void> {
  await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket: bucket.bucket, Key: key, UploadId: uploadId })).catch(() => undefined);
}

/** Client errors but for time-outs, throttling and a part damaged on its way (BadDigest). */
function isPermanent(error: unknown): boolean {
  if (error instanceof ContentMismatch) return true;
  const status = statusOf(error);
  return status !== undefined && status >= 400 && status < 500 && ![404, 408, 409, 412, 429].includes(status) && (error as Error).name !== 'BadDigest';
}

export function partsOf(lengthBytes: number): readonly Part[] {
  const size = Math.max(partBytes, Math.ceil(lengthBytes / maxParts / MiB) * MiB);
  return Array.from({ length: Math.ceil(lengthBytes / size) }, (_, index) => ({
    number: index + 1, offsetBytes: index * size, lengthBytes: Math.min(size, lengthBytes - index * size),
  }));
}

function countFromFirst(done: ReadonlyMap<number, unknown>): number {
  let count = 0;
  while (done.has(count + 1)) count++;
  return count;
}

const completedPart = (PartNumber: number, ETag: string, ChecksumCRC32: string | undefined): CompletedPart =>
  ({ PartNumber, ETag, ...(ChecksumCRC32 ? { ChecksumCRC32 } : {}) });
