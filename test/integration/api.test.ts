import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { bootstrapStores } from '../../stores/bootstrap.ts';
import { devStack, type DevStack } from '../support/devStack.ts';
import { aTenant, aUID } from '../support/aStudy.ts';
import { aFile, aMultipart, multipartType, partsOf } from '../unit/api/support.ts';

/** The API, as a process, in front of real servers and a real worker: what a fake cannot answer for. */
describe('api on real servers', function () {
  this.timeout(180_000);
  const tenantId = aTenant().slice(0, 40);
  const key = randomBytes(32);
  let stack: DevStack;
  let folder: string;
  let base: string;
  let destination: Server;
  let destinationAnswers = 503;
  const received: string[] = [];
  const children: ChildProcess[] = [];

  before(async () => {
    stack = await devStack(['temporal', 's3', 'opensearch']);
    folder = await mkdtemp(path.join(tmpdir(), 'api-'));
    await writeFile(path.join(folder, 'key'), key.toString('base64url'));
    const [apiPort, workerPort] = [await freePort(), await freePort()];
    const env = {
      ...stack.env, PATH: process.env['PATH'] ?? '', PACS_TENANTS: tenantId, PACS_API_PORT: `${apiPort}`, PACS_TOKEN_KEY_FILE: path.join(folder, 'key'), PACS_STOW_DIR: path.join(folder, 'stow'),
      PACS_WORKER_ROLES: 'core,ingest,index,route', PACS_WORKER_HTTP_PORT: `${workerPort}`, PACS_STUDY_QUIET_SECONDS: '1', PACS_ROUTE_RETRY_SECONDS: '1', PACS_LOG_LEVEL: 'warn', PACS_API_HOST: '127.0.0.1',
    };
    await bootstrapStores(env);
    base = `http://127.0.0.1:${apiPort}`;
    for (const entry of ['workers/main.ts', 'api/main.ts']) children.push(spawn(process.execPath, [entry], { env, stdio: ['ignore', 'ignore', 'inherit'] }));
    destination = createServer((request, response) => {
      request.resume().once('end', () => {
        received.push(request.url ?? '');
        response.writeHead(destinationAnswers).end();
      });
    }).listen(0, '127.0.0.1');
    await until(async () => (await fetch(`${base}/readyz`)).status === 200);
  });
  after(async () => {
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map((child) => child.exitCode ?? new Promise((resolve) => child.once('exit', resolve))));
    destination?.close();
    await stack?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const call = async (at: string, init: RequestInit & { readonly roles?: readonly string[] } = {}): Promise<Response> => {
    const token = await new SignJWT({ tenants: [tenantId], roles: init.roles ?? ['admin'] }).setProtectedHeader({ alg: 'HS256' })
      .setIssuer('pacs').setAudience('pacs-api').setSubject('jo').setExpirationTime('5m').sign(key);
    return fetch(`${base}/tenants/${tenantId}${at}`, { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers as Record<string, string> } });
  };
  const stow = (files: readonly Buffer[]): Promise<Response> => call('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': multipartType }, body: aMultipart(files) as never });
  const jsonOf = async (response: Promise<Response>): Promise<Record<string, unknown>> => await (await response).json() as Record<string, unknown>;

  it('stores, finds and gives back every byte, once and again', async () => {
    const [study, series] = [aUID(), aUID()];
    const files = Array.from({ length: 4 }, (_, at) => aFile({ study, series, instance: aUID(), instanceNumber: String(at + 1), pixels: randomBytes(300_000) }));

    const first = await stow(files);
    const again = await stow(files);
    const found = await until(async () => {
      const answer = await call(`/dicom-web/studies?StudyInstanceUID=${study}`);
      return answer.status === 200 ? await answer.json() as Record<string, { Value?: unknown[] }>[] : undefined;
    });
    const back = await until(async () => {
      const parts = await partsOf(await call(`/dicom-web/studies/${study}`));
      return parts.length === 4 ? parts : undefined;
    });
    const metadata = await (await call(`/dicom-web/studies/${study}/metadata`)).json() as Record<string, { BulkDataURI?: string }>[];
    const bulk = await call(metadata[0]!['7FE00010']!.BulkDataURI!.slice(`${base}/tenants/${tenantId}`.length), { headers: { Range: 'bytes=0-9' } });

    assert.deepEqual([first.status, again.status], [200, 200]);
    assert.deepEqual(found[0]?.['00201208']?.Value, [4]);
    const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    assert.deepEqual(back.map(({ body }) => digest(body)), files.map(digest));
    assert.equal(metadata.length, 4);
    assert.equal((await bulk.arrayBuffer()).byteLength, 10);
    const { events } = await until(async () => {
      const history = await jsonOf(call(`/studies/${study}/history`)) as { events?: { action: string }[] };
      return history.events?.some(({ action }) => action === 'study.indexed') ? { events: history.events } : undefined;
    });
    assert.ok(events.some(({ action }) => action === 'study.uploaded'));
  });

  it('tells of the flow of an upload, and lists it by study', async () => {
    const study = aUID();
    await stow([aFile({ study, series: aUID(), instance: aUID() })]);

    const { flows } = await until(async () => {
      const list = await jsonOf(call(`/flows?studyInstanceUID=${study}`)) as { flows: { flowId: string; state: string; type: string }[] };
      return list.flows.some(({ type, state }) => type === 'ingestAssociation' && state === 'DONE') && list.flows.some(({ type }) => type === 'studyLifecycle') ? list : undefined;
    });
    const ingest = flows.find(({ type }) => type === 'ingestAssociation')!;
    const flow = await jsonOf(call(`/flows/${ingest.flowId}`)) as { state: string; result: { acceptedCount: number } };
    const lifecycle = await jsonOf(call(`/flows/${tenantId}/study/${study}`)) as { state: string; sentence: string };

    assert.deepEqual([flow.state, flow.result.acceptedCount], ['DONE', 1]);
    assert.equal(lifecycle.state, 'RUNNING');
    assert.ok(lifecycle.sentence.length > 10);
    assert.equal((await call(`/flows/${tenantId}/study/9.9`)).status, 404);
    assert.equal((await call(`/flows/${tenantId}/study/${study}/retry`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"why":"try"}' })).status, 409);
  });

  it('routes a study once for a key, however often it is asked, and after it is done', async () => {
    const study = aUID();
    await stow([aFile({ study, series: aUID(), instance: aUID() })]);
    await until(async () => (await call(`/dicom-web/studies?StudyInstanceUID=${study}`)).status === 200);
    const config = await call('/config');
    const changed = { ...await config.json() as object, destinations: [{ kind: 'dicomweb', destinationId: 'other', url: `http://127.0.0.1:${(destination.address() as AddressInfo).port}/dicom-web` }] };
    const json = { 'Content-Type': 'application/json' };
    const put = await call('/config', { method: 'PUT', headers: { ...json, 'If-Match': config.headers.get('ETag') ?? '' }, body: JSON.stringify(changed) });
    const route = (): Promise<Response> => call('/routes', { method: 'POST', headers: { ...json, 'Idempotency-Key': `k-${study}` }, body: JSON.stringify({ studyInstanceUID: study, destinationId: 'other' }) });

    // Another process sees a changed configuration after two seconds (stores/s3/tenantStore.ts).
    await sleep(2_100);
    const answers = [await route(), await route()];
    const flowUrl = answers[0]!.headers.get('Location')!.slice(`${base}/tenants/${tenantId}`.length);
    await until(() => Promise.resolve(received.length > 0));
    const running = await jsonOf(call(flowUrl)) as { state: string };
    destinationAnswers = 200;
    const done = await until(async () => {
      const flow = await jsonOf(call(flowUrl)) as { state: string };
      return flow.state === 'DONE' || flow.state === 'ATTENTION' ? flow : undefined;
    });
    const after = await route();
    const ledger = await call(`/destinations/other/deliveries/${study}`);

    assert.equal(put.status, 204);
    assert.deepEqual([...answers, after].map(({ status, headers }) => [status, headers.get('Location')?.endsWith(flowUrl)]), Array(3).fill([202, true]));
    assert.ok(['RUNNING', 'DESTINATION_AWAY'].includes(running.state), running.state);
    assert.ok(['DONE', 'ATTENTION'].includes(done.state));
    assert.equal(ledger.status, 200);
  });

  it('stops on SIGTERM within the time it takes to answer', async () => {
    const api = children[1]!;
    api.kill('SIGTERM');
    const code = await new Promise((resolve) => api.once('exit', resolve));

    assert.equal(code, 0);
  });
});

/** Asks again until there is an answer. */
async function until<T>(ask: () => Promise<T | false | undefined>): Promise<T> {
  for (const end = Date.now() + 90_000; Date.now() < end;) {
    const answer = await ask().catch(() => undefined);
    if (answer) return answer;
    await sleep(200);
  }
  throw new Error('the condition did not come true within 90 seconds');
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
