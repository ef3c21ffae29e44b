import { inflateRawSync } from 'node:zlib';
import { nativeFrameBytes, type ImagePixel } from '../dicom/imagePixel.ts';
import { readBitStream, type BitStream } from './bitstream.ts';
import { CodecError } from './errors.ts';
import { codecsReady, decodeWith, type Decoder } from './library.ts';
import { decodeRle } from './rle.ts';
import { codecRow, nativeSyntaxes } from './syntaxes.ts';

export interface DecodedFrame {
  /** Native little endian, as Explicit VR Little Endian has it. */
  readonly pixels: Buffer;
  /** What the attributes of the image are now. */
  readonly pixel: ImagePixel;
  /** Something was lost when it was compressed (PS3.3 C.7.6.1.1.5). */
  readonly lossy: boolean;
}

/**
 * Decodes one frame.
 *
 * @param bytes the fragments of the frame, joined
 * @param maxBytes of the decoded frame; more is refused before anything is allocated
 * @throws CodecError
 */
export async function decodeFrame(transferSyntaxUID: string, bytes: Buffer, pixel: ImagePixel, maxBytes: number): Promise<DecodedFrame> {
  const frameBytes = nativeFrameBytes(pixel);
  if (frameBytes > maxBytes) throw new CodecError('tooLarge', `A frame of this image has ${frameBytes} bytes when decoded; ${maxBytes} are the limit.`);
  if (nativeSyntaxes.has(transferSyntaxUID)) return asItIs(bytes, pixel, frameBytes);
  const row = codecRow(transferSyntaxUID);
  if (!row?.decodes) throw new CodecError('unsupported', `Frames in transfer syntax ${transferSyntaxUID} are not decoded here.`);
  switch (row.scheme) {
    case 'native': return asItIs(bytes, pixel, frameBytes);
    case 'deflate': return asItIs(inflated(bytes, frameBytes), pixel, frameBytes);
    case 'rle': return { pixels: decodeRle(bytes, pixel), pixel: byPixel(pixel, pixel.photometricInterpretation), lossy: false };
    case 'jpegXl': throw new CodecError('unsupported', 'JPEG XL is not decoded here.');
    default: return decodeBitStream(row.scheme, bytes, pixel);
  }
}

function asItIs(bytes: Buffer, pixel: ImagePixel, frameBytes: number): DecodedFrame {
  if (bytes.length < frameBytes) throw new CodecError('corrupt', 'The frame has fewer bytes than its attributes ask for.');
  return { pixels: bytes.subarray(0, frameBytes), pixel, lossy: false };
}

/** One byte more, for a frame of odd length may be padded. */
function inflated(bytes: Buffer, frameBytes: number): Buffer {
  try {
    return inflateRawSync(bytes, { maxOutputLength: frameBytes + 1 });
  } catch (error) {
    throw new CodecError('corrupt', 'The deflated frame cannot be inflated, or inflates to more than its attributes ask for.', { cause: error });
  }
}

const byPixel = (pixel: ImagePixel, photometricInterpretation: string): ImagePixel => ({ ...pixel, photometricInterpretation, planarConfiguration: 0 });

const decoders: Readonly<Record<'jpeg' | 'jpegLs' | 'jpeg2000' | 'htJpeg2000', Decoder>> = {
  jpeg: 'decodeJpeg', jpegLs: 'decodeJpegLs', jpeg2000: 'decodeJpeg2000', htJpeg2000: 'decodeHtJpeg2000',
};

