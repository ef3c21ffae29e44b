import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { printProgress } from '../infra/commands/show.ts';
import type { InfraConfig } from '../infra/config.ts';
import { CHECKOUT } from '../infra/native/paths.ts';
import { freePorts } from '../infra/native/ports.ts';
import type { Stack } from '../infra/native/stack.ts';
import { tokenKey } from '../infra/secrets.ts';
import { signToken } from '../infra/token.ts';
import { createS3, type S3Values } from '../stores/s3/s3.ts';
import { listKeys } from '../stores/s3/s3Objects.ts';
import { startChild, type Child } from './child.ts';
import { makeLoad } from './load.ts';
import type { PeerSystem } from './peers.ts';
import { apiOf, untilFound } from './run.ts';
import type { RetrieverOrder } from './retriever.ts';
import type { SenderReport } from './sender.ts';

/** A way to read all of a load. */
export interface Source {
  readonly system: string;
  /** Of the processes whose CPU it costs; empty when others share them. */
  readonly pids: readonly number[];
  readonly order: Omit<RetrieverOrder, 'workerCount'>;
}

/** Studies of instances of one size, made of a real CT's frames of 0.5 MB. */
export interface Size {
  readonly what: string;
  readonly frameCount: number;
  readonly studies: number;
  readonly instances: number;
}

/** The systems that a load is put into. */
export interface Systems {
  readonly config: InfraConfig;
  readonly stack: Stack;
  readonly orthanc: PeerSystem | undefined;
  readonly withoutCache: Api;
  /** Two processes that share one cache. */
  readonly withCache: readonly [Api, Api];
  readonly files: FileServer;
}

export interface Api {
  readonly port: number;
  readonly child: ChildProcess;
}

export interface FileServer {
  readonly port: number;
  readonly child: Child<number>;
}

/** Sends the load to our gateway and to Orthanc, and says how each gives it back. Kept packs are kept already. */
export async function loadSources(systems: Systems, size: Size): Promise<readonly Source[]> {
  const { config, stack, orthanc, withoutCache, withCache, files } = systems;
  const loadFolder = await makeLoad(config.home, size.frameCount, printProgress);
  const { host, port, aeTitle } = stack.urls.dicom;
  const report = await send(loadFolder, size, host, port, aeTitle);
  if (await untilFound(await apiOf(stack), report) === undefined) throw new Error('What was sent was not found in time');
  const studies = Object.keys(report.studies);
  const token = await signToken({ sub: 'bench', tenants: ['demo'], roles: ['viewer'] }, tokenKey(path.join(stack.home, 'secrets', 'token.key')), '8h');
  const headers = { Authorization: `Bearer ${token}`, Accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' };
  const ours = (system: string, apis: readonly Api[]): Source => ({
    system, pids: apis.map(({ child }) => child.pid ?? 0),
    order: { headers, urls: studies.map((study, at) => `http://127.0.0.1:${apis[at % apis.length]!.port}/tenants/demo/dicom-web/studies/${study}`) },
  });
  const s3 = s3Of(stack);
  const keys = await packKeys(s3, studies);
  for (const url of ours('', [withCache[0]]).order.urls) await (await fetch(url, { headers })).arrayBuffer();
  // What was read is checked and renamed into its place beside the answers.
  await sleep(2000);
  return [
    { system: 'S3 get of the same packs', pids: [], order: { urls: keys, headers: {}, s3 } },
    ours('PACS, from S3', [withoutCache]),
    ours('PACS, packs kept', [withCache[0]]),
    ours('PACS, packs kept, 2 processes', withCache),
    { system: 'bare file server, same packs', pids: [files.child.pid], order: { urls: keys.map((key) => `http://127.0.0.1:${files.port}/demo/${path.basename(key)}`), headers: {} } },
    ...(orthanc ? [{ system: 'Orthanc', pids: [orthanc.pid], order: { headers: {}, urls: await orthancUrls(orthanc, await send(loadFolder, size, '127.0.0.1', orthanc.port, orthanc.aeTitle)) } }] : []),
  ];
}

async function send(loadFolder: string, { studies, instances }: Size, host: string, port: number, calledAETitle: string): Promise<SenderReport> {
  const sender = startChild<SenderReport>('sender.ts', { loadFolder, associationCount: studies, instanceCount: studies * instances, host, port, calledAETitle });
  try {
    await sender.ready;
    return await sender.go();
  } finally {
    sender.stop();
  }
}

const s3Of = ({ env }: Stack): S3Values => ({
  endpoint: env['S3_ENDPOINT']!, region: env['PACS_S3_REGION']!, bucket: env['PACS_S3_BUCKET']!,
  credentials: { accessKeyId: env['AWS_ACCESS_KEY_ID']!, secretAccessKey: env['AWS_SECRET_ACCESS_KEY']! },
});

async function packKeys(values: S3Values, studies: readonly string[]): Promise<readonly string[]> {
  const bucket = createS3(values);
  const keys: string[] = [];
  for (const study of studies) for await (const key of listKeys(bucket, `tenants/demo/studies/${study}/`)) if (key.endsWith('.tar')) keys.push(key);
  bucket.s3.destroy();
  return keys;
}

/** Every instance by itself, as Orthanc without plugins gives files. */
async function orthancUrls({ httpPort }: PeerSystem, { studies }: SenderReport): Promise<readonly string[]> {
  const base = `http://127.0.0.1:${httpPort}`;
  const json = async <T>(at: string, init?: RequestInit): Promise<T> => await (await fetch(`${base}${at}`, init)).json() as T;
  const found = await Promise.all(Object.keys(studies).map(async (uid) => {
    const [study] = await json<readonly { readonly ID: string }[]>('/tools/lookup', { method: 'POST', body: uid });
    return (await json<readonly { readonly ID: string }[]>(`/studies/${study!.ID}/instances`)).map(({ ID }) => `${base}/instances/${ID}/file`);
  }));
  return found.flat();
}

/** One more API process beside the stack's. @param packCacheDir empty keeps no packs */
export async function startApi(stack: Stack, packCacheDir: string): Promise<Api> {
  const { api: port } = await freePorts();
  const child = spawn(process.execPath, ['api/main.ts'], { cwd: CHECKOUT, stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...stack.env, PACS_API_PORT: `${port}`, PACS_PACK_CACHE_DIR: packCacheDir, PACS_LOG_LEVEL: 'error' } });
  for (let attempt = 0; attempt < 300; attempt++, await sleep(100)) {
    if (await fetch(`http://127.0.0.1:${port}/healthz`).then(({ ok }) => ok, () => false)) return { port, child };
  }
  child.kill('SIGKILL');
  throw new Error('An API process did not start');
}

export async function startFileServer(folder: string): Promise<FileServer> {
  const child = startChild<number>('fileServer.ts', folder);
  await child.ready;
  return { port: await child.go(), child };
}
