import path from 'node:path';
import compression from 'compression';
import express, { type RequestHandler, Router } from 'express';
import { isTenantId } from '../../domain/tenant.ts';
import { notFound } from '../problems.ts';

const own = import.meta.dirname;
const aYear = 365 * 24 * 3600;

/**
 * The application may load and call nothing but this host: images and names of patients leave it to no other. `unsafe-eval` is for its
 * WebAssembly decoders, `unsafe-inline` for the styles that it makes.
 */
const contentSecurityPolicy = [
  "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "worker-src 'self' blob:", "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:", "font-src 'self' data:", "connect-src 'self' blob: data:", "object-src 'self' blob:", "frame-ancestors 'self'", "base-uri 'self'",
].join('; ');

/**
 * A web viewer (OHIF) of each tenant at `/viewer/<tenantId>/`. Its files are nobody's secret; what it shows, it asks of DICOMweb with
 * the user's own token, which comes in the link's fragment (`#token=…`), so that it reaches neither this server's log nor a proxy's.
 *
 * @param folder the built application (infra/native/viewer.ts); undefined answers 404 in words
 */
export function createViewer(folder: string | undefined): RequestHandler {
  const router = Router();
  if (!folder) {
    return router.use((_request, _response) => {
      throw notFound('This PACS runs without a web viewer. PACS_VIEWER_DIR names the folder of one.');
    });
  }
  router.use((_request, response, next) => {
    response.setHeader('Content-Security-Policy', contentSecurityPolicy).setHeader('X-Content-Type-Options', 'nosniff').setHeader('Referrer-Policy', 'no-referrer');
    next();
  });
  router.use(compression());
  router.get('/app-config.js', page(path.join(own, 'app-config.js')));
  router.get('/sign-in', page(path.join(own, 'sign-in.html')));
  router.get('/sign-in.js', page(path.join(own, 'sign-in.js')));
  router.use(express.static(folder, { index: false, redirect: false, setHeaders: (response, file) => {
    response.setHeader('Cache-Control', /\.[0-9a-f]{16,}\./.test(path.basename(file)) ? `public, max-age=${aYear}, immutable` : 'no-cache');
  } }));
  router.get('/:tenantId{/*place}', (request, response, next) => {
    if (!isTenantId(String(request.params['tenantId'])) || path.extname(request.path) !== '') return next();
    page(path.join(folder, 'index.html'))(request, response, next);
  });
  return router;
}

const page = (file: string): RequestHandler => (_request, response) => {
  response.sendFile(file, { headers: { 'Cache-Control': 'no-cache' }, dotfiles: 'allow' });
};
