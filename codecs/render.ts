import sharp, { type Sharp } from 'sharp';
import { imagePixelOf, type ImagePixel } from '../dicom/imagePixel.ts';
import { readInstanceHeader } from '../dicom/part10/header.ts';
import { paletteOf, rgbOf } from './colour.ts';
import { decodeFrame } from './decode.ts';
import { CodecError } from './errors.ts';
import { displayOf, frameAttributes, type FrameAttributes, type ReadBulk, type Window } from './grayscale.ts';

export type ImageType = 'image/jpeg' | 'image/png' | 'image/gif';

/** What a client asks of a rendered image (PS3.18 8.3.5). */
export interface RenderOptions {
  readonly type: ImageType;
  /** Of JPEG, 1 to 100. */
  readonly quality?: number | undefined;
  readonly window?: Window | undefined;
  /** Pixels of the display that the picture has to fit in, and the part of the picture that is shown. */
  readonly viewport?: {
    readonly width: number; readonly height: number;
    /** To the picture's right and lower edge by default; a negative width or height flips. */
    readonly source?: { readonly x: number; readonly y: number; readonly width: number | undefined; readonly height: number | undefined } | undefined;
    /** Whether a smaller picture is made larger. */
    readonly enlarge: boolean;
  } | undefined;
}

export interface FrameToRender {
  /** The Part 10 file from its start up to Pixel Data, little endian and not deflated. */
  readonly head: Uint8Array;
  /** One frame, its fragments joined. */
  readonly frame: Uint8Array;
  readonly frameNumber: number;
}

/** Pixels of a picture that is made larger. */
const maxOutputPixels = 64 * 1024 * 1024;
/** Pixels of all frames of a moving picture, four bytes each while it is made. */
const maxFilmPixels = 32 * 1024 * 1024;

/**
 * Makes a picture of one frame: decoded, with modality and VOI transformations and palette, as 8 bits of grey or RGB.
 *
 * @throws CodecError
 */
export async function renderFrame({ head, frame, frameNumber }: FrameToRender, options: RenderOptions, maxBytes: number): Promise<Buffer> {
  const file = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const { header, transferSyntaxUID } = await readInstanceHeader({ lengthBytes: file.length, read: async (at, length) => file.subarray(at, at + length) });
  const described = imagePixelOf(header);
  if (!described || transferSyntaxUID === undefined) throw new CodecError('unsupported', 'The attributes do not describe an image.');
  const { pixels, pixel } = await decodeFrame(transferSyntaxUID, Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength), described, maxBytes);
  const bulk: ReadBulk = (attribute) => {
    const place = /^#(\d+),(\d+)$/.exec(attribute?.BulkDataURI ?? '');
    return place ? file.subarray(Number(place[1]), Number(place[1]) + Number(place[2])) : undefined;
  };
  const { data, channels } = eightBitsOf(pixels, pixel, frameAttributes(header, frameNumber, bulk), options.window);
  const image = sharp(data, { raw: { width: pixel.columns, height: pixel.rows, channels } });
  return encoded(channels === 1 ? image.toColourspace('b-w') : image, pixel, options);
}

function eightBitsOf(pixels: Buffer, pixel: ImagePixel, attributes: FrameAttributes, window: Window | undefined): { readonly data: Buffer; readonly channels: 1 | 3 } {
  if (pixel.samplesPerPixel === 3) return { data: rgbOf(pixels, pixel), channels: 3 };
  if (pixel.samplesPerPixel !== 1) throw new CodecError('unsupported', 'Only images of one or three samples per pixel are rendered.');
  const values = storedValues(pixels, pixel);
  if (pixel.photometricInterpretation === 'PALETTE COLOR') return { data: paletteOf(values, attributes.top, attributes.bulk), channels: 3 };
  const display = displayOf(attributes, pixel, values, window);
  return { data: throughTable(values, pixel, display), channels: 1 };
}

