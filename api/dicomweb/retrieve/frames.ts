import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type { TenantHandler } from '../../context.ts';
import { badRequest, notFound } from '../../problems.ts';
import { isNotModified, sendStream } from '../../stream.ts';
import { resourceURL } from '../attributes.ts';
import { frameWayOf, type FrameWay } from './frameTypes.ts';
import { findInstance, frameBytes, openImage, type ImageDeps, type ImageSource } from './imageSource.ts';
import { multipartContentType, multipartEnd, partStart } from '../multipart.ts';
import { scopeOf } from '../parameters.ts';

/** Frames of one request. */
const maxFrames = 10_000;

/** WADO-RS frames of an instance, in the order asked for (PS3.18 10.4.1.1.6); one read of the archive a frame. */
export const createFrames = (deps: ImageDeps): TenantHandler =>
  async function frames(context, request, response) {
    const numbers = frameList(request);
    const source = await openImage(deps, await findInstance(deps, context.tenantId, scopeOf(request), context.signal), context.signal);
    const outside = numbers.find((number) => number > source.pixel.numberOfFrames);
    if (outside !== undefined) throw notFound(`Instance ${source.location.sopInstanceUID} has ${source.pixel.numberOfFrames} frames; ${outside} is none of them.`);
    const way = frameWayOf(request, context.query, source.transferSyntaxUID, numbers.length === 1);
    const { studyInstanceUID, seriesInstanceUID, sopInstanceUID, sha256 } = source.location;
    const boundary = createHash('sha256').update(JSON.stringify([sha256, numbers, way])).digest('hex').slice(0, 32);
    const etag = `"${boundary}"`;
    response.setHeader('Vary', 'Accept').setHeader('ETag', etag);
    if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();

    const given = readFrames(deps, source, numbers, way, context.signal);
    const instance = resourceURL(`${context.tenantUrl}/dicom-web`, studyInstanceUID, seriesInstanceUID, sopInstanceUID);
    await sendStream(context, response, {
      status: 200, headers: { 'Content-Type': way.envelope === 'single' ? partTypeOf(way) : multipartContentType(boundary, way.mediaType) },
    }, way.envelope === 'single' ? single(given) : parts(given, boundary, partTypeOf(way), instance));
  };

export const partTypeOf = ({ mediaType, transferSyntaxUID }: FrameWay): string => `${mediaType}; transfer-syntax=${transferSyntaxUID}`;

/** @throws HttpProblem 400 */
export function frameList(request: Request): readonly number[] {
  const numbers = String(request.params['frames']).split(',');
  if (numbers.length <= maxFrames && numbers.every((number) => /^[1-9]\d{0,8}$/.test(number))) return numbers.map(Number);
  throw badRequest(`The frames in the URL are numbers from 1 on, separated by commas, ${maxFrames} at most.`);
}

interface GivenFrame {
  readonly number: number;
  readonly bytes: Buffer;
}

/** The next frame is read while the one before is decoded and sent. */
export async function* readFrames(deps: ImageDeps, source: ImageSource, numbers: readonly number[], way: FrameWay, signal: AbortSignal): AsyncGenerator<GivenFrame> {
  const read = (number: number | undefined): Promise<Buffer> | undefined => {
    const bytes = number === undefined ? undefined : frameBytes(source, number);
    bytes?.catch(() => {});
    return bytes;
  };
  let ahead = read(numbers[0]);
  for (const [at, number] of numbers.entries()) {
    const bytes = await ahead!;
    ahead = read(numbers[at + 1]);
    yield { number, bytes: way.transcoded ? await transcoded(deps, source, bytes, way, signal) : bytes };
  }
}

async function transcoded({ codecs }: ImageDeps, { header, transferSyntaxUID }: ImageSource, bytes: Buffer, way: FrameWay, signal: AbortSignal): Promise<Buffer> {
  return (await codecs.decodeFrame({ header, bytes, transferSyntaxUID }, way.transferSyntaxUID, signal)).bytes;
}

async function* single(frames: AsyncGenerator<GivenFrame>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of frames) yield bytes;
}

async function* parts(frames: AsyncGenerator<GivenFrame>, boundary: string, contentType: string, instance: string): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const { number, bytes } of frames) {
    yield partStart(boundary, { contentType, contentLocation: `${instance}/frames/${number}`, contentLength: bytes.length }, first);
    first = false;
    yield bytes;
  }
  yield multipartEnd(boundary);
}
