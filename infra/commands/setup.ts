import type { InfraConfig } from '../config.ts';
import { bootstrap } from '../native/bootstrap.ts';
import { ensureTestPeers } from '../native/peers.ts';
import { printProgress } from './show.ts';

/** `bootstrap`: prepares servers that others started, as the containers of infra/compose.yaml. Addresses come from the environment. */
export async function bootstrapServers(_config: InfraConfig): Promise<number> {
  await bootstrap({
    PACS_S3_BUCKET: 'pacs', PACS_S3_REGION: 'us-east-1',
    ...Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  });
  console.log('Bucket, namespace and indices are there.');
  return 0;
}

/** `peers`: installs what the tests use as the other side of a conversation. */
export async function peers(_config: InfraConfig): Promise<number> {
  for (const [name, file] of Object.entries(await ensureTestPeers(printProgress))) console.log(`  ${name.padEnd(10)} ${file}`);
  return 0;
}
