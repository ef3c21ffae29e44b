import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type { Logger } from 'pino';
import { createAuthenticate } from './auth.ts';
import { createTenantRoute, createUnknownResource, requestIdOf } from './context.ts';
import { errorForLog } from './errorForLog.ts';
import { createReadyz, healthz, type ReadinessCheck } from './health.ts';
import type { Metrics } from './metrics.ts';
import { HttpProblem, notFound, problemOf, sendProblem } from './problems.ts';
import { createPublicUrl, createTrusts } from './publicUrl.ts';
import { resourcesOf, type ResourceDeps } from './resources.ts';
import { createViewer } from './viewer/viewer.ts';

export interface AppDeps extends ResourceDeps {
  /** Verifies access tokens, HS256. */
  readonly tokenKey: Uint8Array;
  readonly publicUrl: string | undefined;
  /** Peers whose Forwarded headers say how clients reach this API: addresses, networks, or `loopback`. */
  readonly trustedProxies: readonly string[];
  /** The folder of the web viewer. */
  readonly viewerDir: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly checks: readonly ReadinessCheck[];
  readonly metrics: Metrics;
  readonly log: Logger;
}

const tenantPath = '/tenants/:tenantId';

/** The HTTP API: DICOMweb, routing, flows, history and configuration of each tenant. */
export function createApp(deps: AppDeps): Express {
  const context = { authenticate: createAuthenticate(deps.tokenKey), publicUrl: createPublicUrl(deps.publicUrl, createTrusts(deps.trustedProxies)), log: deps.log };
  const tenantRoute = createTenantRoute(context);
  const app = express().disable('x-powered-by').disable('etag').set('query parser', false);
  app.use(observe(deps));
  if (deps.corsOrigins.length) app.use(cors(deps.corsOrigins));
  app.get('/healthz', healthz);
  app.get('/readyz', createReadyz(deps.checks));
  app.get('/metrics', deps.metrics.handler);
  app.use('/viewer', createViewer(deps.viewerDir));
  const resources = resourcesOf(deps);
  for (const { method, path, right, handler } of resources) app[method](`${tenantPath}${path}`, tenantRoute(right, handler));
  app.use(tenantPath, createUnknownResource(context));
  for (const [path, group] of Map.groupBy(resources, (resource) => resource.path)) {
    app.all(`${tenantPath}${path}`, otherMethod(group.map(({ method }) => method.toUpperCase())));
  }
  app.use(() => {
    throw notFound('There is no such resource. Check the path of the URL.');
  });
  app.use(errors(deps.log));
  return app;
}

/** Names, counts and logs each request: method, route and status, and never its query, where patients' names may be. */
const observe = ({ log, metrics }: Pick<AppDeps, 'log' | 'metrics'>): RequestHandler => (request, response, next) => {
  const startedAt = performance.now();
  const requestId = requestIdOf(request);
  response.setHeader('X-Request-Id', requestId);
  response.once('close', () => {
    const ms = performance.now() - startedAt;
    const route = (request.route as { readonly path?: unknown } | undefined)?.path;
    const line = { method: request.method, route: typeof route === 'string' ? route : 'none', status: response.statusCode };
    metrics.observe(line, ms / 1000);
    log.info({ ...line, requestId, ms: Math.round(ms), complete: response.writableFinished }, 'request');
  });
  next();
};

/** Lets pages of the origins named in the configuration use the API; `*` names all. Tokens come in a header, so no cookie is at stake. */
const cors = (origins: readonly string[]): RequestHandler => (request, response, next) => {
  const origin = request.get('Origin');
  response.vary('Origin');
  if (origin === undefined || !(origins.includes(origin) || origins.includes('*'))) return next();
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader('Access-Control-Expose-Headers', 'Accept-Ranges, Allow, Content-Location, Content-Range, ETag, Location, Retry-After, Warning, WWW-Authenticate, X-Request-Id');
  if (request.method !== 'OPTIONS' || request.get('Access-Control-Request-Method') === undefined) return next();
  response.vary('Access-Control-Request-Method').vary('Access-Control-Request-Headers');
  response.setHeader('Access-Control-Allow-Methods', 'GET, HEAD, OPTIONS, POST, PUT');
  response.setHeader('Access-Control-Allow-Headers', 'Accept, Accept-Encoding, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Range, X-Request-Id');
  response.setHeader('Access-Control-Max-Age', '600').status(204).end();
};

const otherMethod = (methods: readonly string[]): RequestHandler => () => {
  throw new HttpProblem(405, `This resource takes ${methods.join(' and ')}.`, { headers: { Allow: methods.join(', ') } });
};

const errors = (log: Logger): ErrorRequestHandler => (error: unknown, request, response, _next) => {
  const requestId = requestIdOf(request);
  const problem = problemOf(error);
  if (response.destroyed || request.socket.destroyed) return void log.info({ requestId }, 'the client went away');
  if (problem.status >= 500) log.error({ requestId, error: errorForLog(problem.extras.cause ?? problem) }, 'request failed');
  if (response.headersSent) return void response.destroy();
  sendProblem(response, problem, requestId);
};
