import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SignJWT } from 'jose';
import { pino } from 'pino';
import { createApp, type AppDeps } from '../../../api/app.ts';
import type { FlowDescription, Flows } from '../../../api/flowsClient.ts';
import { createMetrics } from '../../../api/metrics.ts';
import { createTranscoder } from '../../../codecs/transcoder.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { buildStudyDocuments, resolveStudy } from '../../../domain/documents.ts';
import { pickIndexed } from '../../../domain/indexedAttributes.ts';
import type { IndexedInstance } from '../../../domain/instance.ts';
import type { PackOrigin, StagedPack } from '../../../domain/pack.ts';
import { judgeInstance } from '../../../domain/validation.ts';
import { MemoryArchive, MemoryAuditLog, MemoryDeliveryStore, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { MemoryStudyIndex } from '../../../stores/memory/memoryStudyIndex.ts';
import type { ChooseCurrentInput, FlowStatus, IngestAssociationInput, ParkDecision, PriorityDecision, ReplayDeliveriesInput, RouteStudyInput, SweepTenantInput } from '../../../workflows/contracts.ts';
import { encode, explicitLE, layoutOf, type Element } from '../dicom/dataSetBytes.ts';

export const tokenKey = randomBytes(32);

export interface TokenOptions {
  readonly tenants?: readonly string[];
  readonly roles?: readonly string[];
  readonly key?: Uint8Array;
  readonly issuer?: string;
  readonly audience?: string;
  readonly expires?: string | number;
}

export const aToken = ({ tenants = ['demo'], roles = ['admin'], key = tokenKey, issuer = 'pacs', audience = 'pacs-api', expires = '1h' }: TokenOptions = {}): Promise<string> =>
  new SignJWT({ tenants, roles }).setProtectedHeader({ alg: 'HS256' }).setIssuer(issuer).setAudience(audience).setSubject('jo').setExpirationTime(expires).sign(key);

/** Flows that end at once: a pack is validated and committed as archivePack does it, and its study is indexed. */
export class FakeFlows implements Flows {
  readonly started: { readonly flowId: string; readonly input: IngestAssociationInput | RouteStudyInput }[] = [];
  readonly decisions: { readonly flowId: string; readonly decision: string; readonly by: ParkDecision }[] = [];
  readonly known = new Map<string, FlowDescription>();
  statusNow: FlowStatus | undefined = { state: 'ATTENTION', sentence: 'Waits for a person.', counts: { refused: 1 } };
  decisionAnswer: Awaited<ReturnType<Flows['decide']>> = 'taken';
  /** What the flow does with a pack; to be replaced by a test. */
  ingest: (pack: StagedPack, origin: PackOrigin) => Promise<void>;
  endsInTime = true;

  constructor(archive: MemoryArchive, index: MemoryStudyIndex) {
    this.ingest = async (pack, origin) => commitPack(archive, index, pack, origin);
  }

  async startIngest(flowId: string, input: IngestAssociationInput, packs: Parameters<Flows['startIngest']>[2]): Promise<readonly string[]> {
    this.started.push({ flowId, input });
    for (const { pack } of packs) await this.ingest(pack, input.origin);
    return [flowId];
  }

  ended: Flows['ended'] = async () => this.endsInTime;

  async startRoute(flowId: string, input: RouteStudyInput, request: string): Promise<FlowDescription> {
    const known = this.known.get(flowId) ?? aFlow({ flowId, type: 'routeStudy', request, studyInstanceUID: input.studyInstanceUID });
    if (!this.known.has(flowId)) this.started.push({ flowId, input });
    this.known.set(flowId, known);
    return known;
  }

  readonly replays: { readonly flowId: string; readonly input: ReplayDeliveriesInput }[] = [];
  startReplay: Flows['startReplay'] = async (flowId, input, request) => {
    const known = this.known.get(flowId) ?? aFlow({ flowId, type: 'replayDeliveries', request });
    if (!this.known.has(flowId)) this.replays.push({ flowId, input });
    this.known.set(flowId, known);
    return known;
  };

  readonly sweeps: { readonly flowId: string; readonly input: SweepTenantInput }[] = [];
  startSweep: Flows['startSweep'] = async (flowId, input, request) => {
    const known = this.known.get(flowId) ?? aFlow({ flowId, type: 'sweepTenant', request });
    if (!this.known.has(flowId)) this.sweeps.push({ flowId, input });
    this.known.set(flowId, known);
    return known;
  };

  readonly choices: ChooseCurrentInput[] = [];
  startChoice = async (input: ChooseCurrentInput): Promise<void> => void this.choices.push(input);
  describe = async (flowId: string): Promise<FlowDescription | undefined> => this.known.get(flowId);
  status = async (): Promise<FlowStatus | undefined> => this.statusNow;
  result = async (): Promise<unknown> => ({ deliveredCount: 3 });
  page: Flows['page'] = async ({ tenantId, studyInstanceUID, states, gatewayId }, limit, cursor = '0') => {
    const found = [...this.known.values()].filter((flow) => flow.flowId.startsWith(`${tenantId}/`)
      && (studyInstanceUID === undefined || flow.studyInstanceUID === studyInstanceUID) && (states === undefined || states.includes(flow.flowState!))
      && (gatewayId === undefined || flow.flowId.includes(`/${gatewayId}/`)));
    const end = Number(cursor) + limit;
    return { flows: found.slice(Number(cursor), end), next: end < found.length ? String(end) : undefined };
  };
  readonly prioritised: { readonly flowId: string; readonly decision: PriorityDecision }[] = [];
  setPriority: Flows['setPriority'] = async (flowId, decision) => {
    this.prioritised.push({ flowId, decision });
    return this.decisionAnswer;
  };
  decide: Flows['decide'] = async (flowId, decision, by) => {
    this.decisions.push({ flowId, decision, by });
    return this.decisionAnswer;
  };
  ready = async (): Promise<void> => {};
}

export const aFlow = (given: Partial<FlowDescription> & { readonly flowId: string }): FlowDescription => ({
  runId: 'run-1', type: 'studyLifecycle', runState: 'RUNNING', flowState: 'RUNNING', errorType: undefined, startedAt: '2026-01-01T00:00:00.000Z',
  closedAt: undefined, studyInstanceUID: undefined, request: undefined, ...given,
});

/** Commits a staged pack with the verdicts of validation, conflicts within the study included, and indexes its study. */
export async function commitPack(archive: MemoryArchive, index: MemoryStudyIndex, pack: StagedPack, origin: PackOrigin): Promise<void> {
  const current = new Map(resolveStudy(await archive.listIndexes(pack.tenantId, pack.studyInstanceUID)).current.map((each) => [each.sopInstanceUID, each]));
  const instances = (await archive.getHeaders(pack) ?? []).map((line): IndexedInstance => {
    const { header, unreadable: _, pixelData: __, ...instance } = line;
    const judgement = judgeInstance(line, pack);
    if (judgement.verdict === 'quarantined') return { ...instance, verdict: 'quarantined', reason: judgement.reason, attributes: {} };
    const known = current.get(instance.sopInstanceUID);
    return { ...instance, verdict: !known ? 'accepted' : known.sha256 === instance.sha256 ? 'duplicate' : 'conflict', attributes: pickIndexed(header) };
  });
  if (instances.every(({ verdict }) => verdict === 'duplicate')) return;
  await archive.commitIndex({ formatVersion: 1, tenantId: pack.tenantId, studyInstanceUID: pack.studyInstanceUID, seriesInstanceUID: pack.seriesInstanceUID,
    packId: pack.packId, origin, committedAt: new Date().toISOString(), lengthBytes: pack.lengthBytes, instances });
  const packs = await archive.listIndexes(pack.tenantId, pack.studyInstanceUID);
  await index.write(buildStudyDocuments(packs), packs.length);
}

export interface Api {
  readonly url: string;
  readonly archive: MemoryArchive;
  readonly index: MemoryStudyIndex;
  readonly audit: MemoryAuditLog;
  readonly tenants: MemoryTenantStore;
  readonly deliveries: MemoryDeliveryStore;
  readonly flows: FakeFlows;
  readonly logLines: string[];
  readonly folder: string;
  /** Sends a request below /tenants/<tenant> with a token of these roles. */
  call(path: string, options?: CallOptions): Promise<Response>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly roles?: readonly string[];
  readonly tenant?: string;
  readonly token?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | ReadableStream;
  readonly signal?: AbortSignal;
}

/** The API on a port of its own, with stores in memory and a tenant `demo`. */
export async function anApi(given: Partial<AppDeps> & { readonly archive?: MemoryArchive } = {}): Promise<Api> {
  const [archive, index, audit] = [given.archive ?? new MemoryArchive(), new MemoryStudyIndex(), new MemoryAuditLog()];
  const [tenants, deliveries] = [new MemoryTenantStore(), new MemoryDeliveryStore()];
  const flows = new FakeFlows(archive, index);
  const folder = await mkdtemp(path.join(tmpdir(), 'api-'));
  const logLines: string[] = [];
  await tenants.put({ tenantId: 'demo', gateways: [{ gatewayId: 'gw1', aeTitle: 'PACS' }], rules: [], destinations: [
    { kind: 'dicom', destinationId: 'ws1', gatewayId: 'gw1', host: '127.0.0.1', port: 104, calledAETitle: 'WS1' },
    { kind: 'dicomweb', destinationId: 'other', url: 'https://pacs.example/dicom-web', authorization: 'Bearer secret' },
  ] }, undefined);
  const codecs = createTranscoder({ threads: 1 });
  const app = createApp({
    codecs, headerCacheBytes: 1024 * 1024, stores: { archive, index, audit: audit as never, tenants, deliveries }, flows, tokenKey, publicUrl: undefined, trustedProxies: [], viewerDir: undefined, corsOrigins: [],
    ui: { url: 'http://ui.example', namespace: 'pacs' }, stow: { folder, maxBytes: 64 * 1024 * 1024, waitMs: 1000 }, verifyDigests: true,
    now: () => new Date(), checks: [], metrics: createMetrics(), log: pino({ level: 'info' }, { write: (line: string) => void logLines.push(line) }), ...given,
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url, archive, index, audit, tenants, deliveries, flows, logLines, folder,
    async call(at, { roles = ['admin'], tenant = 'demo', token, method = 'GET', headers = {}, body, signal } = {}) {
      const authorization = `Bearer ${token ?? await aToken({ roles, tenants: ['demo'] })}`;
      return fetch(`${url}/tenants/${tenant}${at}`, {
        method, headers: { Authorization: authorization, ...headers }, duplex: 'half', redirect: 'manual',
        ...(body === undefined ? {} : { body: body as never }), ...(signal ? { signal } : {}),
      } as RequestInit);
    },
    async close() {
      server.closeAllConnections();
      await codecs.close();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface FileOptions {
  readonly study?: string;
  readonly series?: string;
  readonly instance?: string;
  readonly transferSyntaxUID?: string;
  readonly patientName?: string;
  readonly instanceNumber?: string;
  readonly pixels?: Buffer;
  readonly extra?: readonly Element[];
}

/** A small CT image as a Part 10 file. */
export function aFile({ study = '1.2.3', series = '1.2.3.1', instance = '1.2.3.1.1', transferSyntaxUID = explicitLE, patientName = 'Doe^Jane', instanceNumber = '1', pixels = randomBytes(32), extra = [] }: FileOptions = {}): Buffer {
  const sopClassUID = '1.2.840.10008.5.1.4.1.1.2';
  const us = (tag: number, value: number): Element => {
    const bytes = Buffer.alloc(2);
    if (layoutOf(transferSyntaxUID).bigEndian) bytes.writeUInt16BE(value);
    else bytes.writeUInt16LE(value);
    return { tag, vr: 'US', value: bytes };
  };
  const elements: Element[] = [
    { tag: 0x00080016, vr: 'UI', value: sopClassUID }, { tag: 0x00080018, vr: 'UI', value: instance },
    { tag: 0x00080020, vr: 'DA', value: '20240501' }, { tag: 0x00080050, vr: 'SH', value: 'ACC1' }, { tag: 0x00080060, vr: 'CS', value: 'CT' },
    ...extra,
    { tag: 0x00100010, vr: 'PN', value: patientName }, { tag: 0x00100020, vr: 'LO', value: 'P1' },
    { tag: 0x0020000d, vr: 'UI', value: study }, { tag: 0x0020000e, vr: 'UI', value: series }, { tag: 0x00200013, vr: 'IS', value: instanceNumber },
    us(0x00280002, 1), { tag: 0x00280004, vr: 'CS', value: 'MONOCHROME2' }, us(0x00280010, 4), us(0x00280011, 4), us(0x00280100, 16), us(0x00280101, 16), us(0x00280102, 15), us(0x00280103, 0),
    { tag: 0x7fe00010, vr: 'OW', value: pixels },
  ];
  return Buffer.concat([encodeFileMeta({ sopClassUID, sopInstanceUID: instance, transferSyntaxUID }), encode(elements, layoutOf(transferSyntaxUID))]);
}

export interface Image { readonly rows: number; readonly columns: number; readonly frames: number; readonly bits: 1 | 16; readonly transferSyntaxUID?: string; readonly pixels: Buffer; /** Between Rows and Pixel Data. */ readonly extra?: readonly Element[]; /** Of group 0018. */ readonly timing?: readonly Element[]; readonly instance?: string }

/** A multi-frame image. */
export function anImage({ rows, columns, frames, bits, transferSyntaxUID = explicitLE, pixels, extra = [], timing = [], instance = '1.2.3.1.1' }: Image): Buffer {
  const layout = layoutOf(transferSyntaxUID);
  const us = (tag: number, value: number): Element => ({ tag, vr: 'US', value: layout.bigEndian ? Buffer.from([value >>> 8, value & 0xff]) : Buffer.from([value & 0xff, value >>> 8]) });
  const elements: Element[] = [
    { tag: 0x00080016, vr: 'UI', value: '1.2.840.10008.5.1.4.1.1.7' }, { tag: 0x00080018, vr: 'UI', value: instance }, { tag: 0x00080060, vr: 'CS', value: 'OT' }, ...timing,
    { tag: 0x0020000d, vr: 'UI', value: '1.2.3' }, { tag: 0x0020000e, vr: 'UI', value: '1.2.3.1' }, us(0x00280002, 1), { tag: 0x00280004, vr: 'CS', value: 'MONOCHROME2' },
    { tag: 0x00280008, vr: 'IS', value: String(frames) }, us(0x00280010, rows), us(0x00280011, columns), us(0x00280100, bits), us(0x00280101, bits), us(0x00280102, bits - 1), us(0x00280103, 0),
    ...extra,
    { tag: 0x7fe00010, vr: 'OW', value: pixels },
  ];
  return Buffer.concat([encodeFileMeta({ sopClassUID: '1.2.840.10008.5.1.4.1.1.7', sopInstanceUID: instance, transferSyntaxUID }), encode(elements, layout)]);
}

/** A multipart/related body, as text of RFC 2046. */
export const aMultipart = (parts: readonly Buffer[], boundary = 'b0undary', contentType = 'application/dicom'): Buffer => Buffer.concat([
  ...parts.flatMap((part) => [Buffer.from(`--${boundary}\r\nContent-Type: ${contentType}\r\n\r\n`), part, Buffer.from('\r\n')]),
  Buffer.from(`--${boundary}--\r\n`),
]);

export const multipartType = 'multipart/related; type="application/dicom"; boundary=b0undary';

export const stow = (api: Api, files: readonly Buffer[], at = '/dicom-web/studies'): Promise<Response> =>
  api.call(at, { method: 'POST', headers: { 'Content-Type': multipartType }, body: aMultipart(files) });

/** The parts of a multipart answer. */
export async function partsOf(response: Response): Promise<readonly { readonly headers: string; readonly body: Buffer }[]> {
  const boundary = /boundary=([^;]+)/.exec(response.headers.get('Content-Type') ?? '')?.[1] ?? '';
  const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
  return text.split(`--${boundary}`).slice(1, -1).map((part) => {
    const at = part.indexOf('\r\n\r\n');
    return { headers: part.slice(2, at), body: Buffer.from(part.slice(at + 4, -2), 'latin1') };
  });
}

/** The sorted values of one attribute in a sequence of a store response. */
export const valuesIn = (answer: Record<string, { readonly Value?: readonly Record<string, { readonly Value?: readonly unknown[] }>[] }>, sequence: string, tag: string): readonly unknown[] =>
  (answer[sequence]?.Value ?? []).map((item) => item[tag]?.Value?.[0]).toSorted();
