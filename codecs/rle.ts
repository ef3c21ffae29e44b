import type { ImagePixel } from '../dicom/imagePixel.ts';
import { CodecError } from './errors.ts';

/** Segments of one frame, at most (PS3.5 G.5). */
const maxSegments = 15;
const headerBytes = 64;

/**
 * Decodes one frame of RLE Lossless (PS3.5 Annex G): a segment for each byte of each sample, the most significant first.
 * Own code, because a forged offset must not read what another job left in a codec's memory.
 *
 * @returns native little endian pixels, colour by pixel
 * @throws CodecError `corrupt`
 */
export function decodeRle(bytes: Buffer, pixel: ImagePixel): Buffer {
  const sampleBytes = Math.ceil(pixel.bitsAllocated / 8);
  const segmentCount = sampleBytes * pixel.samplesPerPixel;
  if (bytes.length < headerBytes || segmentCount > maxSegments || bytes.readUInt32LE(0) !== segmentCount) {
    throw new CodecError('corrupt', 'The number of RLE segments does not fit Samples per Pixel and Bits Allocated.');
  }
  const offsets = Array.from({ length: segmentCount }, (_, index) => bytes.readUInt32LE(4 + index * 4));
  const pixels = Buffer.alloc(pixel.rows * pixel.columns * segmentCount);
  offsets.forEach((offset, segment) => {
    const sample = Math.floor(segment / sampleBytes);
    const byte = sampleBytes - 1 - segment % sampleBytes;
    decodeSegment(bytes.subarray(offset, offsets[segment + 1] ?? bytes.length), pixels, sample * sampleBytes + byte, segmentCount);
  });
  return pixels;
}

/** PackBits (PS3.5 G.3.1) into every `step`th byte. What is missing at the end is refused, what is too much is padding. */
function decodeSegment(segment: Buffer, pixels: Buffer, start: number, step: number): void {
  let to = start;
  for (let at = 0; at < segment.length && to < pixels.length;) {
    const control = segment.readInt8(at);
    at += 1;
    if (control >= 0) {
      const end = Math.min(at + control + 1, segment.length);
      for (; at < end && to < pixels.length; at += 1, to += step) pixels[to] = segment[at] ?? 0;
    } else if (control !== -128) {
      const value = segment[at] ?? 0;
      for (let left = 1 - control; left > 0 && to < pixels.length; left -= 1, to += step) pixels[to] = value;
      at += 1;
    }
  }
  if (to < pixels.length) throw new CodecError('corrupt', 'An RLE segment ends before the frame does.');
}

/** Encodes one frame; each row by itself, each segment of even length (PS3.5 G.3, G.4). @param pixels native little endian, colour by pixel */
export function encodeRle(pixels: Buffer, pixel: ImagePixel): Buffer {
  const sampleBytes = Math.ceil(pixel.bitsAllocated / 8);
  const segmentCount = sampleBytes * pixel.samplesPerPixel;
  if (segmentCount > maxSegments) throw new CodecError('unsupported', 'RLE has too few segments for such pixels.');
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(segmentCount, 0);
  const segments: Buffer[] = [];
  let offset = headerBytes;
  for (let segment = 0; segment < segmentCount; segment++) {
    const byte = Math.floor(segment / sampleBytes) * sampleBytes + sampleBytes - 1 - segment % sampleBytes;
    const encoded = encodeSegment(pixels, byte, segmentCount, pixel);
    header.writeUInt32LE(offset, 4 + segment * 4);
    segments.push(encoded);
    offset += encoded.length;
  }
  return Buffer.concat([header, ...segments]);
}

function encodeSegment(pixels: Buffer, start: number, step: number, { rows, columns }: ImagePixel): Buffer {
  const out = Buffer.alloc(rows * (columns + Math.ceil(columns / 128)) + 1);
  const row = Buffer.alloc(columns);
  let length = 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) row[x] = pixels[start + (y * columns + x) * step] ?? 0;
    length = encodeRow(row, out, length);
  }
  return Buffer.from(out.subarray(0, length + length % 2));
}

/** Runs of three and more as such, the rest as literals. @returns the length with this row */
function encodeRow(row: Buffer, out: Buffer, length: number): number {
  let literalFrom = 0;
  const literals = (to: number): void => {
    for (; literalFrom < to; ) {
      const count = Math.min(128, to - literalFrom);
      out[length++] = count - 1;
      length += row.copy(out, length, literalFrom, literalFrom + count);
      literalFrom += count;
    }
  };
  for (let x = 0; x < row.length;) {
    let end = x + 1;
    while (end < row.length && end - x < 128 && row[end] === row[x]) end += 1;
    if (end - x >= 3) {
      literals(x);
      out[length++] = 257 - (end - x);
      out[length++] = row[x] ?? 0;
      literalFrom = end;
    }
    x = end;
  }
  literals(row.length);
  return length;
}
