import { z } from 'zod';
import type { Request } from 'express';
import { tagOfKeyword } from '../dicom/tags.ts';
import type { Destination, TenantConfig } from '../domain/tenant.ts';
import type { TenantStore, Versioned } from '../stores/ports.ts';
import { InvalidTenantConfig, parseTenantConfig } from '../stores/s3/tenantStore.ts';
import type { TenantHandler } from './context.ts';
import { readJson } from './jsonBody.ts';
import { badRequest, HttpProblem, unknownTenant } from './problems.ts';

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
    const config = validConfig(await readJson(request, z.unknown()), tenantId);
    await tenants.put({ ...config, destinations: config.destinations.map((each) => withStoredSecret(each, stored?.value)) }, stored?.etag);
    const now = await tenants.get(tenantId);
    if (now?.etag !== undefined) response.setHeader('ETag', quoted(now.etag));
    response.status(stored ? 204 : 201).end();
  };

/** @throws HttpProblem 400 that names each field that is wrong */
function validConfig(body: unknown, tenantId: string): TenantConfig {
  let config: TenantConfig;
  try {
    config = parseTenantConfig(body);
  } catch (error) {
    throw error instanceof InvalidTenantConfig ? badRequest(error.message) : error;
  }
  const gateways = new Set(config.gateways.map(({ gatewayId }) => gatewayId));
  const faults = [
    ...(config.tenantId === tenantId ? [] : ['tenantId: is not the tenant of the URL']),
    ...config.destinations.flatMap((each, at) => each.kind === 'dicomweb' || gateways.has(each.gatewayId) ? [] : [`destinations.${at}.gatewayId: names no gateway of this configuration`]),
    ...config.rules.flatMap(({ attributes = {} }, at) => Object.keys(attributes).flatMap((keyword) => tagOfKeyword(keyword) ? [] : [`rules.${at}.attributes: has a name that is no keyword of PS3.6`])),
  ];
  if (faults.length) throw badRequest(`The tenant's configuration is not valid. ${faults.join('; ')}.`);
  return config;
}

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
