import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { pino } from 'pino';
import { createTranscoder } from '../codecs/transcoder.ts';
import { createStores } from '../stores/compose.ts';
import { removePartials } from '../stores/packs/packCache.ts';
import { createApp } from './app.ts';
import { decodeTokenKey, readConfig, type ApiConfig } from './config.ts';
import { createMetrics } from './metrics.ts';
import { createTemporalFlows } from './temporalFlows.ts';

/** How long requests under way may take to end once the process is told to stop. */
const drainMs = 25_000;
const leftoverAgeMs = 24 * 3600 * 1000;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel, base: { part: 'api' } });
  const tokenKey = decodeTokenKey(await readFile(config.tokenKeyFile, 'utf8'));
  await removeLeftovers(config.stow.folder);
  if (config.packCache) await removePartials(config.packCache.folder);
  const stores = createStores({
    s3: { endpoint: config.s3.endpoint, bucket: config.s3.bucket, region: config.s3.region, credentials: config.s3 },
    openSearch: { url: config.openSearchUrl }, packCache: config.packCache,
  });
  const connection = Connection.lazy({ address: config.temporal.address });
  const flows = createTemporalFlows(new Client({ connection, namespace: config.temporal.namespace }));
  const codecs = createTranscoder({ threads: config.codecThreads });
  const app = createApp({
    stores, flows, codecs, headerCacheBytes: config.headerCacheBytes, tokenKey, log, metrics: createMetrics(), publicUrl: config.publicUrl, trustedProxies: config.trustedProxies, corsOrigins: config.corsOrigins, viewerDir: config.viewerDir,
    ui: { url: config.temporal.uiUrl, namespace: config.temporal.namespace }, stow: config.stow, verifyDigests: true, now: () => new Date(),
    checks: [
      { name: 'temporal', check: (signal) => flows.ready(signal) },
      { name: 's3', check: () => stores.tenants.get('readiness') },
      { name: 'opensearch', check: () => stores.index.version('readiness', '1.2') },
    ],
  });

  const server = listen(createServer({ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 65_000 }, app), config);
  server.on('listening', () => log.info({ host: config.host, port: config.port }, 'the API listens'));
  server.on('error', (error: NodeJS.ErrnoException) => {
    log.fatal(error.code === 'EADDRINUSE' ? `Port ${config.port} is taken. Set PACS_API_PORT to a free one.` : error.message);
    process.exit(1);
  });
  const stop = (): void => {
    log.info('the API stops');
    server.close(() => void Promise.allSettled([connection.close(), stores.close(), codecs.close()]).then(() => process.exit(0)));
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), drainMs).unref();
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

/** A body may take as long as it needs; a socket on which nothing moves does not. */
function listen(server: ReturnType<typeof createServer>, { host, port, stow }: ApiConfig): ReturnType<typeof createServer> {
  server.setTimeout(Math.max(120_000, stow.waitMs + 60_000));
  return server.listen(port, host);
}

/** What processes that were killed left of their requests. */
async function removeLeftovers(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Infinity }));
    if (name.startsWith('request-') && mtimeMs < Date.now() - leftoverAgeMs) await rm(file, { recursive: true, force: true });
  }
}

await main();
