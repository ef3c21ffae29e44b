import type { Transcoder } from '../../../codecs/transcoder.ts';
import { imagePixelOf, nativeFrameBits, type ImagePixel } from '../../../dicom/imagePixel.ts';
import type { DicomJson } from '../../../dicom/json.ts';
import { readInstanceHeader, type PixelDataLocation } from '../../../dicom/part10/header.ts';
import { explicitVRLittleEndian, transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import type { InstanceHeader } from '../../../domain/instance.ts';
import type { ArchiveStore, InstanceLocation, StudyIndex } from '../../../stores/ports.ts';
import { notAcceptable, notFound } from '../../problems.ts';
import { headersOf } from './metadata.ts';
import { nameOf, type Scope } from '../parameters.ts';

export interface ImageDeps {
  readonly archive: Pick<ArchiveStore, 'getHeaders' | 'readRange'>;
  readonly index: Pick<StudyIndex, 'locate' | 'version'>;
  readonly codecs: Pick<Transcoder, 'canTranscode' | 'transcode' | 'decodeFrame' | 'render'>;
}

export interface FoundInstance {
  readonly location: InstanceLocation;
  readonly header: InstanceHeader;
}

/** @throws HttpProblem 404 */
export async function findInstance(deps: Pick<ImageDeps, 'archive' | 'index'>, tenantId: string, scope: Scope, signal: AbortSignal): Promise<FoundInstance> {
  for await (const found of headersOf(deps.archive, deps.index.locate(tenantId, scope), signal)) return found;
  throw notFound(`There is no ${nameOf(scope)} in this archive.`);
}

/** An instance whose frames can be read one by one. */
export interface ImageSource {
  readonly location: InstanceLocation;
  readonly header: DicomJson;
  readonly pixel: ImagePixel;
  readonly pixelData: PixelDataLocation;
  /** Of the bytes that `read` gives. */
  readonly transferSyntaxUID: string;
  /** Bytes of the Part 10 file. */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
}

/**
 * Frames are read by range from where ingest found them. A data set that is deflated or big endian is read whole and
 * re-encoded first.
 *
 * @throws HttpProblem 404 when the instance has no pixels
 */
export async function openImage(deps: Pick<ImageDeps, 'archive' | 'codecs'>, { location, header }: FoundInstance, signal: AbortSignal): Promise<ImageSource> {
  const read = (offsetBytes: number, lengthBytes: number): Promise<Buffer> => readBytes(deps.archive, location, offsetBytes, lengthBytes, signal);
  const stored = transferSyntax(location.transferSyntaxUID);
  if (stored?.deflated !== true && stored?.bigEndian !== true) return imageSource(location, header, location.transferSyntaxUID, read);
  const file = await deps.codecs.transcode(await read(0, location.lengthBytes), explicitVRLittleEndian, signal);
  const slice = async (offsetBytes: number, lengthBytes: number): Promise<Buffer> => file.subarray(offsetBytes, offsetBytes + lengthBytes);
  return imageSource(location, await readInstanceHeader({ lengthBytes: file.length, read: slice }), explicitVRLittleEndian, slice);
}

function imageSource(location: InstanceLocation, { header, pixelData }: Pick<InstanceHeader, 'header' | 'pixelData'>, transferSyntaxUID: string, read: ImageSource['read']): ImageSource {
  const pixel = imagePixelOf(header);
  if (!pixelData || !pixel || header['7FE00010'] === undefined || pixelData.lengthBytes < 0) throw notFound(`Instance ${location.sopInstanceUID} has no frames.`);
  return { location, header, pixel, pixelData: pixelData as PixelDataLocation, transferSyntaxUID, read };
}

/** A part of one instance's Part 10 file. */
export async function readBytes(archive: Pick<ArchiveStore, 'readRange'>, location: InstanceLocation, offsetBytes: number, lengthBytes: number, signal: AbortSignal): Promise<Buffer> {
  if (lengthBytes === 0) return Buffer.alloc(0);
  const stream = await archive.readRange(location, location.offsetBytes + offsetBytes, lengthBytes, signal);
  const pieces: Buffer[] = [];
  try {
    for await (const piece of stream) pieces.push(piece as Buffer);
  } finally {
    stream.destroy();
  }
  const [only, ...more] = pieces;
  return only && more.length === 0 ? only : Buffer.concat(pieces);
}

/**
 * One frame, by one read: native pixels from where arithmetic says they are, of compressed ones the fragments without
 * their item tags (PS3.18 8.7.3.4: a frame is one stream).
 *
 * @param frame from 1 to Number of Frames
 */
export async function frameBytes(source: ImageSource, frame: number): Promise<Buffer> {
  const { pixel, pixelData } = source;
  if (pixelData.encapsulated) return encapsulatedFrame(source, frame);
  const bits = nativeFrameBits(pixel);
  const start = (frame - 1) * bits;
  const [from, to] = [Math.floor(start / 8), Math.ceil((start + bits) / 8)];
  if (to > pixelData.lengthBytes) throw notFound(`Instance ${source.location.sopInstanceUID} ends before frame ${frame} does.`);
  const bytes = await source.read(pixelData.offsetBytes + from, to - from);
  return bits % 8 === 0 ? bytes : realigned(bytes, start % 8, bits);
}

async function encapsulatedFrame({ location, pixelData, read }: ImageSource, frame: number): Promise<Buffer> {
  const fragments = pixelData.frames?.[frame - 1];
  const [first, last] = [fragments?.[0], fragments?.at(-1)];
  if (!fragments || !first || !last) {
    throw notAcceptable(`The fragments of instance ${location.sopInstanceUID} do not tell its frames apart. Retrieve the instance.`);
  }
  const bytes = await read(first[0], last[0] + last[1] - first[0]);
  if (fragments.length === 1) return bytes;
  return Buffer.concat(fragments.map(([offset, length]) => bytes.subarray(offset - first[0], offset - first[0] + length)));
}

/** Pixels of one bit start at any bit of a byte; the frame handed out starts at the first (PS3.5 8.1.1, least significant first). */
function realigned(bytes: Buffer, shift: number, bits: number): Buffer {
  const out = Buffer.alloc(Math.ceil(bits / 8));
  for (let at = 0; at < out.length; at++) out[at] = ((bytes[at] ?? 0) >>> shift) | (((bytes[at + 1] ?? 0) << (8 - shift)) & 0xff);
  if (bits % 8 !== 0) out[out.length - 1]! &= (1 << bits % 8) - 1;
  return out;
}
