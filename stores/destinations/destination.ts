import { randomBytes } from 'node:crypto';
import type { DicomWebDestination } from '../../domain/tenant.ts';
import { DestinationUnavailable, type InstanceToSend, type Probe, type Sender, type SendResult } from '../ports.ts';
import { postInstances, UnreadablePart, type HttpAnswer, type MultipartPart } from './multipartPost.ts';
import { readStoreResponse } from './storeResponse.ts';

export interface DicomWebSenderValues {
  /** Limits of one request. Defaults 64 MiB and 100; an instance that is larger goes alone. */
  readonly batchBytes?: number;
  readonly batchInstances?: number;
  /** Of a connection on which nothing moves, and of the wait for the answer, in milliseconds. Default 120000. */
  readonly idleTimeoutMs?: number;
}

/**
 * Sends instances to a STOW-RS origin server (PS3.18 10.5), batch after batch, streamed: memory does not grow with their
 * size. Sending again is safe as far as the destination takes the same instance twice.
 *
 * @throws DestinationUnavailable when the connection fails or the answer is 408, 425, 429 or 5xx; results yielded before stand
 */
export function createDicomWebSender(values: DicomWebSenderValues = {}): Sender<DicomWebDestination> {
  const { batchBytes = 64 * 1024 * 1024, batchInstances = 100, idleTimeoutMs = 120_000 } = values;
  return {
    async* send(destination, instances, signal) {
      const waiting = [...batches(instances, batchBytes, batchInstances)];
      for (let batch = waiting.shift(); batch; batch = waiting.shift()) {
        signal.throwIfAborted();
        const answer = await post(destination, batch, idleTimeoutMs, signal);
        if (answer.status === 413 && batch.length > 1) waiting.unshift(...halves(batch));
        else yield* resultsOf(destination, batch, answer);
      }
    },
  };
}

type Batch = readonly InstanceToSend[];

function* batches(instances: Batch, maxBytes: number, maxInstances: number): Iterable<Batch> {
  let batch: InstanceToSend[] = [];
  let bytes = 0;
  for (const instance of instances) {
    if (batch.length > 0 && (batch.length === maxInstances || bytes + instance.lengthBytes > maxBytes)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(instance);
    bytes += instance.lengthBytes;
  }
  if (batch.length > 0) yield batch;
}

const halves = (batch: Batch): readonly Batch[] => {
  const middle = Math.ceil(batch.length / 2);
  return [batch.slice(0, middle), batch.slice(middle)];
};

async function post({ destinationId, url, authorization }: DicomWebDestination, batch: Batch, idleTimeoutMs: number, signal: AbortSignal): Promise<HttpAnswer> {
  try {
    return await postInstances({
      url: `${url.replace(/\/+$/, '')}/studies`, boundary: `pacs-${randomBytes(12).toString('hex')}`, parts: batch.map(partOf), idleTimeoutMs, signal,
      headers: { accept: 'application/dicom+json', ...(authorization === undefined ? {} : { authorization }) },
    });
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof UnreadablePart) throw error.cause;
    throw new DestinationUnavailable(`Destination ${destinationId} cannot be reached: ${(error as Error).message}`, { cause: error });
  }
}

const partOf = (instance: InstanceToSend): MultipartPart =>
  ({ contentType: 'application/dicom', lengthBytes: instance.lengthBytes, open: () => instance.open() });

/** Statuses that PS3.18 Table 10.5.3-1 and HTTP give a meaning for all instances alike. */
function resultsOf({ destinationId }: DicomWebDestination, batch: Batch, { status, headers, body }: HttpAnswer): readonly SendResult[] {
  if (isAboutTime(status)) {
    throw new DestinationUnavailable(`Destination ${destinationId} is not available: HTTP ${status}`, { status, retryAfterMs: retryAfterMs(headers['retry-after']) });
  }
  if (status === 200 || status === 202 || status === 409) return readStoreResponse(batch, status, body);
  const problem = problems[status] ?? `The destination answered with HTTP ${status}`;
  return batch.map(({ sopInstanceUID }) => ({ sopInstanceUID, outcome: 'refused', status, problem }));
}

const probeTimeoutMs = 20_000;

/** A search for one study: any answer but one that says "later" shows that the server is there, also that it does not search. */
export const probeDicomWeb: Probe<DicomWebDestination> = async ({ destinationId, url, authorization }, signal) => {
  let status: number;
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/studies?limit=1`, { redirect: 'manual', signal: AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]),
      headers: { accept: 'application/dicom+json', ...(authorization === undefined ? {} : { authorization }) } });
    ({ status } = response);
    await response.body?.cancel();
  } catch (error) {
    signal.throwIfAborted();
    const { cause } = error as Error;
    throw new DestinationUnavailable(`Destination ${destinationId} cannot be reached: ${(cause instanceof Error ? cause : error as Error).message}`, { cause: error });
  }
  if (isAboutTime(status)) throw new DestinationUnavailable(`Destination ${destinationId} is not available: HTTP ${status}`, { status });
};

/** The answers that pass by themselves. */
const isAboutTime = (status: number): boolean => status >= 500 || status === 408 || status === 425 || status === 429;

const problems: Readonly<Record<number, string | undefined>> = {
  400: 'The destination finds no valid request in it (HTTP 400)',
  401: 'The destination does not accept the credentials it is given (HTTP 401)',
  403: 'The destination does not permit this (HTTP 403)',
  404: 'The destination has no STOW-RS service at this address (HTTP 404)',
  413: 'The instance is larger than the destination takes (HTTP 413)',
  415: 'The destination does not take DICOM files (HTTP 415)',
};

/** Seconds or a date (RFC 9110 10.2.3). @returns undefined when it is neither */
export function retryAfterMs(header: string | undefined, now: number = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
