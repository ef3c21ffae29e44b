import { CodecError } from './errors.ts';
import type { Scheme } from './syntaxes.ts';

/** What a compressed frame says of itself. */
export interface BitStream {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly bitsPerSample: number;
  /** Samples are signed by the bit stream's own word; JPEG and JPEG-LS have none. */
  readonly signed?: boolean;
  /** Something was lost: by DCT, by a near-lossless bound, by the irreversible wavelet. */
  readonly lossy: boolean;
  /** The decoder gives all samples of a component, then those of the next. */
  readonly byPlane: boolean;
}

/**
 * Reads the header of a compressed frame, before anything is allocated for its pixels.
 *
 * @throws CodecError `corrupt` when there is none
 */
export function readBitStream(scheme: Exclude<Scheme, 'native' | 'deflate' | 'rle' | 'jpegXl'>, bytes: Buffer): BitStream {
  try {
    return scheme === 'jpeg' ? readJpeg(bytes) : scheme === 'jpegLs' ? readJpegLs(bytes) : readJpeg2000(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw corrupt(error);
    throw error;
  }
}

const corrupt = (cause?: unknown): CodecError => new CodecError('corrupt', 'The compressed frame has no readable header.', { cause });

const startOfScan = 0xffda;

/** Marker segments of ISO/IEC 10918-1 B.1 and ISO/IEC 14495-1 C.1 up to the first scan, by marker; each from behind its length. */
function* segments(bytes: Buffer): Generator<{ readonly marker: number; readonly at: number }> {
  let at = bytes.readUInt16BE(0) === 0xffd8 ? 2 : -1;
  while (at >= 0) {
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at += 1;
    const marker = bytes.readUInt16BE(at);
    if (marker < 0xff01) return;
    if (marker === 0xff01 || (marker >= 0xffd0 && marker <= 0xffd7)) at += 2;
    else {
      yield { marker, at: at + 4 };
      if (marker === startOfScan) return;
      at += 2 + bytes.readUInt16BE(at + 2);
    }
  }
}

interface FrameHeader {
  readonly bitsPerSample: number;
  readonly height: number;
  readonly width: number;
  readonly components: number;
}

/** The frame header that all SOF markers have (ISO/IEC 10918-1 B.2.2). */
const frameHeader = (bytes: Buffer, at: number): FrameHeader => ({
  bitsPerSample: bytes.readUInt8(at), height: bytes.readUInt16BE(at + 1), width: bytes.readUInt16BE(at + 3), components: bytes.readUInt8(at + 5),
});

const losslessFrames = new Set([0xffc3, 0xffc7, 0xffcb, 0xffcf]);
const isStartOfFrame = (marker: number): boolean => marker >= 0xffc0 && marker <= 0xffcf && marker !== 0xffc4 && marker !== 0xffc8 && marker !== 0xffcc;

function readJpeg(bytes: Buffer): BitStream {
  for (const { marker, at } of segments(bytes)) {
    if (isStartOfFrame(marker)) return { ...frameHeader(bytes, at), lossy: !losslessFrames.has(marker), byPlane: false };
  }
  throw corrupt();
}

/** SOF55, then the scan header with NEAR and the interleave mode (ISO/IEC 14495-1 C.2.3). */
function readJpegLs(bytes: Buffer): BitStream {
  let frame: FrameHeader | undefined;
  for (const { marker, at } of segments(bytes)) {
    if (marker === 0xfff7) frame = frameHeader(bytes, at);
    if (marker !== startOfScan || !frame) continue;
    const behindComponents = at + 1 + 2 * bytes.readUInt8(at);
    return { ...frame, lossy: bytes.readUInt8(behindComponents) > 0, byPlane: frame.components > 1 && bytes.readUInt8(behindComponents + 1) === 0 };
  }
  throw corrupt();
}

/** SIZ and COD (ISO/IEC 15444-1 A.5.1, A.6.1), in a codestream or within the boxes of a JP2 file (Annex I). */
function readJpeg2000(bytes: Buffer): BitStream {
  const start = bytes.readUInt32BE(0) === 0xff4fff51 ? 0 : codestreamOffset(bytes);
  if (bytes.readUInt32BE(start) !== 0xff4fff51) throw corrupt();
  const siz = start + 6;
  const components = bytes.readUInt16BE(siz + 34);
  const [first = 0, ...rest] = Array.from({ length: components }, (_, index) => bytes.readUIntBE(siz + 36 + index * 3, 3));
  if (components === 0 || (first & 0xffff) !== 0x0101 || rest.some((each) => each !== first)) {
    throw new CodecError('unsupported', 'The components of the JPEG 2000 frame differ from each other, or are subsampled.');
  }
  return {
    width: bytes.readUInt32BE(siz + 2) - bytes.readUInt32BE(siz + 10), height: bytes.readUInt32BE(siz + 6) - bytes.readUInt32BE(siz + 14),
    components, bitsPerSample: ((first >>> 16) & 0x7f) + 1, signed: (first >>> 23) === 1, lossy: isIrreversible(bytes, start), byPlane: false,
  };
}

function codestreamOffset(bytes: Buffer): number {
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    if (bytes.toString('latin1', at + 4, at + 8) === 'jp2c') return at + (length === 1 ? 16 : 8);
    if (length < 8) break;
    at += length;
  }
  throw corrupt();
}

/** Whether the main header's COD names the 9-7 transformation. */
function isIrreversible(bytes: Buffer, start: number): boolean {
  for (let at = start + 2; ; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes.readUInt16BE(at);
    if (marker === 0xff52) return bytes.readUInt8(at + 13) === 0;
    if (marker === 0xff90 || marker < 0xff4f) throw corrupt();
  }
}
