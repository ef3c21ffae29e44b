import { randomUUIDv7 } from 'node:crypto';
import type { Request } from 'express';
import { stringifyDicomJson } from '../../../dicom/json.ts';
import { stringifyDicomXml } from '../../../dicom/xml.ts';
import type { PackOrigin, StagedPack } from '../../../domain/pack.ts';
import { priorities } from '../../../domain/tenant.ts';
import { readPackHeaders } from '../../../stores/packs/packHeaders.ts';
import type { ArchiveStore, TenantStore } from '../../../stores/ports.ts';
import { ingestWorkflowId } from '../../../workflows/ids.ts';
import type { TenantContext, TenantHandler } from '../../context.ts';
import type { Flows } from '../../flowsClient.ts';
import { flowUrl } from '../../flowUrls.ts';
import { badRequest, HttpProblem, unavailable, unknownTenant } from '../../problems.ts';
import { negotiateDataSet, parseMediaRange } from '../accept.ts';
import { instancesOfMetadata, jsonMetadata, xmlMetadata, type MetadataSyntax } from './metadataInstances.ts';
import { parseMultipart, type Part } from './multipartParser.ts';
import { uidParameter } from '../parameters.ts';
import { receivePart, type ReceivedInstance, type Refusal } from './receivePart.ts';
import { storeResponse, storeStatus } from './storeResponse.ts';
import { storeVerdicts } from './storeVerdicts.ts';
import { StowPacks, type ClosedPack } from './stowPacks.ts';
import { StowSpool, tooLarge } from './stowSpool.ts';
import { Uploads } from './uploads.ts';
import { xmlMediaType } from '../xmlPart.ts';

export interface StoreDeps {
  readonly archive: Pick<ArchiveStore, 'putPack' | 'putHeaders' | 'getIndex' | 'listIndexes'>;
  readonly tenants: Pick<TenantStore, 'get'>;
  readonly flows: Pick<Flows, 'startIngest' | 'ended'>;
  readonly folder: string;
  readonly maxBytes: number;
  /** How long a sender waits for the verdicts. */
  readonly waitMs: number;
  readonly now: () => Date;
}

/** The gateway's name in packs and flows that came by STOW-RS. */
export const stowGatewayId = 'stow';

/**
 * STOW-RS (PS3.18 10.5). Success is answered when the archive has committed the instances. When the sender goes
 * away before the last boundary, nothing is stored; afterwards, everything is.
 */
export const createStore = (deps: StoreDeps): TenantHandler =>
  async function store(context, request, response) {
    const contentType = negotiateDataSet(request, context.query);
    const studyInstanceUID = uidParameter(request, 'study');
    const body = bodyOf(request, deps.maxBytes);
    if (!await deps.tenants.get(context.tenantId)) throw unknownTenant();

    const received = await receiveRequest(deps, context, body, studyInstanceUID);
    const verdicts = received.packs.length === 0 ? { stored: [], refused: [] } : await ingest(deps, context, received);

    const result = { stored: verdicts.stored, refused: [...received.refused, ...verdicts.refused] };
    const answer = storeResponse(result, `${context.tenantUrl}/dicom-web`, studyInstanceUID);
    response.status(storeStatus(result)).vary('Accept').type(contentType).send(Buffer.from(contentType === xmlMediaType ? stringifyDicomXml(answer) : stringifyDicomJson(answer)));
  };

/** What a request sends: Part 10 files, or metadata and bulk data apart. */
interface StoreBody {
  readonly parts: AsyncIterable<Part>;
  readonly metadata: MetadataSyntax | undefined;
}

const metadataSyntaxes: readonly MetadataSyntax[] = [jsonMetadata, xmlMetadata];
const mediaTypes = ['application/dicom', ...metadataSyntaxes.map(({ mediaType }) => mediaType)];
/** What a store request may be. */
export const storeMediaTypes: readonly string[] = mediaTypes.map((type) => `multipart/related; type="${type}"`);

/** @throws HttpProblem 400, 413, 415 */
function bodyOf(request: Request, maxBytes: number): StoreBody {
  const media = parseMediaRange(request.get('Content-Type') ?? '');
  const type = media?.type === 'multipart/related' ? media.parameters.get('type')?.toLowerCase() ?? 'application/dicom' : media?.type;
  if (!media || !type || !mediaTypes.includes(type)) {
    throw new HttpProblem(415, `Instances are stored as multipart/related; boundary=…; type="application/dicom", one Part 10 file in each part, or with metadata and bulk data apart, type ${metadataSyntaxes.map(({ mediaType }) => `"${mediaType}"`).join(' or ')}.`);
  }
  if ((request.get('Content-Encoding') ?? 'identity') !== 'identity') throw new HttpProblem(415, 'The body is taken without a Content-Encoding.');
  if (Number(request.get('Content-Length') ?? 0) > maxBytes + maxBytes / 16) throw tooLarge(maxBytes);
  const bytes = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  const metadata = metadataSyntaxes.find(({ mediaType }) => mediaType === type);
  if (media.type !== 'multipart/related') return { parts: onePart(bytes, type), metadata };
  const boundary = media.parameters.get('boundary');
  if (!boundary || !/^[\x20-\x7e]{1,200}$/.test(boundary)) throw badRequest('The Content-Type has no usable boundary. Give boundary=… with 1 to 70 characters.');
  return { parts: parseMultipart(bytes, boundary), metadata };
}

