import { z } from 'zod';
import { tenantConfigKey } from '../../domain/keys.ts';
import { isGatewayId, isTenantId, type TenantConfig } from '../../domain/tenant.ts';
import { inContext, StoreError } from '../errors.ts';
import { VersionConflict, type TenantStore, type Versioned } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { readObject, writeObject } from './s3Objects.ts';

const aeTitle = z.string().min(1).max(16).regex(/^[\x20-\x5b\x5d-\x7e]+$/, 'has characters an AE title may not have (PS3.5 6.2)')
  .refine((title) => title.trim() !== '', 'is blank');
const gatewayId = z.string().refine(isGatewayId, 'is not a DNS label of at most 40 characters');
/** A part of object keys and workflow IDs. */
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'has to be 1 to 64 letters, digits, dots, hyphens or underscores');

const policy = { maxAssociations: z.int().min(1).max(64).optional() };

/** A file in one folder: no path leads out of it. */
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'has to be the name of a file, without a folder');
const tls = z.strictObject({ caFile: fileName.optional(), certFile: fileName.optional(), keyFile: fileName.optional(), serverName: z.string().min(1).max(253).optional() })
  .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), 'needs certFile and keyFile together');

const destination = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('dicom'), destinationId: name, gatewayId, host: z.string().min(1), port: z.int().min(1).max(65535),
    calledAETitle: aeTitle, callingAETitle: aeTitle.optional(), tls: tls.optional(),
    confirmation: z.enum(['status', 'readBack', 'commitment']).optional(), ...policy,
  }),
  z.strictObject({
    kind: z.literal('dicomweb'), destinationId: name, authorization: z.string().optional(), confirmation: z.enum(['status', 'readBack']).optional(), ...policy,
    url: z.url({ protocol: /^https?$/, error: 'is not an http or https address' }),
  }),
]);

const rule = z.strictObject({
  ruleId: name, destinationId: name, enabled: z.boolean().optional(),
  priority: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)]).optional(),
  callingAETitles: z.array(z.string()).optional(), gatewayIds: z.array(z.string()).optional(),
  attributes: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
});

const tenantConfig = z.strictObject({
  tenantId: z.string().refine(isTenantId, 'is not a DNS label of at most 40 characters'),
  gateways: z.array(z.strictObject({ gatewayId, aeTitle })),
  destinations: z.array(destination),
  rules: z.array(rule),
}).superRefine(({ gateways, destinations, rules }, context) => {
  const report = (message: string): void => context.addIssue({ code: 'custom', message });
  const repeated = (values: readonly string[]): readonly string[] => values.filter((value, index) => values.indexOf(value) !== index);
  for (const id of repeated(gateways.map((gateway) => gateway.gatewayId))) report(`gateway ${id} is there twice`);
  for (const id of repeated(destinations.map(({ destinationId }) => destinationId))) report(`destination ${id} is there twice`);
  for (const id of repeated(rules.map(({ ruleId }) => ruleId))) report(`rule ${id} is there twice`);
  for (const { ruleId, destinationId } of rules) {
    if (!destinations.some((one) => one.destinationId === destinationId)) report(`rule ${ruleId} names destination ${destinationId}, which is not there`);
  }
});

/** A tenant's configuration that cannot be: the message has one sentence per fault, with the place. */
export class InvalidTenantConfig extends Error {
  override readonly name = 'InvalidTenantConfig';
}

/** @throws InvalidTenantConfig listing everything that is wrong */
export function parseTenantConfig(value: unknown): TenantConfig {
  const parsed = tenantConfig.safeParse(value);
  if (parsed.success) return parsed.data as TenantConfig;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'The configuration'}: ${message}`);
  throw new InvalidTenantConfig(`The tenant's configuration is not valid. ${faults.join('; ')}.`);
}

export interface TenantStoreValues extends Bucket {
  /** How long a read may be answered from memory, in milliseconds. Default 2000. */
  readonly cacheMs?: number;
}

interface CacheEntry { readonly until: number; readonly found: Promise<Versioned<TenantConfig> | undefined> }
const maxCached = 1_000;

/**
 * Tenants' configurations, one JSON object each. A change counts only over the version it was made from (If-Match, which
 * SeaweedFS 4.48 honours: 412 when the ETag is another's or the object is gone). Another process sees it after `cacheMs`.
 */
export function createTenantStore({ cacheMs = 2_000, ...bucket }: TenantStoreValues): TenantStore {
  const cache = new Map<string, CacheEntry>();
  return {
    get(tenantId) {
      const cached = cache.get(tenantId);
      if (cached && cached.until > Date.now()) return cached.found;
      const found = read(bucket, tenantId);
      if (cache.size >= maxCached) cache.clear();
      cache.set(tenantId, { until: Date.now() + cacheMs, found });
      found.catch(() => cache.delete(tenantId));
      return found;
    },
    async put(config, etag) {
      const valid = parseTenantConfig(config);
      const { tenantId } = valid;
      const key = tenantConfigKey(tenantId);
      const written = await inContext('Writing a tenant\'s configuration', { tenantId, key }, () =>
        writeObject(bucket, key, Buffer.from(`${JSON.stringify(valid, null, 2)}\n`), etag === undefined ? 'new' : { etag }, { contentType: 'application/json' }));
      cache.delete(tenantId);
      if (written === undefined) throw new VersionConflict(`The configuration of tenant ${tenantId} was changed since it was read`);
    },
  };
}

/** A tenant that cannot exist does not: its name never becomes part of a key. */
async function read(bucket: Bucket, tenantId: string): Promise<Versioned<TenantConfig> | undefined> {
  if (!isTenantId(tenantId)) return undefined;
  const at = { tenantId, key: tenantConfigKey(tenantId) };
  return inContext('Reading a tenant\'s configuration', at, async () => {
    const object = await readObject(bucket, at.key);
    if (!object) return undefined;
    const value = parseTenantConfig(JSON.parse(object.body.toString('utf8')));
    if (value.tenantId !== tenantId) throw new StoreError(`The configuration is that of tenant ${value.tenantId}`, at);
    return { value, etag: object.etag };
  });
}
