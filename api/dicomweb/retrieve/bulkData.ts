import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import type { TenantContext, TenantHandler } from '../../context.ts';
import { badRequest, notAcceptable, notFound } from '../../problems.ts';
import { isNotModified, sendStream } from '../../stream.ts';
import { acceptedRanges, type MediaRange } from '../accept.ts';
import { resourceURL } from '../attributes.ts';
import { byteRangeOf } from '../byteRange.ts';
import { multipartContentType, multipartEnd } from '../multipart.ts';
import { nameOf, scopeOf } from '../parameters.ts';
import { bulkParts, decodedPixels, isCompressed } from './bulkParts.ts';
import { bulkValueAt, bulkValuesOf, isPixelData, openBulk, type BulkSource, type BulkValue } from './bulkSource.ts';
import { frameWayFor } from './frameTypes.ts';
import { findInstance, type FoundInstance, type ImageDeps } from './imageSource.ts';
import { headersOf } from './metadata.ts';
import { peek } from './peek.ts';

const octetStream = 'application/octet-stream';
/** Instances looked at before the status is chosen. */
const lookAhead = 2000;

/**
 * The bytes of one value that the metadata left out (PS3.18 10.4.1.1.5), also in part by Range (RFC 9110 14), alone or in an
 * envelope. Compressed Pixel Data comes decoded, or in an envelope frame by frame.
 */
export const createBulkData = (deps: ImageDeps): TenantHandler =>
  async function bulkData(context, request, response) {
    const scope = scopeOf(request);
    const path = attributePath(request);
    const found = await findInstance(deps, context.tenantId, scope, context.signal);
    const source = await openBulk(deps, found, context.signal);
    const value = bulkValueAt(source.header, path);
    if (!value) throw notFound(`Instance ${scope.sopInstanceUID} has no bulk data at ${path.join('/')}. Its metadata has the URLs of what it has.`);
    const way = wayOf(acceptedRanges(request, context.query), found, isCompressed(source, value));
    response.setHeader('Vary', 'Accept');
    if (way.how === 'alone') return sendBytes(context, request, response, found, source, value);
    const boundary = digestOf([found.location.sha256, path, way]);
    const etag = `"${boundary}"`;
    response.setHeader('ETag', etag);
    if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();
    if (way.how === 'decoded') return sendStream(context, response, { status: 200, headers: { 'Content-Type': octetStream, 'Accept-Ranges': 'none' } }, decodedPixels(deps, found, way.ranges, context.signal));
    const options = { boundary, instance: instanceURL(context, found), ranges: way.ranges };
    await sendStream(context, response, { status: 200, headers: { 'Content-Type': multipartContentType(boundary, frameWayFor(way.ranges, found.location.transferSyntaxUID, false)?.mediaType ?? octetStream) } },
      ended(bulkParts(deps, found, () => [value], options, true, context.signal), boundary));
  };

async function* ended(parts: AsyncGenerator<Uint8Array>, boundary: string): AsyncGenerator<Uint8Array> {
  yield* parts;
  yield multipartEnd(boundary);
}

/** The value alone as it is, alone and decoded, or in parts. */
interface BulkWay {
  readonly how: 'alone' | 'decoded' | 'parts';
  readonly ranges: readonly MediaRange[];
}

const aloneTypes: ReadonlySet<string> = new Set([octetStream, 'application/*', '*/*']);
const isEnvelope = ({ type }: MediaRange): boolean => type === 'multipart/related' || type === 'multipart/*';
const isOctets = ({ parameters }: MediaRange): boolean => [undefined, octetStream, '*/*'].includes(parameters.get('type')?.toLowerCase());

/** @throws HttpProblem 406 */
function wayOf(accepted: readonly MediaRange[], { location }: FoundInstance, compressed: boolean): BulkWay {
  for (const range of accepted) {
    const ranges = [range];
    if (!compressed) {
      if (aloneTypes.has(range.type)) return { how: 'alone', ranges };
      if (isEnvelope(range) && isOctets(range)) return { how: 'parts', ranges };
    } else if ((range.type === octetStream || range.type === 'application/*') && frameWayFor(ranges, location.transferSyntaxUID, true)?.transcoded) return { how: 'decoded', ranges };
    else if (frameWayFor(ranges, location.transferSyntaxUID, false)) return { how: 'parts', ranges };
  }
  throw notAcceptable(compressed
    ? `Pixel Data of instance ${location.sopInstanceUID} is stored in transfer syntax ${location.transferSyntaxUID} and cannot be given as asked. Ask for multipart/related; type="${octetStream}", or for its frames as they are stored with multipart/related; transfer-syntax=*.`
    : `This value is given as ${octetStream}, or as multipart/related; type="${octetStream}". Ask for that in Accept.`);
}

