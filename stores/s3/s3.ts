import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';

export interface S3Values {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Connections kept open to the server; further requests wait. Default 64. */
  readonly maxSockets?: number;
}

/** A client and the one bucket everything lies in. */
export interface Bucket {
  readonly s3: S3Client;
  readonly bucket: string;
}

const connectTimeoutMs = 5_000;
/** Of a connection on which nothing moves: a part being uploaded or a range being read moves all the time. */
const idleTimeoutMs = 60_000;

/**
 * An S3 client with keep-alive, path-style addresses and four attempts per request; the activity's own retries come on
 * top. Sums of responses are checked where the server has sums for what was read: not for a range.
 */
export function createS3({ endpoint, region, bucket, credentials, maxSockets = 64 }: S3Values): Bucket {
  const agent = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets };
  const s3 = new S3Client({
    endpoint, region, credentials, forcePathStyle: true,
    maxAttempts: 4, retryMode: 'standard',
    requestChecksumCalculation: 'WHEN_SUPPORTED', responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      httpAgent: new HttpAgent(agent), httpsAgent: new HttpsAgent(agent),
      connectionTimeout: connectTimeoutMs, socketTimeout: idleTimeoutMs,
    }),
  });
  leavePayloadUnsigned(s3);
  retryAfterClockSkew(s3);
  return { s3, bucket };
}

/**
 * The signature then covers the CRC-32 of a body, which the server verifies, and not a second sum of every byte: 0.3 ms of CPU
 * for an instance of 512 KB here, and as much on the server. Over HTTPS, S3's own clients do the same for streams.
 */
function leavePayloadUnsigned(s3: S3Client): void {
  s3.middlewareStack.add((next, { commandName }) => (args) => {
    const { headers } = args.request as { readonly headers: Record<string, string> };
    if (commandName === 'UploadPartCommand' || commandName === 'PutObjectCommand') headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
    return next(args);
  }, { step: 'build', name: 'leavePayloadUnsigned' });
}

/**
 * When a clock is set, every request under way is refused as too skewed (403). The client learns the server's time from the
 * first and sends that one again; the others of the same moment would fail. A HEAD's refusal has no name: each 403 is tried again.
 */
function retryAfterClockSkew(s3: S3Client): void {
  s3.middlewareStack.add((next) => async (args) => {
    try {
      return await next(args);
    } catch (error) {
      const { $metadata } = error as { readonly $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean } };
      if ($metadata?.httpStatusCode === 403) $metadata.clockSkewCorrected = true;
      throw error;
    }
  }, { step: 'finalizeRequest', priority: 'low', name: 'retryAfterClockSkew' });
}
