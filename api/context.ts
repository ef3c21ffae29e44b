import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { requireRight, requireTenant, type Authenticate, type Right } from './auth.ts';
import { badRequest } from './problems.ts';

/** What is known of a request under /tenants/<tenantId>/. Handlers take the tenant from here and from nowhere else. */
export interface TenantContext {
  readonly requestId: string;
  readonly tenantId: string;
  /** The token's subject. */
  readonly subject: string;
  /** Aborted when the client goes away before the response is complete. */
  readonly signal: AbortSignal;
  /** Absolute URL of the tenant, without a slash at the end. */
  readonly tenantUrl: string;
  readonly query: URLSearchParams;
  readonly log: Logger;
}

export type TenantHandler = (context: TenantContext, request: Request, response: Response) => Promise<void>;

const requestIds = new WeakMap<Request, string>();

/** The id that ties log, problem document and header together; a caller's own is kept when it is harmless. */
export function requestIdOf(request: Request): string {
  const given = request.get('X-Request-Id');
  const known = requestIds.get(request) ?? (given && /^[A-Za-z0-9._-]{8,64}$/.test(given) ? given : randomUUID());
  requestIds.set(request, known);
  return known;
}

export interface ContextDeps {
  readonly authenticate: Authenticate;
  /** Where clients reach this API. */
  readonly publicUrl: (request: Request) => string;
  readonly log: Logger;
}

/** Makes a route of a handler: who asks, for which tenant, with which right; then the handler. */
export const createTenantRoute = (deps: ContextDeps) => (right: Right, handler: TenantHandler): RequestHandler =>
  async function tenantRoute(request: Request, response: Response, _next: NextFunction): Promise<void> {
    const caller = await deps.authenticate(request.get('Authorization'));
    const tenantId = requireTenant(caller, String(request.params['tenantId']));
    requireRight(caller, right);
    const requestId = requestIdOf(request);
    await handler({
      requestId, tenantId, subject: caller.subject, signal: signalOf(response), query: queryOf(request),
      tenantUrl: `${deps.publicUrl(request)}/tenants/${tenantId}`,
      log: deps.log.child({ requestId, tenantId }),
    }, request, response);
  };

/** A resource that does not exist, told only to those who may know. */
export const createUnknownResource = (deps: ContextDeps): RequestHandler =>
  async function unknownResource(request, _response, next): Promise<void> {
    requireTenant(await deps.authenticate(request.get('Authorization')), String(request.params['tenantId']));
    next();
  };

function signalOf(response: Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** @throws HttpProblem 400 when a percent-code is malformed */
function queryOf(request: Request): URLSearchParams {
  const at = request.originalUrl.indexOf('?');
  const text = at < 0 ? '' : request.originalUrl.slice(at + 1);
  try {
    decodeURIComponent(text);
  } catch {
    throw badRequest('The query has a malformed percent-code. Encode it as UTF-8.');
  }
  return new URLSearchParams(text);
}
