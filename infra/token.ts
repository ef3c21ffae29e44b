import { SignJWT } from 'jose';

/** What an access token of this PACS says. The API verifies exactly these (api/auth.ts). */
export const TOKEN_ISSUER = 'pacs';
export const TOKEN_AUDIENCE = 'pacs-api';
export const TOKEN_ALGORITHM = 'HS256';
export const ROLES = ['viewer', 'integrator', 'admin', 'auditor', 'gateway'] as const;
export type Role = (typeof ROLES)[number];

export type TokenClaims = {
  readonly sub: string;
  readonly tenants: readonly string[];
  readonly roles: readonly Role[];
};

/** @param ttl how long it is valid, as `30m`, `8h`, `7d` */
export const signToken = (claims: TokenClaims, key: Uint8Array, ttl: string): Promise<string> =>
  new SignJWT({ tenants: claims.tenants, roles: claims.roles })
    .setProtectedHeader({ alg: TOKEN_ALGORITHM, typ: 'JWT' })
    .setIssuer(TOKEN_ISSUER)
    .setAudience(TOKEN_AUDIENCE)
    .setSubject(claims.sub)
    .setIssuedAt()
    .setExpirationTime(ttl)
    .sign(key);
