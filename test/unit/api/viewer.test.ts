import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { anApi, type Api } from './support.ts';

describe('viewer files', () => {
  let folder: string;
  let api: Api;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'viewer-'));
    await mkdir(path.join(folder, 'assets'));
    await writeFile(path.join(folder, 'index.html'), '<html>the application</html>');
    await writeFile(path.join(folder, 'app.bundle.0123456789abcdef0123.js'), 'code');
    await writeFile(path.join(folder, 'assets', 'icon.png'), 'icon');
    api = await anApi({ viewerDir: folder });
  });
  after(async () => {
    await api.close();
    await rm(folder, { recursive: true, force: true });
  });
  const get = (at: string): Promise<Response> => fetch(`${api.url}${at}`);

  it('gives the application at every place of a tenant, without a token', async () => {
    for (const at of ['/viewer/demo', '/viewer/demo/', '/viewer/demo/viewer?StudyInstanceUIDs=1.2.3', '/viewer/other-tenant/segmentation']) {
      const answer = await get(at);
      assert.equal(answer.status, 200, at);
      assert.equal(await answer.text(), '<html>the application</html>', at);
    }
  });

  it('lets the application load and call this host alone', async () => {
    const policy = (await get('/viewer/demo/')).headers.get('Content-Security-Policy') ?? '';

    assert.match(policy, /default-src 'self'/);
    assert.match(policy, /connect-src 'self' blob: data:/);
    assert.doesNotMatch(policy, /https?:|\*/);
  });

  it('keeps what has a digest in its name for long, and asks again for the rest', async () => {
    assert.match((await get('/viewer/app.bundle.0123456789abcdef0123.js')).headers.get('Cache-Control') ?? '', /immutable/);
    assert.equal((await get('/viewer/assets/icon.png')).headers.get('Cache-Control'), 'no-cache');
    assert.equal((await get('/viewer/app-config.js')).headers.get('Cache-Control'), 'no-cache');
  });

  it('has no file outside its folder, and no application in place of a missing file', async () => {
    for (const at of ['/viewer/missing.js', '/viewer/demo/missing.wasm', '/viewer/..%2f..%2fetc/passwd', '/viewer/%2e%2e/package.json', '/viewer/NO_TENANT/']) {
      assert.equal((await get(at)).status, 404, at);
    }
  });

  it('says in words when there is no viewer', async () => {
    const without = await anApi();
    const answer = await fetch(`${without.url}/viewer/demo/`);

    assert.equal(answer.status, 404);
    assert.match(((await answer.json()) as { readonly detail: string }).detail, /PACS_VIEWER_DIR/);
    await without.close();
  });
});
