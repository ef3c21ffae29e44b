import { createOpenSearch, type OpenSearchClient } from '../../stores/opensearch/openSearch.ts';
import { createS3, type Bucket } from '../../stores/s3/s3.ts';
import { devStack, type DevStack } from './devStack.ts';
import { s3ValuesOf } from './storeValues.ts';

export interface SharedStores {
  readonly env: DevStack['env'];
  readonly bucket: Bucket;
  readonly client: OpenSearchClient;
}

let started: Promise<SharedStores & { readonly stop: () => Promise<void> }> | undefined;

/** S3 and OpenSearch for every test of this run that asks: started with the first, stopped after the last. Call it in `before`. */
export async function sharedStores(context: Mocha.Context): Promise<SharedStores> {
  context.timeout(300_000);
  started ??= start();
  return started;
}

async function start() {
  const { env, stop } = await devStack(['s3', 'opensearch']);
  const bucket = createS3(s3ValuesOf(env));
  const client = createOpenSearch({ url: env['OPENSEARCH_URL'] ?? '' });
  return {
    env, bucket, client,
    stop: async () => {
      bucket.s3.destroy();
      await client.close();
      await stop();
    },
  };
}

after('stops the shared servers', async function stopShared() {
  this.timeout(60_000);
  await (await started?.catch(() => undefined))?.stop();
});
