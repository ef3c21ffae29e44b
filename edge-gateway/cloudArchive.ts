import { readFile } from 'node:fs/promises';
import type { DicomJson } from '../dicom/json.ts';
import type { Query, QueryOptions } from './services/queryKeys.ts';

/** Where the cloud's API is, and how this gateway shows who it is. */
export interface CloudTarget {
  /** Without a slash at the end. */
  readonly url: string;
  /** The token itself, or the file that holds it, read for each request so that it can be replaced. */
  readonly token: string | { readonly file: string };
}

/** One instance in the archive. */
export interface InstanceName {
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  readonly sopInstanceUID: string;
}

/** The cloud's archive of this gateway's tenant, as its queries and retrievals need it. */
export interface CloudArchive {
  /**
   * Searches the index; matches come as the cloud finds them. `unmatched` are the tags of keys that are not searched by at that level.
   *
   * @throws CloudAway, also while the matches are read; CloudRefusal
   */
  query(query: Query & { readonly options?: QueryOptions; readonly limit?: number }, signal: AbortSignal): Promise<{ readonly unmatched: readonly string[]; readonly matches: AsyncIterable<DicomJson> }>;
  /**
   * Reads one Part 10 file as it is stored, or in a transfer syntax that is asked for.
   *
   * @param transferSyntaxUID absent: as it is stored
   * @returns undefined when the archive does not have it, or not in that transfer syntax
   * @throws CloudAway, also while the bytes are read; CloudRefusal
   */
  retrieve(instance: InstanceName, transferSyntaxUID: string | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>;
}

/** The cloud does not answer now. */
export class CloudAway extends Error {
  override readonly name = 'CloudAway';
}

/** The cloud answered that it will not. */
export class CloudRefusal extends Error {
  override readonly name = 'CloudRefusal';
  readonly isAboutTheRequest: boolean;

  constructor(httpStatus: number) {
    super(`The cloud answered with HTTP status ${httpStatus}`);
    this.isAboutTheRequest = httpStatus === 400 || httpStatus === 413;
  }
}

export function createCloudArchive({ url, token }: CloudTarget, tenantId: string): CloudArchive {
  const base = `${url}/tenants/${tenantId}`;
  const ask = async (path: string, init: RequestInit): Promise<Response> => {
    const bearer = typeof token === 'string' ? token : (await readFile(token.file, 'utf8')).trim();
    const response = await fetch(`${base}${path}`, { ...init, headers: { ...init.headers, Authorization: `Bearer ${bearer}` } })
      .catch((error: unknown) => away(error, init.signal));
    if (response.ok || response.status === 404 || response.status === 406 || response.status === 410) return response;
    await response.body?.cancel();
    if (response.status >= 500 || response.status === 429) throw new CloudAway(`The cloud answered with HTTP status ${response.status}`);
    throw new CloudRefusal(response.status);
  };
  return {
    query: async (query, signal) => {
      const response = await ask('/query', { method: 'POST', body: JSON.stringify(query), headers: { 'Content-Type': 'application/json' }, signal });
      if (!response.ok) throw new CloudRefusal(response.status);
      const unmatched = (response.headers.get('Pacs-Unmatched') ?? '').split(',').filter((tag) => tag !== '');
      return { unmatched, matches: lines(piecesOf(response, signal)) };
    },
    retrieve: async ({ studyInstanceUID, seriesInstanceUID, sopInstanceUID }, transferSyntaxUID, signal) => {
      const response = await ask(`/dicom-web/studies/${studyInstanceUID}/series/${seriesInstanceUID}/instances/${sopInstanceUID}`,
        { headers: { Accept: `application/dicom; transfer-syntax=${transferSyntaxUID ?? '*'}` }, signal });
      if (response.ok) return piecesOf(response, signal);
      await response.body?.cancel();
      return undefined;
    },
  };
}

async function* piecesOf(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  try {
    yield* response.body as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    away(error, signal);
  }
}

function away(error: unknown, signal: AbortSignal | null | undefined): never {
  if (signal?.aborted) throw error;
  throw new CloudAway('The cloud cannot be reached, or broke off in the middle of an answer', { cause: error });
}

/** JSON, one data set a line. */
async function* lines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<DicomJson> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of pieces) {
    const found = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = found.pop() ?? '';
    for (const line of found) if (line !== '') yield JSON.parse(line) as DicomJson;
  }
}
