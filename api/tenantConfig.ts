import { z } from 'zod';
import type { Request } from 'express';
import { tagOfKeyword } from '../dicom/tags.ts';
import { isGatewayId, type Destination, type TenantConfig } from '../domain/tenant.ts';
import type { TenantStore, Versioned } from '../stores/ports.ts';
import type { TenantHandler } from './context.ts';
import { isDestinationId } from './history.ts';
import { readJson } from './jsonBody.ts';
import { badRequest, HttpProblem, unknownTenant } from './problems.ts';

const aeTitle = z.string().regex(/^(?! )[\x20-\x5b\x5d-\x7e]{1,16}(?<! )$/, 'takes an AE title: 1 to 16 printable ASCII characters without backslash');
const name = z.string().refine(isDestinationId, 'takes letters, digits, hyphens, dots and underscores, 64 at most');
const gatewayId = z.string().refine(isGatewayId, 'takes lower-case letters, digits and hyphens, 40 at most');
const patterns = z.union([z.string().max(256), z.array(z.string().max(256)).max(100)]);
const httpUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'takes an http or https URL');

const destination = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('dicom'), destinationId: name, gatewayId, host: z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'takes a host name or address'),
    port: z.int().min(1).max(65_535), calledAETitle: aeTitle, callingAETitle: aeTitle.optional(),
  }),
  z.strictObject({ kind: z.literal('dicomweb'), destinationId: name, url: httpUrl, authorization: z.string().max(8192).regex(/^[\x20-\x7e]*$/, 'takes printable ASCII').optional() }),
]);

const tenantConfig = z.strictObject({
  tenantId: z.string(),
  gateways: z.array(z.strictObject({ gatewayId, aeTitle })).max(1000),
  destinations: z.array(destination).max(1000),
  rules: z.array(z.strictObject({
    ruleId: name, destinationId: name, enabled: z.boolean().optional(),
    priority: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)], 'takes 1 (urgent) to 5 (bulk)').optional(),
    callingAETitles: z.array(z.string().min(1).max(256)).max(1000).optional(), gatewayIds: z.array(gatewayId).max(1000).optional(),
    attributes: z.record(z.string().refine((keyword) => tagOfKeyword(keyword) !== undefined, 'is no keyword of PS3.6'), patterns).optional(),
  })).max(1000),
}).superRefine((config, context) => {
  const wrong = (path: readonly (string | number)[], message: string): void => context.addIssue({ code: 'custom', path: [...path], message });
  for (const [list, key] of [['gateways', 'gatewayId'], ['destinations', 'destinationId'], ['rules', 'ruleId']] as const) {
    const ids = config[list].map((each) => (each as Readonly<Record<string, unknown>>)[key]);
    ids.forEach((id, at) => ids.indexOf(id) < at && wrong([list, at, key], 'is there twice'));
  }
  const destinations = new Set(config.destinations.map((each) => each.destinationId));
  const gateways = new Set(config.gateways.map((each) => each.gatewayId));
  config.rules.forEach((rule, at) => destinations.has(rule.destinationId) || wrong(['rules', at, 'destinationId'], 'names no destination of this configuration'));
  config.destinations.forEach((each, at) => each.kind === 'dicomweb' || gateways.has(each.gatewayId) || wrong(['destinations', at, 'gatewayId'], 'names no gateway of this configuration'));
});

/** Stands for a secret in answers; sent back, it means the secret that is stored. */
const hiddenSecret = '***';

export interface TenantConfigDeps {
  readonly tenants: TenantStore;
}

export const createReadConfig = ({ tenants }: TenantConfigDeps): TenantHandler =>
  async function readConfig({ tenantId }, _request, response) {
    const stored = await tenants.get(tenantId);
    if (!stored) throw unknownTenant();
    if (stored.etag !== undefined) response.setHeader('ETag', quoted(stored.etag));
    response.json({ ...stored.value, destinations: stored.value.destinations.map(withoutSecret) });
  };

/** Replaces gateways, destinations and rules as a whole; a change made meanwhile by somebody else is never lost. */
export const createWriteConfig = ({ tenants }: TenantConfigDeps): TenantHandler =>
  async function writeConfig({ tenantId }, request, response) {
    const stored = await tenants.get(tenantId);
    checkPreconditions(request, stored);
    const config = await readJson(request, tenantConfig) as TenantConfig;
    if (config.tenantId !== tenantId) throw badRequest('tenantId names another tenant than the URL.', { errors: [{ field: 'tenantId', problem: 'is not the tenant of the URL' }] });
    await tenants.put({ ...config, destinations: config.destinations.map((each) => withStoredSecret(each, stored?.value)) }, stored?.etag);
    const now = await tenants.get(tenantId);
    if (now?.etag !== undefined) response.setHeader('ETag', quoted(now.etag));
    response.status(stored ? 204 : 201).end();
  };

function checkPreconditions(request: Request, stored: Versioned<TenantConfig> | undefined): void {
  const ifMatch = request.get('If-Match');
  if (request.get('If-None-Match') === '*') {
    if (stored) throw new HttpProblem(412, 'This tenant has a configuration already. Read it and send the new one with If-Match.');
  } else if (ifMatch === undefined) {
    throw new HttpProblem(428, 'Send the ETag of the configuration you changed in If-Match, so that nobody\'s change is lost; If-None-Match: * for the first one.');
  } else if (!stored || (ifMatch !== '*' && quoted(ifMatch) !== quoted(stored.etag ?? ''))) {
    throw new HttpProblem(412, 'Somebody else changed the configuration since you read it. Read it again and make your change on that.');
  }
}

const quoted = (etag: string): string => /^".*"$/.test(etag) ? etag : `"${etag}"`;

const withoutSecret = (each: Destination): Destination =>
  each.kind === 'dicomweb' && each.authorization !== undefined ? { ...each, authorization: hiddenSecret } : each;

function withStoredSecret(each: Destination, stored: TenantConfig | undefined): Destination {
  if (each.kind !== 'dicomweb' || each.authorization !== hiddenSecret) return each;
  const before = stored?.destinations.find(({ destinationId }) => destinationId === each.destinationId);
  // A secret goes to the place it was given for, and to no other.
  if (before?.kind !== 'dicomweb' || before.authorization === undefined || new URL(before.url).origin !== new URL(each.url).origin) {
    throw badRequest('A destination with authorization *** has no stored secret for this address. Send the secret itself.', { errors: [{ field: 'destinations.authorization', problem: 'has no stored secret' }] });
  }
  return { ...each, authorization: before.authorization };
}