async function sendBytes(context: TenantContext, request: Request, response: Response, { location }: FoundInstance, source: BulkSource, value: BulkValue): Promise<void> {
  const etag = `"${location.sha256}-${value.path.join('-')}"`;
  response.setHeader('ETag', etag).setHeader('Accept-Ranges', 'bytes');
  if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();
  const range = byteRangeOf(request.get('Range'), value.lengthBytes, request.get('If-Range'), etag);
  await sendStream(context, response, {
    status: range.partial ? 206 : 200,
    headers: {
      'Content-Type': octetStream, 'Content-Length': String(range.lengthBytes),
      'Content-Range': range.partial ? `bytes ${range.from}-${range.from + range.lengthBytes - 1}/${value.lengthBytes}` : undefined,
    },
  }, source.read(value.offsetBytes + range.from, range.lengthBytes));
}

/** All bulk data, or all Pixel Data, of a study, a series or an instance, a part a value or a frame (PS3.18 10.4.1.1.5 and 10.4.1.1.7). */
export const createBulkDataOf = (deps: ImageDeps, what: 'bulkdata' | 'pixeldata'): TenantHandler =>
  async function bulkDataOf(context, request, response) {
    const scope = scopeOf(request);
    const ranges = acceptedRanges(request, context.query).filter((range) => isEnvelope(range) || range.type === '*/*');
    if (ranges.length === 0 || (what === 'bulkdata' && !ranges.some(isOctets))) throw notAcceptable(`Bulk data of many values is given as multipart/related; type="${octetStream}". Ask for that in Accept.`);
    const version = await deps.index.version(context.tenantId, scope.studyInstanceUID);
    const located = await peek(deps.index.locate(context.tenantId, scope), lookAhead);
    if (located.seen.length === 0) throw notFound(`There is no ${nameOf(scope)} in this archive.`);
    const isTaken = ({ transferSyntaxUID }: { readonly transferSyntaxUID: string }): boolean => frameWayFor(ranges, transferSyntaxUID, false) !== undefined;
    const missing = located.seen.filter((location) => !isTaken(location)).length;
    if (missing === located.seen.length) throw notAcceptable(`It is stored in transfer syntax ${located.seen[0]!.transferSyntaxUID} and cannot be given as asked. Ask for multipart/related; transfer-syntax=* for compressed frames as they are stored.`);
    const boundary = digestOf([context.tenantId, context.tenantUrl, scope, version, what, ranges.map(({ type, parameters }) => [type, ...parameters])]);
    const etag = `W/"${boundary}"`;
    response.setHeader('Vary', 'Accept').setHeader('ETag', etag);
    if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();
    const wanted = ({ header }: BulkSource): Iterable<BulkValue> => bulkValuesOf(header).filter((value) => what === 'bulkdata' || isPixelData(value));
    async function* parts(): AsyncGenerator<Uint8Array> {
      let first = true;
      for await (const found of headersOf(deps.archive, located.all(isTaken), context.signal)) {
        for await (const piece of bulkParts(deps, found, wanted, { boundary, instance: instanceURL(context, found), ranges }, first, context.signal)) {
          first = false;
          yield piece;
        }
      }
      if (first) throw notFound(`${nameOf(scope)} has no ${what === 'pixeldata' ? 'Pixel Data' : 'bulk data'}.`);
      yield multipartEnd(boundary);
    }
    const type = (what === 'pixeldata' && frameWayFor(ranges, located.seen.find(isTaken)!.transferSyntaxUID, false)?.mediaType) || octetStream;
    await sendStream(context, response, {
      status: missing > 0 ? 206 : 200,
      headers: { 'Content-Type': multipartContentType(boundary, type), Warning: missing > 0 ? `299 pacs "${missing} instances are not available in the transfer syntaxes asked for"` : undefined },
    }, parts());
  };

const digestOf = (what: unknown): string => createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 32);

const instanceURL = ({ tenantUrl }: TenantContext, { location }: FoundInstance): string =>
  resourceURL(`${tenantUrl}/dicom-web`, location.studyInstanceUID, location.seriesInstanceUID, location.sopInstanceUID);

/** `7FE00010`, or tag and item number in turn: `54000100/1/54001010`. */
function attributePath(request: Request): readonly string[] {
  const parts = [request.params['path']].flat().map((part) => String(part).toUpperCase());
  if (parts.length % 2 === 1 && parts.every((part, at) => (at % 2 === 0 ? /^[0-9A-F]{8}$/ : /^[1-9]\d{0,5}$/).test(part))) return parts;
  throw badRequest('A bulk data URL names an attribute by eight hexadecimal digits, within sequences tag and item number in turn. Take it from the metadata.');
}
