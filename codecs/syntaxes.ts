import { deflatedExplicitVRLittleEndian, explicitVRBigEndian, explicitVRLittleEndian, implicitVRLittleEndian } from '../dicom/transferSyntaxes.ts';

/** Which bit stream the fragments of a frame hold. */
export type Scheme = 'native' | 'deflate' | 'rle' | 'jpeg' | 'jpegLs' | 'jpeg2000' | 'htJpeg2000' | 'jpegXl';

/** What is done with a transfer syntax here. */
export interface CodecRow {
  readonly transferSyntaxUID: string;
  readonly scheme: Scheme;
  /** Frames are decoded from it. */
  readonly decodes: boolean;
  /** Frames are encoded in it; only without loss, and each one is decoded again and compared before it counts. */
  readonly encodes: boolean;
  /** Its frames have lost something for certain (PS3.3 C.7.6.1.1.5); undefined: the bit stream tells, or nothing does. */
  readonly lossy?: true;
}

const row = (transferSyntaxUID: string, scheme: Scheme, what: 'decodes' | 'both' | 'neither', lossy?: 'lossy'): CodecRow => ({
  transferSyntaxUID, scheme, decodes: what !== 'neither', encodes: what === 'both', ...(lossy ? { lossy: true } : {}),
});

/**
 * The compressed transfer syntaxes (PS3.5 Annex A.4) that have a row can be decoded. Not here, because nothing decodes
 * them or no real file has shown that it works: hierarchical and progressive JPEG (.52 to .66 without .57), JPEG 2000
 * Part 2 (.92, .93), JPEG XL (.110 to .112), JPIP, video.
 */
export const codecRows: readonly CodecRow[] = [
  row('1.2.840.10008.1.2.1.98', 'native', 'decodes'),
  row('1.2.840.10008.1.2.8.1', 'deflate', 'decodes'),
  row('1.2.840.10008.1.2.5', 'rle', 'both'),
  row('1.2.840.10008.1.2.4.50', 'jpeg', 'decodes', 'lossy'),
  row('1.2.840.10008.1.2.4.51', 'jpeg', 'decodes', 'lossy'),
  row('1.2.840.10008.1.2.4.57', 'jpeg', 'decodes'),
  row('1.2.840.10008.1.2.4.70', 'jpeg', 'both'),
  row('1.2.840.10008.1.2.4.80', 'jpegLs', 'both'),
  row('1.2.840.10008.1.2.4.81', 'jpegLs', 'decodes'),
  row('1.2.840.10008.1.2.4.90', 'jpeg2000', 'both'),
  row('1.2.840.10008.1.2.4.91', 'jpeg2000', 'decodes'),
  row('1.2.840.10008.1.2.4.201', 'htJpeg2000', 'both'),
  row('1.2.840.10008.1.2.4.202', 'htJpeg2000', 'decodes'),
  row('1.2.840.10008.1.2.4.203', 'htJpeg2000', 'decodes'),
];

const rowByUID = new Map(codecRows.map((each) => [each.transferSyntaxUID, each]));

export const codecRow = (transferSyntaxUID: string): CodecRow | undefined => rowByUID.get(transferSyntaxUID);

/** Pixel Data is native in these; the data set is encoded in four ways. */
export const nativeSyntaxes: ReadonlySet<string> = new Set([
  implicitVRLittleEndian, explicitVRLittleEndian, deflatedExplicitVRLittleEndian, explicitVRBigEndian,
]);

/** The native transfer syntaxes that files are written in, the better one first: Implicit VR says nothing of private attributes' VRs. */
export const uncompressedTargets: readonly string[] = [explicitVRLittleEndian, implicitVRLittleEndian];

/**
 * Whether a file can be given in another transfer syntax as far as the two tell; its own pixels may still be of a kind
 * that the codec refuses. Files are written in Explicit or Implicit VR Little Endian, or in a lossless compression.
 */
export function canTranscode(from: string, to: string): boolean {
  if (from === to) return true;
  const readable = nativeSyntaxes.has(from) || codecRow(from)?.decodes === true;
  return readable && (uncompressedTargets.includes(to) || codecRow(to)?.encodes === true);
}

/** Transfer syntaxes that files are written in. */
export const targetSyntaxes: readonly string[] = [...uncompressedTargets, ...codecRows.filter(({ encodes }) => encodes).map((each) => each.transferSyntaxUID)];
