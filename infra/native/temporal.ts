import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Binaries } from './download.ts';
import { INFRA } from './paths.ts';
import type { Server } from './server.ts';

export const NAMESPACE = 'pacs';
export const RETENTION_DAYS = 30;

export type SearchAttributeType = 'Keyword' | 'KeywordList' | 'Int' | 'Datetime';
export const SEARCH_ATTRIBUTES = JSON.parse(
  readFileSync(path.join(INFRA, 'temporal', 'searchAttributes.json'), 'utf8'),
) as Readonly<Record<string, SearchAttributeType>>;

/** One partition a queue: then priority and fairness hold exactly, and one server with one SQLite file is no faster with more. */
export const DYNAMIC_CONFIG = JSON.parse(
  readFileSync(path.join(INFRA, 'temporal', 'dynamicConfig.json'), 'utf8'),
) as Readonly<Record<string, boolean | number>>;

/**
 * The dev server with its Web UI on an SQLite file. WAL with `synchronous=NORMAL` is three times as fast as the
 * default and keeps every commit when the process dies; a power cut may take the last ones, and the gateway's
 * journal then signals its packs again.
 */
export const temporalServer = (binaries: Binaries): Server => ({
  part: 'temporal',
  name: 'Temporal',
  launch: ({ paths, ports }) => ({
    command: binaries.temporal,
    args: [
      'server', 'start-dev', '--disable-config-file', '--color', 'never', '--log-level', 'warn',
      '--ip', '127.0.0.1', '--port', `${ports.temporal}`, '--ui-port', `${ports.temporalUI}`, '--ui-disable-news-fetch',
      '--db-filename', path.join(paths.temporalData, 'temporal.db'),
      '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL',
      ...Object.entries(DYNAMIC_CONFIG).flatMap(([name, value]) => ['--dynamic-config-value', `${name}=${value}`]),
      '--namespace', NAMESPACE,
      ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ],
    cwd: paths.temporalData,
  }),
  healthy: ({ ports }) => temporalAnswers(`127.0.0.1:${ports.temporal}`),
});

export async function temporalAnswers(address: string): Promise<boolean> {
  const { Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address, connectTimeout: 1000 }).catch(() => undefined);
  if (!connection) return false;
  try {
    await connection.withDeadline(Date.now() + 2000, () => connection.workflowService.describeNamespace({ namespace: 'default' }));
    return true;
  } catch (error) {
    return (error as { code?: number }).code === 5; // answers, but has no such namespace
  } finally {
    await connection.close();
  }
}
