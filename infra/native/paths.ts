import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Part } from './parts.ts';

/** The folder of the checkout. */
export const CHECKOUT = path.resolve(import.meta.dirname, '..', '..');
export const INFRA = path.join(CHECKOUT, 'infra');

/** Everything the stack writes lies below `home`, `.pacs/` unless `PACS_HOME` moves it. */
export type Paths = ReturnType<typeof pathsOf>;

export function pathsOf(home: string) {
  const at = (...parts: readonly string[]): string => path.join(home, ...parts);
  return {
    home,
    bin: at('bin'),
    cache: at('cache'),
    temporalData: at('data', 'temporal'),
    s3Data: at('data', 's3'),
    opensearchData: at('data', 'opensearch'),
    data: at('data'),
    packCache: at('data', 'packs'),
    spool: at('spool'),
    logs: at('logs'),
    run: at('run'),
    secrets: at('secrets'),
    tmp: at('tmp'),
    tokenKey: at('secrets', 'token.key'),
    gatewayToken: at('secrets', 'gateway.token'),
    stackFile: at('run', 'stack.json'),
    logOf: (part: Part | 'supervisor') => at('logs', `${part}.log`),
    runFileOf: (part: Part) => at('run', `${part}.json`),
  } as const;
}

/** Makes the folders; those with secrets or images are closed to other users. */
export function makeFolders(paths: Paths): void {
  for (const folder of [paths.home, paths.bin, paths.cache, paths.data, paths.logs, paths.run, paths.tmp]) {
    mkdirSync(folder, { recursive: true });
  }
  for (const folder of [paths.spool, paths.secrets, paths.temporalData, paths.s3Data]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  }
}

/** The first folder above (or at) `target` that other users may not enter, or undefined. */
export function closedAncestor(target: string, modeOf: (folder: string) => number): string | undefined {
  const folders: string[] = [];
  for (let folder = path.resolve(target); ; folder = path.dirname(folder)) {
    folders.unshift(folder);
    if (folder === path.dirname(folder)) break;
  }
  return folders.find((folder) => existsSync(folder) && (modeOf(folder) & 0o001) === 0);
}
