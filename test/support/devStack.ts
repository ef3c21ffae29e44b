import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { readConfig } from '../../infra/config.ts';
import { startStack } from '../../infra/native/stack.ts';
import { createOpenSearch } from '../../stores/opensearch/openSearch.ts';
import { ensureIndexes } from '../../stores/bootstrap.ts';
import { createS3 } from '../../stores/s3/s3.ts';
import { s3ValuesOf } from './storeValues.ts';

export type DevPart = 'temporal' | 's3' | 'opensearch';
export interface DevStack {
  /** As our own processes get it: addresses, keys, bucket. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/**
 * Real servers for tests: on free ports, with data in a temporary folder, the bucket and the indices made. A server that
 * TEMPORAL_ADDRESS, S3_ENDPOINT or OPENSEARCH_URL names is used as it is.
 */
export async function devStack(parts: readonly DevPart[]): Promise<DevStack> {
  const home = await mkdtemp(path.join(tmpdir(), 'pacs-test-'));
  const { external } = readConfig(process.env);
  const stack = await startStack({ home, ports: 'free', parts, external });
  const stop = async (): Promise<void> => {
    await stack.stop();
    await rm(home, { recursive: true, force: true });
  };
  try {
    if (parts.includes('s3')) await ensureBucket(stack.env);
    if (parts.includes('opensearch')) await prepareIndexes(stack.env);
    return { env: stack.env, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ensureBucket(env: DevStack['env']): Promise<void> {
  const { s3, bucket } = createS3(s3ValuesOf(env));
  try {
    await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (!['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'].includes((error as Error).name)) throw error;
  } finally {
    s3.destroy();
  }
}

async function prepareIndexes(env: DevStack['env']): Promise<void> {
  const client = createOpenSearch({ url: env['OPENSEARCH_URL'] ?? '' });
  try {
    await ensureIndexes(client);
  } finally {
    await client.close();
  }
}