async function* onePart(body: AsyncIterable<Buffer>, type: string): AsyncGenerator<Part> {
  yield { headers: new Map([['content-type', type]]), body: (async function* () { yield* body; })() };
}

interface ReceivedRequest {
  readonly flowId: string;
  readonly origin: PackOrigin;
  readonly packs: readonly StagedPack[];
  readonly instances: readonly ReceivedInstance[];
  readonly refused: readonly Refusal[];
}

/** Reads the body to its end; packs are uploaded as they close. Afterwards every pack lies in the archive, not yet committed. */
async function receiveRequest(deps: StoreDeps, context: TenantContext, { parts, metadata }: StoreBody, studyInstanceUID: string | undefined): Promise<ReceivedRequest> {
  const associationId = randomUUIDv7();
  const receivedAt = deps.now().toISOString();
  const spool = await StowSpool.open(deps.folder, deps.maxBytes);
  const bulkSpool = metadata ? await StowSpool.open(deps.folder, deps.maxBytes) : undefined;
  const uploads = new Uploads<StagedPack>(2);
  const stage = (pack: ClosedPack): Promise<void> => uploads.start(() => stagePack(deps.archive, pack, associationId, context.signal));
  const instances: ReceivedInstance[] = [];
  const refused: Refusal[] = [];
  try {
    const packs = new StowPacks(context.tenantId, spool);
    for await (const part of metadata && bulkSpool ? instancesOfMetadata(parts, metadata, bulkSpool) : parts) {
      const taken = 'kind' in part ? part : await receivePart(part, spool, studyInstanceUID);
      if (taken.kind === 'refused') refused.push(taken.refusal);
      else instances.push(taken.instance);
      const closed = taken.kind === 'received' ? packs.add(taken.instance) : undefined;
      if (closed) await stage(closed);
    }
    if (instances.length + refused.length === 0) throw badRequest('The body has no part. Put one Part 10 file into each part.');
    for (const closed of packs.end()) await stage(closed);
    const origin = { kind: 'stow', gatewayId: stowGatewayId, associationId, callingAETitle: context.subject, calledAETitle: 'STOW-RS', receivedAt } as const;
    return { flowId: ingestWorkflowId(context.tenantId, stowGatewayId, associationId), origin, packs: await uploads.results(), instances, refused };
  } finally {
    await uploads.settled();
    await spool.close();
    await bulkSpool?.close();
  }
}

async function stagePack(archive: StoreDeps['archive'], pack: ClosedPack, associationId: string, signal: AbortSignal): Promise<StagedPack> {
  await archive.putPack(pack.identity, pack.file, { signal });
  await archive.putHeaders(pack.identity, await Array.fromAsync(readPackHeaders(pack.file, pack.instances)), signal);
  return { ...pack.identity, gatewayId: stowGatewayId, associationId, lengthBytes: pack.lengthBytes, instanceCount: pack.instances.length };
}

/** Hands the packs to their flow and waits for its end. @throws HttpProblem 503 with the URL of the flow that takes too long */
async function ingest(deps: StoreDeps, { tenantId, tenantUrl, signal }: TenantContext, { flowId, origin, packs, instances }: ReceivedRequest) {
  const end = { how: 'released', at: deps.now().toISOString() } as const;
  const work = packs.map((pack) => ({ kind: 'staged', pack }) as const);
  const flowIds = await deps.flows.startIngest(flowId, { tenantId, origin, priority: priorities.ingest }, work, end);
  const waitsUntil = performance.now() + deps.waitMs;
  for (const each of flowIds) {
    if (await deps.flows.ended(each, Math.max(0, Math.floor(waitsUntil - performance.now())), signal)) continue;
    const url = flowUrl(tenantUrl, each);
    throw unavailable(`Everything was received and nothing is lost, but it is not archived yet. Follow the flow ${each}; sending the instances again changes nothing.`, 30, { headers: { Location: url }, members: { flow: url } });
  }
  return storeVerdicts(deps.archive, packs.map((identity) => ({ identity })), instances, signal);
}
