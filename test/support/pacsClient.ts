import { createHash } from 'node:crypto';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import type { DeliveryLedger } from '../../domain/delivery.ts';
import type { SetAside } from '../../domain/documents.ts';
import type { AuditEvent } from '../../domain/audit.ts';
import type { TenantConfig } from '../../domain/tenant.ts';

/** One instance as WADO-RS gave it. */
export interface Retrieved {
  readonly sopInstanceUID: string;
  readonly transferSyntaxUID: string;
  readonly dataSetSha256: string;
}

export interface FlowSummary {
  readonly flowId: string;
  readonly type: string;
  readonly state: string;
  readonly sentence?: string;
  readonly result?: Readonly<Record<string, number>>;
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The HTTP API as a program of one tenant uses it. */
export class PacsClient {
  readonly origin: string;
  readonly base: string;
  readonly token: string;

  constructor(origin: string, tenantId: string, token: string) {
    this.origin = origin;
    this.base = `${origin}/tenants/${tenantId}`;
    this.token = token;
  }

  call(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.base}/${path}`, { ...init, headers: { authorization: `Bearer ${this.token}`, ...init.headers as Record<string, string> } });
  }

  /** @throws unless the answer is a success */
  async json<T>(path: string): Promise<T> {
    const answer = await this.call(path);
    if (!answer.ok) throw new Error(`GET ${path} gave ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    return await answer.json() as T;
  }

  /** Changes the configuration, guarded by its ETag. */
  async configure(change: (config: TenantConfig) => Partial<TenantConfig>): Promise<void> {
    const answer = await this.call('config');
    const config = await answer.json() as TenantConfig;
    const put = await this.call('config', { method: 'PUT', body: JSON.stringify({ ...config, ...change(config) }),
      headers: { 'content-type': 'application/json', 'if-match': answer.headers.get('etag') ?? '*' } });
    if (!put.ok) throw new Error(`The configuration was not taken: ${put.status} ${await put.text()}`);
  }

  /** Number of Study Related Instances by QIDO-RS, 0 when the study is not found. */
  async findInstances(studyInstanceUID: string): Promise<number> {
    const answer = await this.call(`dicom-web/studies?StudyInstanceUID=${studyInstanceUID}`);
    if (answer.status === 204) return 0;
    const [study] = await answer.json() as readonly Readonly<Record<string, { readonly Value?: readonly unknown[] }>>[];
    return Number(study?.['00201208']?.Value?.[0] ?? 0);
  }

  /** Whether searches find so many instances; a study is found no sooner than its series and instances. */
  async isFound(studyInstanceUID: string, count: number): Promise<boolean> {
    const answer = await this.call(`dicom-web/studies/${studyInstanceUID}/instances?limit=1000`);
    const instances = answer.status === 200 ? (await answer.json() as readonly unknown[]).length : 0;
    return instances === count && await this.findInstances(studyInstanceUID) === count;
  }

  /** Every instance of a study as it is archived (PS3.18 8.7.3.5.2, transfer-syntax=*); none when there is no such study. */
  async retrieve(studyInstanceUID: string): Promise<readonly Retrieved[]> {
    const answer = await this.call(`dicom-web/studies/${studyInstanceUID}`, { headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' } });
    if (answer.status === 404) return [];
    const boundary = /boundary="?([^";]+)/.exec(answer.headers.get('content-type') ?? '')?.[1];
    if (!answer.ok || !boundary) throw new Error(`WADO-RS gave ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    return partsOf(Buffer.from(await answer.arrayBuffer()), boundary).map(retrievedOf);
  }

  /** What stands beside a study's current instances. */
  async setAside(studyInstanceUID: string): Promise<readonly SetAside[]> {
    const answer = await this.call(`studies/${studyInstanceUID}/conflicts?limit=1000`);
    return answer.status === 404 ? [] : (await answer.json() as { readonly instances: readonly SetAside[] }).instances;
  }

  ledger = (destinationId: string, studyInstanceUID: string): Promise<DeliveryLedger> => this.json(`destinations/${destinationId}/deliveries/${studyInstanceUID}`);
  history = async (studyInstanceUID: string): Promise<readonly AuditEvent[]> => (await this.json<{ readonly events: readonly AuditEvent[] }>(`studies/${studyInstanceUID}/history`)).events;
  flow = (flowId: string): Promise<FlowSummary> => this.json(`flows/${flowId}`);
  flows = async (studyInstanceUID: string): Promise<readonly FlowSummary[]> =>
    (await this.json<{ readonly flows: readonly FlowSummary[] }>(`flows?studyInstanceUID=${studyInstanceUID}&limit=50`)).flows;
}

function retrievedOf(file: Buffer): Retrieved {
  const meta = parseFileMeta(file);
  if ('needMore' in meta) throw new Error('A part of the answer is no whole Part 10 file');
  return { sopInstanceUID: meta.mediaStorageSOPInstanceUID ?? '', transferSyntaxUID: meta.transferSyntaxUID ?? '', dataSetSha256: sha256(file.subarray(meta.dataSetOffsetBytes)) };
}

/** Bodies of a multipart answer (RFC 2046 5.1). */
function partsOf(body: Buffer, boundary: string): readonly Buffer[] {
  const found: Buffer[] = [];
  for (let at = body.indexOf(`--${boundary}`); at >= 0;) {
    const next = body.indexOf(`\r\n--${boundary}`, at);
    const start = body.indexOf('\r\n\r\n', at);
    if (next < 0 || start < 0) break;
    found.push(body.subarray(start + 4, next));
    at = next + 2;
  }
  return found;
}