async function decodeBitStream(scheme: keyof typeof decoders, bytes: Buffer, pixel: ImagePixel): Promise<DecodedFrame> {
  const stream = readBitStream(scheme, bytes);
  if (stream.width !== pixel.columns || stream.height !== pixel.rows || stream.components !== pixel.samplesPerPixel) {
    throw new CodecError('corrupt', 'The compressed frame has another size, or another number of components, than the attributes say.');
  }
  if (stream.bitsPerSample > pixel.bitsAllocated) throw new CodecError('corrupt', 'The compressed frame has more bits than the attributes allocate.');
  refuseUnsupported(scheme, stream, pixel);
  const toRGB = stream.lossy && scheme === 'jpeg' && pixel.photometricInterpretation.startsWith('YBR_');
  const sampleBytes = stream.bitsPerSample <= 8 ? 1 : 2;
  await codecsReady();
  const decoded = decodeWith(decoders[scheme], bytes, {
    ...pixel, bitsAllocated: sampleBytes * 8, bitsStored: stream.bitsPerSample,
    pixelRepresentation: scheme === 'jpeg2000' || scheme === 'htJpeg2000' ? Number(stream.signed) : 0,
  }, { convertColorspaceToRgb: toRGB });
  const samples = pixel.rows * pixel.columns * pixel.samplesPerPixel;
  if (decoded.length !== samples * sampleBytes) throw new CodecError('corrupt', 'The compressed frame decodes to another length than its attributes ask for.');
  const interleaved = stream.byPlane ? interleave(decoded, pixel.samplesPerPixel, sampleBytes) : decoded;
  return {
    pixels: withSign(widened(interleaved, sampleBytes, pixel.bitsAllocated / 8), stream, pixel),
    pixel: pixel.samplesPerPixel === 1 ? pixel : byPixel(pixel, toRGB ? 'RGB' : decodedPhotometric(pixel.photometricInterpretation)),
    lossy: stream.lossy,
  };
}

/** What the library is known to do wrong. */
function refuseUnsupported(scheme: keyof typeof decoders, stream: BitStream, { bitsAllocated, samplesPerPixel }: ImagePixel): void {
  const problem = bitsAllocated !== 8 && bitsAllocated !== 16 ? 'Only 8 and 16 allocated bits are decoded.'
    : samplesPerPixel !== 1 && samplesPerPixel !== 3 ? 'Only one and three samples per pixel are decoded.'
    : scheme === 'jpeg2000' && samplesPerPixel === 3 && stream.bitsPerSample > 8 ? 'JPEG 2000 in colour is decoded up to 8 bits.'
    : undefined;
  if (problem) throw new CodecError('unsupported', problem);
}

/** The multiple component transformation is undone by the decoder (PS3.5 8.2.4); other colour stays as it was. */
const decodedPhotometric = (coded: string): string =>
  coded === 'YBR_RCT' || coded === 'YBR_ICT' ? 'RGB' : coded === 'YBR_FULL_422' ? 'YBR_FULL' : coded;

function interleave(planes: Buffer, samples: number, sampleBytes: number): Buffer {
  const out = Buffer.alloc(planes.length);
  const planeBytes = planes.length / samples;
  for (let to = 0, from = 0; from < planeBytes; from += sampleBytes) {
    for (let sample = 0; sample < samples; sample++, to += sampleBytes) planes.copy(out, to, sample * planeBytes + from, sample * planeBytes + from + sampleBytes);
  }
  return out;
}

function widened(decoded: Buffer, from: number, to: number): Buffer {
  if (from === to) return decoded;
  const out = Buffer.alloc(decoded.length * 2);
  for (let at = 0; at < decoded.length; at++) out[at * 2] = decoded[at] ?? 0;
  return out;
}

/** Two's complement over all allocated bits where the attributes say signed, whatever the bit stream thinks its samples are. */
function withSign(pixels: Buffer, stream: BitStream, { pixelRepresentation, bitsAllocated }: ImagePixel): Buffer {
  const unused = bitsAllocated - stream.bitsPerSample;
  if (unused === 0 || (pixelRepresentation === 0 && stream.signed !== true)) return pixels;
  const mask = (1 << stream.bitsPerSample) - 1;
  const view = bitsAllocated === 8 ? pixels : new Uint16Array(pixels.buffer, pixels.byteOffset, pixels.length / 2);
  for (let at = 0; at < view.length; at++) {
    const value = view[at]! & mask;
    view[at] = pixelRepresentation === 1 ? (value << (32 - stream.bitsPerSample)) >> (32 - stream.bitsPerSample) : value;
  }
  return pixels;
}
