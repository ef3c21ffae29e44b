import type { Request } from 'express';
import { isDataSet, type DicomJson, type JsonAttribute } from '../../../dicom/json.ts';
import { transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import type { ArchiveStore, InstanceLocation, StudyIndex } from '../../../stores/ports.ts';
import type { TenantHandler } from '../../context.ts';
import { badRequest, HttpProblem, notAcceptable, notFound } from '../../problems.ts';
import { isNotModified, sendStream } from '../../stream.ts';
import { acceptedRanges } from '../accept.ts';
import { headersOf, placeOf } from './metadata.ts';
import { nameOf, scopeOf } from '../parameters.ts';

export interface BulkDataDeps {
  readonly archive: Pick<ArchiveStore, 'getHeaders' | 'readRange'>;
  readonly index: Pick<StudyIndex, 'locate'>;
}

/** The bytes of one value that the metadata left out (PS3.18 10.4.1.1.5), also in part by Range (RFC 9110 14). */
export const createBulkData = (deps: BulkDataDeps): TenantHandler =>
  async function bulkData(context, request, response) {
    const scope = scopeOf(request);
    const path = attributePath(request);
    if (!acceptedRanges(request, context.query).some(({ type }) => acceptable.has(type))) throw notAcceptable('Bulk data is given as application/octet-stream. Ask for that in Accept.');
    const [found] = await Array.fromAsync(headersOf(deps.archive, deps.index.locate(context.tenantId, scope), context.signal));
    if (!found) throw notFound(`There is no ${nameOf(scope)} in this archive.`);
    const place = placeOf(attributeAt(found.header.header, path));
    if (!place) throw notFound(`Instance ${scope.sopInstanceUID} has no bulk data at ${path.join('/')}. Its metadata has the URLs of what it has.`);
    refuseOtherEncodings(found.location, found.header.pixelData?.encapsulated === true && found.header.pixelData.offsetBytes === place.offsetBytes);
    const etag = `"${found.location.sha256}-${place.offsetBytes}"`;
    response.setHeader('ETag', etag).setHeader('Accept-Ranges', 'bytes');
    if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();

    const range = rangeOf(request.get('Range'), place.lengthBytes, request.get('If-Range'), etag);
    const { location } = found;
    await sendStream(context, response, {
      status: range.partial ? 206 : 200,
      headers: {
        'Content-Type': 'application/octet-stream', 'Content-Length': String(range.lengthBytes),
        'Content-Range': range.partial ? `bytes ${range.from}-${range.from + range.lengthBytes - 1}/${place.lengthBytes}` : undefined,
      },
    }, read(deps.archive, location, location.offsetBytes + place.offsetBytes + range.from, range.lengthBytes, context.signal));
  };

const acceptable = new Set(['application/octet-stream', 'application/*', '*/*']);

async function* read(archive: Pick<ArchiveStore, 'readRange'>, location: InstanceLocation, offsetBytes: number, lengthBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (lengthBytes === 0) return;
  const stream = await archive.readRange(location, offsetBytes, lengthBytes, signal);
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } finally {
    stream.destroy();
  }
}

/** `7FE00010`, or tag and item number in turn: `54000100/1/54001010`. */
function attributePath(request: Request): readonly string[] {
  const parts = [request.params['path']].flat().map((part) => String(part).toUpperCase());
  if (parts.length % 2 === 1 && parts.every((part, at) => (at % 2 === 0 ? /^[0-9A-F]{8}$/ : /^[1-9]\d{0,5}$/).test(part))) return parts;
  throw badRequest('A bulk data URL names an attribute by eight hexadecimal digits, within sequences tag and item number in turn. Take it from the metadata.');
}

function attributeAt(dataSet: DicomJson, [tag = '', item, ...rest]: readonly string[]): JsonAttribute | undefined {
  const attribute = dataSet[tag];
  if (item === undefined) return attribute;
  const next = attribute?.Value?.[Number(item) - 1];
  return isDataSet(next) ? attributeAt(next as DicomJson, rest) : undefined;
}

/** Only bytes that are the value as Explicit VR Little Endian has it are given. */
function refuseOtherEncodings({ transferSyntaxUID, sopInstanceUID }: InstanceLocation, compressedPixels: boolean): void {
  const known = transferSyntax(transferSyntaxUID);
  if (!compressedPixels && !known?.bigEndian && !known?.deflated) return;
  throw notAcceptable(`Instance ${sopInstanceUID} is stored in transfer syntax ${transferSyntaxUID}, in which this value is not given by itself. Retrieve the instance with transfer-syntax=*.`);
}

interface ByteRange {
  readonly from: number;
  readonly lengthBytes: number;
  readonly partial: boolean;
}

/** Several ranges, and other units, are answered with the whole. @throws HttpProblem 416 */
function rangeOf(header: string | undefined, totalBytes: number, ifRange: string | undefined, etag: string): ByteRange {
  const whole = { from: 0, lengthBytes: totalBytes, partial: false };
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.replaceAll(' ', '') ?? '');
  if (!match || match[0] === 'bytes=-' || (ifRange !== undefined && ifRange !== etag)) return whole;
  const [, first = '', last = ''] = match;
  const from = first === '' ? Math.max(0, totalBytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? totalBytes - 1 : Math.min(Number(last), totalBytes - 1);
  if (from <= to) return { from, lengthBytes: to - from + 1, partial: true };
  throw new HttpProblem(416, `The value has ${totalBytes} bytes; the range asked for lies outside.`, { headers: { 'Content-Range': `bytes */${totalBytes}` } });
}
