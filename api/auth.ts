import { jwtVerify } from 'jose';
import { isTenantId } from '../domain/tenant.ts';
import { HttpProblem, unknownTenant } from './problems.ts';

/** `gateway`: a hospital's gateway that answers queries and retrievals of its network. */
export const roles = ['viewer', 'integrator', 'admin', 'auditor', 'gateway'] as const;
export type Role = (typeof roles)[number];

/** What a resource needs. */
export type Right =
  | 'search' | 'retrieve' | 'store' | 'requestRoute' | 'readFlows' | 'steerFlows'
  | 'readHistory' | 'readDeliveries' | 'readConflicts' | 'decideConflicts' | 'configure';

const allRights: readonly Right[] = ['search', 'retrieve', 'store', 'requestRoute', 'readFlows', 'steerFlows', 'readHistory', 'readDeliveries', 'readConflicts', 'decideConflicts', 'configure'];

/** Role → rights. A token with several roles has the rights of each. */
export const rightsOf: Readonly<Record<Role, readonly Right[]>> = {
  viewer: ['search', 'retrieve'],
  gateway: ['search', 'retrieve'],
  integrator: ['search', 'retrieve', 'store', 'requestRoute', 'readFlows', 'readDeliveries', 'readConflicts'],
  auditor: ['readHistory', 'readFlows', 'readDeliveries', 'readConflicts'],
  admin: allRights,
};

/** Who asks, as the token says. */
export interface Caller {
  readonly subject: string;
  readonly tenants: readonly string[];
  readonly roles: readonly Role[];
}

export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

const challenge = (error?: string): { readonly 'WWW-Authenticate': string } =>
  ({ 'WWW-Authenticate': error ? `Bearer realm="pacs", error="${error}"` : 'Bearer realm="pacs"' });
const maxTokenLength = 16 * 1024;

/** Verifies Bearer tokens (RFC 6750): JWT, HS256, issuer `pacs`, audience `pacs-api`. @throws HttpProblem 401 */
export const createAuthenticate = (key: Uint8Array): Authenticate =>
  async function authenticate(authorization) {
    const token = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(authorization ?? '')?.[1];
    if (!token || token.length > maxTokenLength) {
      throw new HttpProblem(401, 'This resource needs an access token. Send it as "Authorization: Bearer <token>".', { headers: challenge() });
    }
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['HS256'], issuer: 'pacs', audience: 'pacs-api', requiredClaims: ['sub', 'exp'], clockTolerance: 30,
      });
      return { subject: String(payload.sub), tenants: texts(payload['tenants']), roles: texts(payload['roles']).filter(isRole) };
    } catch (error) {
      throw new HttpProblem(401, `${reasonOf(error)} Ask for a new one.`, { headers: challenge('invalid_token'), cause: error });
    }
  };

const isRole = (text: string): text is Role => (roles as readonly string[]).includes(text);
const texts = (claim: unknown): readonly string[] => Array.isArray(claim) ? claim.filter((item) => typeof item === 'string') : [];

const reasonOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && error.code === 'ERR_JWT_EXPIRED' ? 'The access token has expired.'
    : 'The access token is not one that this PACS accepts.';

/** @throws HttpProblem 404, for another's tenant as for one that nobody has */
export function requireTenant(caller: Caller, tenantId: string): string {
  if (!isTenantId(tenantId) || !caller.tenants.includes(tenantId)) throw unknownTenant();
  return tenantId;
}

/** @throws HttpProblem 403 */
export function requireRight(caller: Caller, right: Right): void {
  if (caller.roles.some((role) => rightsOf[role].includes(right))) return;
  const having = roles.filter((role) => rightsOf[role].includes(right));
  throw new HttpProblem(403, `This needs a token with the role ${having.join(' or ')}.`, { headers: challenge('insufficient_scope') });
}
