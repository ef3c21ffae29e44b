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
import { s3Of } from './stackOfBench.ts';
import { createS3, type S3Values } from '../stores/s3/s3.ts';
import { listKeys } from '../stores/s3/s3Objects.ts';
import { startChild, type Child } from './child.ts';
import { makeLoad, type LoadKind } from './load.ts';
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

/** Studies of instances of one kind, and so of one size. */
export interface Size {
  readonly kind: LoadKind;
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
  readonly pid: number;
  stop(): Promise<void>;
}

export interface FileServer {
  readonly port: number;
  readonly child: Child<number>;
}

/** What the systems hold of one load, and how each gives it back. */
export interface Loaded {
  readonly sources: readonly Source[];
  readonly studies: readonly LoadedStudy[];
}
export interface LoadedStudy {
  readonly pacs: string;
  /** The same instances under other UIDs. */
  readonly orthanc: string | undefined;
}

/** Sends a load to our gateway and waits until it is found. */
export async function sendToPacs(config: InfraConfig, stack: Stack, size: Size): Promise<SenderReport> {
  const { host, port, aeTitle } = stack.urls.dicom;
  const report = await send(await makeLoad(config.home, size.kind, printProgress), size, host, port, aeTitle);
  if (await untilFound(await apiOf(stack), report) === undefined) throw new Error('What was sent was not found in time');
  return report;
}

export const sendToPeer = async (config: InfraConfig, peer: PeerSystem, size: Size): Promise<SenderReport> =>
  send(await makeLoad(config.home, size.kind, printProgress), size, '127.0.0.1', peer.port, peer.aeTitle);

export const viewerToken = (stack: Stack): Promise<string> =>
  signToken({ sub: 'bench', tenants: ['demo'], roles: ['viewer'] }, tokenKey(path.join(stack.home, 'secrets', 'token.key')), '8h');

/** Sends the load to our gateway and to Orthanc, and says how each gives it back. Kept packs are kept already. */
export async function loadSources(systems: Systems, size: Size): Promise<Loaded> {
  const { config, stack, orthanc, withoutCache, withCache, files } = systems;
  const studies = Object.keys((await sendToPacs(config, stack, size)).studies);
  const atOrthanc = orthanc && await sendToPeer(config, orthanc, size);
  const headers = { Authorization: `Bearer ${await viewerToken(stack)}`, Accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' };
  const ours = (system: string, apis: readonly Api[]): Source => ({
    system, pids: apis.map(({ pid }) => pid),
    order: { headers, urls: studies.map((study, at) => `http://127.0.0.1:${apis[at % apis.length]!.port}/tenants/demo/dicom-web/studies/${study}`) },
  });
  const s3 = s3Of(stack);
  const keys = await packKeys(s3, studies);
  for (const url of ours('', [withCache[0]]).order.urls) await (await fetch(url, { headers })).arrayBuffer();
  // What was read is checked and renamed into its place beside the answers.
  await sleep(2000);
  const sources: readonly Source[] = [
    { system: 'S3 get of the same packs', pids: [], order: { urls: keys, headers: {}, s3 } },
    ours('PACS, from S3', [withoutCache]),
    ours('PACS, packs kept', [withCache[0]]),
    ours('PACS, packs kept, 2 processes', withCache),
    { system: 'bare file server, same packs', pids: [files.child.pid], order: { urls: keys.map((key) => `http://127.0.0.1:${files.port}/demo/${path.basename(key)}`), headers: {} } },
    ...(orthanc && atOrthanc ? [{ system: 'Orthanc', pids: [orthanc.pid], order: { headers: {}, urls: await orthancUrls(orthanc, atOrthanc) } }] : []),
  ];
  const theirs = Object.keys(atOrthanc?.studies ?? {});
  return { sources, studies: studies.map((pacs, index) => ({ pacs, orthanc: theirs[index] })) };
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

async function packKeys(values: S3Values, studies: readonly string[]): Promise<readonly string[]> {
  const bucket = createS3(values);
  const keys: string[] = [];
  for (const study of studies) for await (const key of listKeys(bucket, `tenants/demo/studies/${study}/`)) if (key.endsWith('.tar')) keys.push(key);
  bucket.s3.destroy();
  return keys;
}

/** Every instance by itself, as Orthanc without plugins gives files. */
async function orthancUrls(peer: PeerSystem, { studies }: SenderReport): Promise<readonly string[]> {
  const found = await Promise.all(Object.keys(studies).map((uid) => orthancInstances(peer, uid)));
  return found.flat().map((url) => `${url}/file`);
}

/** Where Orthanc has the instances of a study. */
export async function orthancInstances({ httpPort }: PeerSystem, studyInstanceUID: string): Promise<readonly string[]> {
  const base = `http://127.0.0.1:${httpPort}`;
  const json = async <T>(at: string, init?: RequestInit): Promise<T> => await (await fetch(`${base}${at}`, init)).json() as T;
  const [study] = await json<readonly { readonly ID: string }[]>('/tools/lookup', { method: 'POST', body: studyInstanceUID });
  return (await json<readonly { readonly ID: string }[]>(`/studies/${study!.ID}/instances`)).map(({ ID }) => `${base}/instances/${ID}`);
}

/** One more API process beside the stack's. @param packCacheDir empty keeps no packs */
export async function startApi(stack: Stack, packCacheDir: string): Promise<Api> {
  const { api: port } = await freePorts();
  const child = spawn(process.execPath, ['api/main.ts'], { cwd: CHECKOUT, stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...stack.env, PACS_API_PORT: `${port}`, PACS_PACK_CACHE_DIR: packCacheDir, PACS_LOG_LEVEL: 'error' } });
  for (let attempt = 0; attempt < 300; attempt++, await sleep(100)) {
    if (await fetch(`http://127.0.0.1:${port}/healthz`).then(({ ok }) => ok, () => false)) return { port, pid: child.pid ?? 0, stop: () => ended(child) };
  }
  child.kill('SIGKILL');
  throw new Error('An API process did not start');
}

/** Asked to end, so that a profiler in it can write; made to after a while. */
async function ended(child: ChildProcess): Promise<void> {
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await Promise.race([exit, sleep(5000)]);
  child.kill('SIGKILL');
}

export async function startFileServer(folder: string): Promise<FileServer> {
  const child = startChild<number>('fileServer.ts', folder);
  await child.ready;
  return { port: await child.go(), child };
}
