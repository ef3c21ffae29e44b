import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { createS3, type S3Values } from '../stores/s3/s3.ts';

export const s3Put = 'S3 put, multipart, four objects at once';
export const s3Get = 'S3 get, four objects at once';

const partBytes = 16 * 1024 * 1024;
/** As large as a pack. */
const objectBytes = 4 * partBytes;
const atOnce = 4;

/** The S3 server with the same bytes and nothing else: objects of 64 MiB in parts of 16 MiB, four at once. */
export class S3Ceiling {
  readonly #bucket;
  readonly #objects: readonly { readonly key: string; readonly parts: readonly Buffer[] }[];

  constructor(values: S3Values, instances: readonly (readonly Buffer[])[]) {
    this.#bucket = createS3(values);
    const bytes = Buffer.concat(instances.flat());
    this.#objects = cut(bytes, objectBytes).map((object, number) => ({ key: `bench/ceiling/${number}`, parts: cut(object, partBytes) }));
  }

  put(): Promise<void> {
    const { s3, bucket } = this.#bucket;
    return this.#each(async ({ key, parts }) => {
      const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key, ChecksumAlgorithm: 'CRC32' }));
      const Parts = await Promise.all(parts.map(async (Body, index) => {
        const { ETag, ChecksumCRC32 } = await s3.send(new UploadPartCommand({ Bucket: bucket, Key: key, UploadId, PartNumber: index + 1, Body, ChecksumAlgorithm: 'CRC32' }));
        return { ETag, ChecksumCRC32, PartNumber: index + 1 };
      }));
      await s3.send(new CompleteMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId, MultipartUpload: { Parts } }));
    });
  }

  get(): Promise<void> {
    const { s3, bucket } = this.#bucket;
    return this.#each(async ({ key }) => {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      for await (const _ of Body as AsyncIterable<Buffer>);
    });
  }

  async close(): Promise<void> {
    const { s3, bucket } = this.#bucket;
    await this.#each(async ({ key }) => void await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })));
    s3.destroy();
  }

  async #each(work: (object: { readonly key: string; readonly parts: readonly Buffer[] }) => Promise<void>): Promise<void> {
    const queue = [...this.#objects];
    await Promise.all(Array.from({ length: atOnce }, async () => {
      for (let object = queue.shift(); object; object = queue.shift()) await work(object);
    }));
  }
}

const cut = (bytes: Buffer, length: number): readonly Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / length) }, (_, number) => bytes.subarray(number * length, (number + 1) * length));
