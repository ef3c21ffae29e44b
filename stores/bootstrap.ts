import { readFile } from 'node:fs/promises';
import { indexNames } from '../domain/keys.ts';
import type { TenantConfig } from '../domain/tenant.ts';
import { createOpenSearch, type OpenSearchClient } from './opensearch/openSearch.ts';
import { VersionConflict, type TenantStore } from './ports.ts';
import { createS3 } from './s3/s3.ts';
import { createTenantStore } from './s3/tenantStore.ts';

type Environment = Readonly<Record<string, string | undefined>>;

interface BootstrapValues {
  readonly s3: Parameters<typeof createS3>[0];
  readonly openSearchUrl: string;
  readonly tenants: readonly string[];
  readonly gatewayId: string;
  readonly aeTitle: string;
}

/**
 * Makes what the stores need before they are used: the four indices, and for each tenant of PACS_TENANTS a configuration
 * with its one gateway. What is there already stays as it is. Idempotent; several processes may do it at once.
 *
 * @throws listing the settings that are missing
 */
export async function bootstrapStores(env: Environment): Promise<void> {
  const values = valuesOf(env);
  const client = createOpenSearch({ url: values.openSearchUrl });
  const bucket = createS3(values.s3);
  try {
    await ensureIndexes(client);
    const tenants = createTenantStore(bucket);
    for (const tenantId of values.tenants) await ensureTenant(tenants, defaultConfig(tenantId, values));
  } finally {
    bucket.s3.destroy();
    await client.close();
  }
}

/** Creates each index that is not there, as infra/opensearch/<name>.json says. Idempotent. */
export async function ensureIndexes(client: OpenSearchClient): Promise<void> {
  await Promise.all(Object.entries(indexNames).map(async ([name, index]) => {
    if ((await client.indices.exists({ index })).body) return;
    const definition = await readFile(new URL(`../infra/opensearch/${name}.json`, import.meta.url), 'utf8');
    try {
      await client.indices.create({ index, body: JSON.parse(definition) as never });
    } catch (error) {
      if (!isAlreadyThere(error)) throw error;
    }
  }));
}

/** Another process was faster. */
const isAlreadyThere = (error: unknown): boolean =>
  (error as { readonly body?: { readonly error?: { readonly type?: string } } }).body?.error?.type === 'resource_already_exists_exception';

async function ensureTenant(tenants: TenantStore, config: TenantConfig): Promise<void> {
  if (await tenants.get(config.tenantId)) return;
  try {
    await tenants.put(config, undefined);
  } catch (error) {
    if (!(error instanceof VersionConflict)) throw error;
  }
}

const defaultConfig = (tenantId: string, { gatewayId, aeTitle }: BootstrapValues): TenantConfig =>
  ({ tenantId, gateways: [{ gatewayId, aeTitle }], destinations: [], rules: [] });

function valuesOf(env: Environment): BootstrapValues {
  const missing: string[] = [];
  const required = (name: string): string => {
    const value = env[name];
    if (!value) missing.push(name);
    return value ?? '';
  };
  const values = {
    s3: {
      endpoint: required('S3_ENDPOINT'), bucket: required('PACS_S3_BUCKET'), region: env['PACS_S3_REGION'] || 'us-east-1',
      credentials: { accessKeyId: required('AWS_ACCESS_KEY_ID'), secretAccessKey: required('AWS_SECRET_ACCESS_KEY') },
    },
    openSearchUrl: required('OPENSEARCH_URL'),
    tenants: (env['PACS_TENANTS'] || 'demo').split(',').map((tenantId) => tenantId.trim()).filter((tenantId) => tenantId !== ''),
    gatewayId: env['PACS_GATEWAY_ID'] || 'gw1',
    aeTitle: env['PACS_AE_TITLE'] || 'PACS',
  };
  if (missing.length > 0) throw new Error(`The stores need these settings, which are missing: ${missing.join(', ')}.`);
  return values;
}
