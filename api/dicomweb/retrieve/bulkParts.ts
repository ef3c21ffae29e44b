import type { MediaRange } from '../accept.ts';
import { partStart } from '../multipart.ts';
import { openBulk, pixelDataTag, type BulkSource, type BulkValue } from './bulkSource.ts';
import { partTypeOf, readFrames } from './frames.ts';
import { frameWayFor } from './frameTypes.ts';
import { openImage, type FoundInstance, type ImageDeps } from './imageSource.ts';

/** Parts of a body that hold bulk data: a value as it is, or of compressed Pixel Data each frame. */
export interface BulkPartOptions {
  readonly boundary: string;
  /** The URL of the instance. */
  readonly instance: string;
  /** What the client takes of compressed frames. */
  readonly ranges: readonly MediaRange[];
}

const octetStream = 'application/octet-stream';

/** Of the instance the values that `wanted` names; whole values stream, frames are in memory one at a time. */
export async function* bulkParts(deps: ImageDeps, found: FoundInstance, wanted: (source: BulkSource) => Iterable<BulkValue>, options: BulkPartOptions, first: boolean, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const source = await openBulk(deps, found, signal);
  let isFirst = first;
  for (const value of wanted(source)) {
    if (isCompressed(source, value)) yield* frameParts(deps, found, options, isFirst, signal);
    else {
      yield partStart(options.boundary, { contentType: octetStream, contentLocation: `${options.instance}/bulkdata/${value.path.join('/')}`, contentLength: value.lengthBytes }, isFirst);
      yield* source.read(value.offsetBytes, value.lengthBytes);
    }
    isFirst = false;
  }
}

export const isCompressed = ({ encapsulated }: BulkSource, { path }: BulkValue): boolean => encapsulated && path.length === 1 && path[0] === pixelDataTag;

async function* frameParts(deps: ImageDeps, found: FoundInstance, { boundary, instance, ranges }: BulkPartOptions, first: boolean, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const image = await openImage(deps, found, signal);
  const way = frameWayFor(ranges, image.transferSyntaxUID, false);
  if (!way) throw new Error(`Frames of instance ${found.location.sopInstanceUID} cannot be given as asked`);
  let isFirst = first;
  for await (const { number, bytes } of readFrames(deps, image, everyFrame(image.pixel.numberOfFrames), way, signal)) {
    yield partStart(boundary, { contentType: partTypeOf(way), contentLocation: `${instance}/frames/${number}`, contentLength: bytes.length }, isFirst);
    yield bytes;
    isFirst = false;
  }
}

/** Decoded frames one behind the other, as native Pixel Data has them (PS3.5 8.1.1), padded to an even length. */
export async function* decodedPixels(deps: ImageDeps, found: FoundInstance, ranges: readonly MediaRange[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const image = await openImage(deps, found, signal);
  const way = frameWayFor(ranges, image.transferSyntaxUID, true);
  if (!way) throw new Error(`Frames of instance ${found.location.sopInstanceUID} cannot be given as asked`);
  let lengthBytes = 0;
  for await (const { bytes } of readFrames(deps, image, everyFrame(image.pixel.numberOfFrames), way, signal)) {
    lengthBytes += bytes.length;
    yield bytes;
  }
  if (lengthBytes % 2 === 1) yield Buffer.alloc(1);
}

const everyFrame = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at + 1);
