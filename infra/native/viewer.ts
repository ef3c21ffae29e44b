import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fetchOnce, run } from './download.ts';
import { StackError, type OnProgress } from './parts.ts';
import { INFRA } from './paths.ts';

const PIN = path.join(INFRA, 'viewer.json');

/**
 * Left out of the package: source maps, the runtime of neural networks (136 MB), which only its experimental tools use, and the
 * service worker, which loads code from a host of others.
 */
const LEFT_OUT = ['*.map', 'package/dist/ort', 'package/dist/sw.js', 'package/dist/init-service-worker.js'] as const;

/** The viewer is built for the root of a host; it is served below this path. */
const BASE = '/viewer/';

/**
 * Fetches OHIF, a web viewer, unless it is there: its npm package is the built application, so nothing of it is
 * installed. What npm hands over is held to the digest in infra/viewer.json.
 *
 * @returns the folder to serve at /viewer
 */
export async function ensureViewer(binDir: string, cacheDir: string, onProgress: OnProgress, signal?: AbortSignal): Promise<string> {
  const pin = JSON.parse(readFileSync(PIN, 'utf8')) as { readonly package: string; readonly version: string; readonly integrity: string };
  // The hash covers how it is unpacked as well: another base path is another folder.
  const hash = createHash('sha256').update(JSON.stringify([pin, LEFT_OUT, BASE])).digest('hex').slice(0, 12);
  const folder = path.join(binDir, `viewer-${hash}`);
  await fetchOnce(folder, 'OHIF viewer (npm, 48 MB)', onProgress, async (partial) => {
    const env = { npm_config_cache: path.join(cacheDir, 'npm'), npm_config_update_notifier: 'false' };
    await run('npm', ['pack', '--silent', '--pack-destination', partial, `${pin.package}@${pin.version}`], env, { signal, cwd: partial });
    const archive = path.join(partial, only(readdirSync(partial)));
    const digest = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (digest !== pin.integrity) throw new StackError(`${pin.package} ${pin.version} is not what infra/viewer.json pins: its digest is ${digest}.`);
    await run('tar', ['-xzf', archive, '-C', partial, ...LEFT_OUT.map((pattern) => `--exclude=${pattern}`)], {}, { signal });
    for (const name of readdirSync(path.join(partial, 'package', 'dist'))) renameSync(path.join(partial, 'package', 'dist', name), path.join(partial, name));
    rmSync(archive);
    moveToBase(partial);
  });
  return folder;
}

/** Makes the built application load its own files from below the base path. */
function moveToBase(folder: string): void {
  const rewrite = (name: string, changes: readonly (readonly [RegExp, string])[]): void => {
    const file = path.join(folder, name);
    const before = readFileSync(file, 'utf8');
    const after = changes.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), before);
    if (after !== before) writeFileSync(file, after);
    else if (name === 'index.html' || name.startsWith('app.bundle')) throw new StackError(`${name} of the viewer is not built as expected; its base path cannot be set.`);
  };
  rewrite('index.html', [
    [/<script[^>]*init-service-worker\.js[^>]*><\/script>/g, ''], [/((?:href|src)=")\/(?!\/)/g, `$1${BASE}`], [/window\.PUBLIC_URL = '\/'/g, `window.PUBLIC_URL = '${BASE}'`],
  ]);
  rewrite('manifest.json', [[/"\/assets\//g, `"${BASE}assets/`]]);
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.js')) rewriteIfBuilt(name);
    if (name.endsWith('.css')) rewrite(name, [[/url\(\/(?!\/)/g, `url(${BASE}`]]);
  }
  function rewriteIfBuilt(name: string): void {
    if (/\.bundle\.[0-9a-f]+\.js$/.test(name)) rewrite(name, [[/(__webpack_require__\.p = ")\/"/g, `$1${BASE}"`]]);
  }
}

function only(names: readonly string[]): string {
  const archives = names.filter((name) => name.endsWith('.tgz'));
  if (archives.length !== 1) throw new StackError('npm pack left no archive of the viewer.');
  return archives[0]!;
}
