import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { createS3 } from '../../../stores/s3/s3.ts';

const hour = 3_600_000;

/** `20260101T000000Z` → ms since the epoch */
const signedAt = (text: string): number => Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));

describe('the S3 client', () => {
  it('gets every request of one moment through when a clock was set', async () => {
    let aheadMs = hour;
    const server = createServer((request, response) => {
      const now = Date.now() + aheadMs;
      response.setHeader('Date', new Date(now).toUTCString());
      const skewed = Math.abs(signedAt(String(request.headers['x-amz-date'])) - now) > 15 * 60_000;
      response.writeHead(skewed ? 403 : 200, { 'content-type': skewed ? 'application/xml' : 'application/octet-stream' });
      response.end(request.method === 'HEAD' ? undefined : skewed ? '<Error><Code>RequestTimeTooSkewed</Code></Error>' : 'bytes');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { s3, bucket } = createS3({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, region: 'us-east-1', bucket: 'b',
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
    const get = async (): Promise<string | undefined> => (await s3.send(new GetObjectCommand({ Bucket: bucket, Key: 'k' }))).Body?.transformToString();
    const head = async (): Promise<number | undefined> => (await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: 'k' }))).$metadata.httpStatusCode;

    const first = await Promise.all([get(), get(), get()]);
    aheadMs = 0;
    const second = await Promise.all([get(), get(), head(), head(), get()]);
    s3.destroy();
    server.close();

    assert.deepEqual(first, ['bytes', 'bytes', 'bytes']);
    assert.deepEqual(second, ['bytes', 'bytes', 200, 200, 'bytes']);
  });
});
