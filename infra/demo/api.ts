import { createHash } from 'node:crypto';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import type { TenantConfig } from '../../domain/tenant.ts';

export interface Flow {
  readonly flowId: string;
  readonly type: string;
  readonly state: string;
  readonly sentence?: string;
  readonly temporalUI: string;
  readonly counts?: Readonly<Record<string, number>>;
  readonly result?: Readonly<Record<string, number>>;
}
export interface HistoryEvent {
  readonly at: string;
  readonly action: string;
  readonly actor: string;
  readonly detail?: string;
  readonly counts?: Readonly<Record<string, number>>;
}
type DicomObject = Readonly<Record<string, { readonly Value?: readonly unknown[] }>>;

/** The API as an integrator's program uses it: a base URL and a token. */
export class DemoApi {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(base: string, token: string) {
    this.#base = base;
    this.#headers = { authorization: `Bearer ${token}` };
  }

  /** Changes the tenant's configuration, guarded by its ETag. */
  async configure(change: (config: TenantConfig) => TenantConfig): Promise<void> {
    const answer = await this.#get('config');
    const config = (await answer.json()) as TenantConfig;
    const put = await fetch(`${this.#base}/config`, {
      method: 'PUT', body: JSON.stringify(change(config)),
      headers: { ...this.#headers, 'content-type': 'application/json', 'if-match': answer.headers.get('etag') ?? '*' },
    });
    if (!put.ok) throw new Error(`The configuration was not taken: ${put.status} ${await put.text()}`);
  }

  async findInstances(studyInstanceUID: string): Promise<number> {
    const answer = await this.#get(`dicom-web/studies?StudyInstanceUID=${studyInstanceUID}`);
    if (answer.status === 204) return 0;
    const [study] = (await answer.json()) as readonly DicomObject[];
    return Number(study?.['00201208']?.Value?.[0] ?? 0);
  }

  async flows(studyInstanceUID: string): Promise<readonly Flow[]> {
    const { flows } = (await (await this.#get(`flows?studyInstanceUID=${studyInstanceUID}&limit=50`)).json()) as { readonly flows: readonly Flow[] };
    return Promise.all(flows.map(async ({ flowId }) => (await (await this.#get(`flows/${flowId}`)).json()) as Flow));
  }

  async history(studyInstanceUID: string): Promise<readonly HistoryEvent[]> {
    const { events } = (await (await this.#get(`studies/${studyInstanceUID}/history`)).json()) as { readonly events: readonly HistoryEvent[] };
    return events;
  }

  /** The study by WADO-RS: SHA-256 of each data set by SOP Instance UID (PS3.18 10.4, multipart/related). */
  async retrieve(studyInstanceUID: string): Promise<ReadonlyMap<string, string>> {
    const answer = await this.#get(`dicom-web/studies/${studyInstanceUID}`, 'multipart/related; type="application/dicom"; transfer-syntax=*');
    const boundary = /boundary="?([^";]+)/.exec(answer.headers.get('content-type') ?? '')?.[1];
    if (!boundary) return new Map();
    return new Map(parts(Buffer.from(await answer.arrayBuffer()), boundary).map(digestOf));
  }

  async #get(path: string, accept = 'application/json, application/dicom+json'): Promise<Response> {
    const answer = await fetch(`${this.#base}/${path}`, { headers: { ...this.#headers, accept } });
    if (!answer.ok) throw new Error(`GET ${path} gave ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    return answer;
  }
}

function digestOf(file: Buffer): readonly [string, string] {
  const meta = parseFileMeta(file);
  if ('needMore' in meta) throw new Error('A part of the answer is no whole Part 10 file');
  return [meta.mediaStorageSOPInstanceUID ?? '', createHash('sha256').update(file.subarray(meta.dataSetOffsetBytes)).digest('hex')];
}

/** Bodies of a multipart answer (RFC 2046 5.1). */
function parts(body: Buffer, boundary: string): readonly Buffer[] {
  const found: Buffer[] = [];
  const delimiter = Buffer.from(`--${boundary}`);
  for (let at = body.indexOf(delimiter); at >= 0;) {
    const next = body.indexOf(Buffer.from(`\r\n--${boundary}`), at);
    const start = body.indexOf('\r\n\r\n', at);
    if (next < 0 || start < 0) break;
    found.push(body.subarray(start + 4, next));
    at = next + 2;
  }
  return found;
}
