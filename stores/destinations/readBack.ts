import type { DicomWebDestination } from '../../domain/tenant.ts';
import { textOf } from '../../domain/indexedAttributes.ts';
import type { DicomJson } from '../../dicom/json.ts';
import { DestinationUnavailable, type ReadBack } from '../ports.ts';

const pageLimit = 500;
const timeoutMs = 60_000;
const sopInstanceUIDTag = '00080018';

/** By QIDO-RS for the instances of each series (PS3.18 10.6), page by page; only UIDs are kept. */
export const readBackDicomWeb: ReadBack<DicomWebDestination> = async (destination, { studyInstanceUID, seriesInstanceUIDs }, signal) => {
  const found = new Set<string>();
  for (const seriesInstanceUID of seriesInstanceUIDs) {
    for (let offset = 0; ;) {
      const page = await readPage(destination, `studies/${studyInstanceUID}/series/${seriesInstanceUID}/instances?limit=${pageLimit}&offset=${offset}`, signal);
      const before = found.size;
      for (const match of page) found.add(textOf(match, sopInstanceUIDTag)?.trim() ?? '');
      // A server that knows no offset answers the first page for ever.
      if (page.length === 0 || found.size === before) break;
      offset += page.length;
    }
  }
  return found;
};

async function readPage({ destinationId, url, authorization }: DicomWebDestination, resource: string, signal: AbortSignal): Promise<readonly DicomJson[]> {
  const unavailable = (why: string, cause?: unknown) => new DestinationUnavailable(`Destination ${destinationId} does not answer a search for instances: ${why}`, { cause });
  let response: Response;
  let body: string;
  try {
    response = await fetch(`${url.replace(/\/+$/, '')}/${resource}`, { redirect: 'manual', signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      headers: { accept: 'application/dicom+json', ...(authorization === undefined ? {} : { authorization }) } });
    body = await response.text();
  } catch (error) {
    signal.throwIfAborted();
    throw unavailable((error as Error).message, error);
  }
  if (response.status === 204 || response.status === 404) return [];
  if (response.status !== 200) throw unavailable(`HTTP ${response.status}`);
  try {
    const matches = JSON.parse(body) as unknown;
    if (Array.isArray(matches)) return matches as readonly DicomJson[];
  } catch (error) {
    throw unavailable('the answer is no JSON', error);
  }
  throw unavailable('the answer is no list');
}
