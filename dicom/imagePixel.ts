import type { DicomJson } from './json.ts';

/** The Image Pixel Module's description of frames (PS3.3 C.7.6.3). */
export interface ImagePixel {
  readonly rows: number;
  readonly columns: number;
  readonly samplesPerPixel: number;
  readonly photometricInterpretation: string;
  /** 0: colour by pixel, 1: colour by plane. */
  readonly planarConfiguration: number;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  /** 0: unsigned, 1: two's complement. */
  readonly pixelRepresentation: number;
  readonly numberOfFrames: number;
}

/** @returns undefined when the header lacks Rows, Columns or Bits Allocated, or has values that no image has */
export function imagePixelOf(header: DicomJson): ImagePixel | undefined {
  const number = (tag: string, absent: number): number => {
    const value = header[tag]?.Value?.[0] ?? absent;
    return typeof value === 'number' && Number.isInteger(value) ? value : NaN;
  };
  const bitsAllocated = number('00280100', NaN);
  const photometricInterpretation = header['00280004']?.Value?.[0];
  const pixel: ImagePixel = {
    rows: number('00280010', NaN), columns: number('00280011', NaN), samplesPerPixel: number('00280002', 1),
    photometricInterpretation: typeof photometricInterpretation === 'string' ? photometricInterpretation : 'MONOCHROME2',
    planarConfiguration: number('00280006', 0), bitsAllocated, bitsStored: number('00280101', bitsAllocated),
    pixelRepresentation: number('00280103', 0), numberOfFrames: number('00280008', 1),
  };
  const sound = pixel.rows > 0 && pixel.columns > 0 && pixel.samplesPerPixel > 0 && pixel.bitsAllocated > 0 && pixel.numberOfFrames > 0
    && pixel.bitsStored > 0 && pixel.bitsStored <= pixel.bitsAllocated && pixel.planarConfiguration >= 0 && pixel.pixelRepresentation >= 0;
  return sound ? pixel : undefined;
}

/** Samples of one pixel that are in the data set: chrominance that two or four pixels share counts in parts (PS3.3 C.7.6.3.1.2). */
const samplesInData: Readonly<Record<string, number>> = { YBR_FULL_422: 2, YBR_PARTIAL_422: 2, YBR_PARTIAL_420: 1.5 };

/** Bits of one frame of native Pixel Data. Frames of 1 bit follow each other without padding (PS3.5 8.1.1). */
export function nativeFrameBits(pixel: ImagePixel): number {
  const samples = pixel.samplesPerPixel === 3 ? samplesInData[pixel.photometricInterpretation] ?? 3 : pixel.samplesPerPixel;
  return pixel.rows * pixel.columns * samples * pixel.bitsAllocated;
}

/** Bytes of one frame that stands alone. */
export const nativeFrameBytes = (pixel: ImagePixel): number => Math.ceil(nativeFrameBits(pixel) / 8);
