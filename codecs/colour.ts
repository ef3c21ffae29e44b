import type { DicomJson } from '../dicom/json.ts';
import type { ImagePixel } from '../dicom/imagePixel.ts';
import { colourByPixel } from './encode.ts';
import { CodecError } from './errors.ts';
import { entriesOf, type ReadBulk } from './grayscale.ts';

/** A frame of three samples as RGB of 8 bits, colour by pixel (PS3.3 C.7.6.3.1.2). */
export function rgbOf(pixels: Buffer, pixel: ImagePixel): Buffer {
  const { photometricInterpretation: photometric, bitsAllocated, bitsStored } = pixel;
  if (photometric === 'YBR_FULL_422') return ybrToRGB(from422(pixels));
  const bytes = eightBits(colourByPixel(pixels, pixel), bitsAllocated, bitsStored);
  if (photometric === 'RGB') return bytes;
  if (photometric === 'YBR_FULL') return ybrToRGB(bytes);
  throw new CodecError('unsupported', `Images of photometric interpretation ${photometric} are not rendered here.`);
}

function eightBits(pixels: Buffer, bitsAllocated: number, bitsStored: number): Buffer {
  if (bitsAllocated === 8) return pixels;
  if (bitsAllocated !== 16) throw new CodecError('unsupported', 'Colour images are rendered up to 16 bits.');
  return Buffer.from(Uint8Array.from(new Uint16Array(new Uint8Array(pixels).buffer), (value) => value >>> Math.max(0, bitsStored - 8)));
}

/** Two luminances, then the chrominance of both. */
function from422(pixels: Buffer): Buffer {
  const out = Buffer.alloc(Math.floor(pixels.length / 4) * 6);
  for (let from = 0, to = 0; from + 4 <= pixels.length; from += 4, to += 6) {
    out[to] = pixels[from]!;
    out[to + 3] = pixels[from + 1]!;
    out[to + 1] = out[to + 4] = pixels[from + 2]!;
    out[to + 2] = out[to + 5] = pixels[from + 3]!;
  }
  return out;
}

function ybrToRGB(ybr: Buffer): Buffer {
  const out = new Uint8ClampedArray(ybr.length);
  for (let at = 0; at + 3 <= ybr.length; at += 3) {
    const [y, cb, cr] = [ybr[at]!, ybr[at + 1]! - 128, ybr[at + 2]! - 128];
    out[at] = y + 1.402 * cr;
    out[at + 1] = y - 0.344136 * cb - 0.714136 * cr;
    out[at + 2] = y + 1.772 * cb;
  }
  return Buffer.from(out.buffer);
}

/** Palette colour (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6) by the three lookup tables. Segmented tables are not read. */
export function paletteOf(values: ArrayLike<number>, header: DicomJson, bulk: ReadBulk): Buffer {
  const channels = ['1', '2', '3'].map((channel) => {
    const descriptor = (header[`0028110${channel}`]?.Value ?? []).map((value) => (typeof value === 'number' ? value : 0));
    const [count = 0, first = 0, bits = 16] = descriptor;
    const entries = entriesOf(header[`0028120${channel}`], count === 0 ? 65536 : count, bits, bulk);
    if (!entries || entries.length === 0) throw new CodecError('unsupported', 'The palette has no lookup tables that are read here.');
    return { entries, first, shift: bits > 8 ? 8 : 0 };
  });
  const out = Buffer.alloc(values.length * 3);
  for (const [channel, { entries, first, shift }] of channels.entries()) {
    const last = entries.length - 1;
    for (let at = 0; at < values.length; at++) out[at * 3 + channel] = entries[Math.min(last, Math.max(0, values[at]! - first))]! >>> shift;
  }
  return out;
}