/** @param png the first of the pictures @throws CodecError when they have too many pixels in all */
export async function requireFilm(png: Buffer, frameCount: number): Promise<void> {
  const { width, height } = await sharp(png).metadata();
  if (width * height * frameCount > maxFilmPixels) throw new CodecError('tooLarge', 'Its frames have more pixels in all than a moving picture is made of. Ask for a smaller viewport, or for single frames.');
}

/** A GIF that shows pictures of one size, given as PNG, one after the other, for ever. */
export async function animate(pngs: readonly Buffer[], frameMs: number): Promise<Buffer> {
  // Grey pictures that are joined come out transparent.
  const coloured = await Promise.all(pngs.map((png) => sharp(png).toColourspace('srgb').png({ compressionLevel: 1 }).toBuffer()));
  return sharp(coloured, { join: { animated: true } }).gif({ delay: pngs.map(() => frameMs), loop: 0 }).toBuffer();
}

/** Every stored value of 16 bits has its place in a table, filled where a value comes up. */
function throughTable(values: ArrayLike<number>, { bitsAllocated }: ImagePixel, display: (value: number) => number): Buffer {
  const out = Buffer.alloc(values.length);
  if (bitsAllocated > 16) {
    for (let at = 0; at < values.length; at++) out[at] = display(values[at]!);
    return out;
  }
  const table = new Int16Array(65536).fill(-1);
  for (let at = 0; at < values.length; at++) {
    const key = values[at]! & 0xffff;
    if (table[key]! < 0) table[key] = display(values[at]!);
    out[at] = table[key]!;
  }
  return out;
}

/** Stored values as numbers: bits beyond Bits Stored, where old files have overlays, are cut off (PS3.5 8.1.1). */
function storedValues(pixels: Buffer, { bitsAllocated, bitsStored, pixelRepresentation, rows, columns }: ImagePixel): ArrayLike<number> {
  if (bitsAllocated === 1) return Uint8Array.from({ length: rows * columns }, (_, at) => (pixels[at >>> 3]! >>> (at & 7)) & 1);
  const words = new Uint8Array(pixels).buffer;
  const signed = pixelRepresentation === 1;
  if (bitsAllocated === 32) return signed ? new Int32Array(words) : new Uint32Array(words);
  if (bitsAllocated !== 8 && bitsAllocated !== 16) throw new CodecError('unsupported', 'Images of such bit depths are not rendered here.');
  const samples = bitsAllocated === 8 ? (signed ? new Int8Array(words) : new Uint8Array(words)) : signed ? new Int16Array(words) : new Uint16Array(words);
  if (bitsStored === bitsAllocated) return samples;
  const unused = 32 - bitsStored;
  for (let at = 0; at < samples.length; at++) samples[at] = signed ? (samples[at]! << unused) >> unused : (samples[at]! << unused) >>> unused;
  return samples;
}

async function encoded(image: Sharp, { rows, columns }: ImagePixel, { type, quality, viewport }: RenderOptions): Promise<Buffer> {
  let shown = image;
  if (viewport?.source) {
    const { x, y, width = columns, height = rows } = viewport.source;
    const inside = { left: Math.min(Math.round(x), columns - 1), top: Math.min(Math.round(y), rows - 1) };
    const within = (asked: number, room: number): number => Math.max(1, Math.min(Math.round(Math.abs(asked)), room));
    shown = shown.extract({ ...inside, width: within(width, columns - inside.left), height: within(height, rows - inside.top) }).flop(width < 0).flip(height < 0);
  }
  if (viewport) {
    if (viewport.width * viewport.height > maxOutputPixels) throw new CodecError('tooLarge', 'The viewport asked for is larger than pictures are made.');
    shown = shown.resize({ width: viewport.width, height: viewport.height, fit: 'inside', withoutEnlargement: !viewport.enlarge });
  }
  if (type === 'image/png') return shown.png({ compressionLevel: 3 }).toBuffer();
  return type === 'image/gif' ? shown.gif().toBuffer() : shown.jpeg({ quality: quality ?? 90 }).toBuffer();
}
