import type { ImagePixel } from '../dicom/imagePixel.ts';
import { decodeFrame } from './decode.ts';
import { CodecError } from './errors.ts';
import { codecsReady, encodeWith, type Encoder } from './library.ts';
import { owned } from './jobs.ts';
import { encodeRle } from './rle.ts';
import { codecRow } from './syntaxes.ts';

export interface EncodedFrame {
  readonly bytes: Buffer;
  readonly pixel: ImagePixel;
}

const encoders: Readonly<Partial<Record<string, Encoder>>> = {
  jpeg: 'encodeJpeg', jpegLs: 'encodeJpegLs', jpeg2000: 'encodeJpeg2000', htJpeg2000: 'encodeHtJpeg2000',
};

/**
 * Encodes one frame without loss. Each is decoded again and compared: what a codec cannot hold is an error, never
 * another picture.
 *
 * @param pixels native little endian
 * @throws CodecError
 */
export async function encodeFrame(transferSyntaxUID: string, pixels: Buffer, pixel: ImagePixel): Promise<EncodedFrame> {
  const row = codecRow(transferSyntaxUID);
  if (!row?.encodes) throw new CodecError('unsupported', `Frames are not encoded in transfer syntax ${transferSyntaxUID} here.`);
  const interleaved = colourByPixel(pixels, pixel);
  const source: ImagePixel = { ...pixel, planarConfiguration: 0 };
  refuseUnsupported(source, row.scheme);
  if (row.scheme !== 'rle' && !fitsBitsStored(interleaved, source)) throw new CodecError('unsupported', 'Some pixels have bits beyond Bits Stored.');
  const encoded = row.scheme === 'rle'
    ? { bytes: encodeRle(interleaved, source), pixel: source }
    : await encodeBitStream(row.scheme, interleaved, source);
  const again = await decodeFrame(transferSyntaxUID, encoded.bytes, encoded.pixel, Infinity);
  if (!again.pixels.equals(interleaved)) throw new CodecError('unsupported', `This image does not pass through transfer syntax ${transferSyntaxUID} unchanged here.`);
  return encoded;
}

async function encodeBitStream(scheme: string, pixels: Buffer, pixel: ImagePixel): Promise<EncodedFrame> {
  const encoder = encoders[scheme];
  if (!encoder) throw new CodecError('unsupported', 'There is no encoder for this transfer syntax.');
  await codecsReady();
  const bitsStored = scheme === 'jpeg' && pixel.pixelRepresentation === 1 ? pixel.bitsAllocated : pixel.bitsStored;
  const bytes = encodeWith(encoder, pixels, { ...pixel, bitsStored });
  const transformed = pixel.photometricInterpretation === 'RGB' && (scheme === 'jpeg2000' || scheme === 'htJpeg2000');
  return { bytes, pixel: transformed ? { ...pixel, photometricInterpretation: 'YBR_RCT' } : pixel };
}

const colours = new Set(['RGB', 'YBR_FULL']);

function refuseUnsupported({ bitsAllocated, bitsStored, samplesPerPixel, photometricInterpretation }: ImagePixel, scheme: string): void {
  const byComponent = scheme === 'jpeg2000' || scheme === 'htJpeg2000';
  const problem = scheme !== 'rle' && (bitsAllocated === 16 ? bitsStored <= 8 : bitsAllocated !== 8) ? 'Images of such bit depths are not compressed here.'
    : samplesPerPixel !== 1 && (samplesPerPixel !== 3 || !colours.has(photometricInterpretation)) ? 'Images of such colour are not compressed here.'
    : scheme === 'jpeg' && samplesPerPixel === 3 && photometricInterpretation !== 'RGB' ? 'JPEG Lossless takes colour as RGB here.'
    : byComponent && samplesPerPixel === 3 && (bitsAllocated !== 8 || photometricInterpretation !== 'RGB') ? 'JPEG 2000 takes colour as RGB of 8 bits here.'
    : scheme === 'rle' && bitsAllocated % 8 !== 0 ? 'RLE takes whole bytes.'
    : undefined;
  if (problem) throw new CodecError('unsupported', problem);
}

/** Readers of compressed pixels drop what is beyond Bits Stored, such as overlays of old. */
function fitsBitsStored(pixels: Buffer, { bitsAllocated, bitsStored, pixelRepresentation }: ImagePixel): boolean {
  if (bitsAllocated === bitsStored) return true;
  const unused = 32 - bitsStored;
  const samples = bitsAllocated === 8 ? pixels : new Uint16Array(owned(pixels).buffer);
  const allocated = 32 - bitsAllocated;
  for (const sample of samples) {
    const fits = pixelRepresentation === 1 ? (sample << unused) >> unused === (sample << allocated) >> allocated : (sample << unused) >>> unused === sample;
    if (!fits) return false;
  }
  return true;
}

/** Colour by plane as colour by pixel; the rest as it is. */
export function colourByPixel(pixels: Buffer, { samplesPerPixel, planarConfiguration, bitsAllocated }: ImagePixel): Buffer {
  if (samplesPerPixel === 1 || planarConfiguration === 0) return pixels;
  const bytes = Math.ceil(bitsAllocated / 8);
  const out = Buffer.alloc(pixels.length);
  const planeBytes = pixels.length / samplesPerPixel;
  for (let to = 0, from = 0; from < planeBytes; from += bytes) {
    for (let sample = 0; sample < samplesPerPixel; sample++, to += bytes) pixels.copy(out, to, sample * planeBytes + from, sample * planeBytes + from + bytes);
  }
  return out;
}
