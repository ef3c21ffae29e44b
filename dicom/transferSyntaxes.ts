/** A transfer syntax of PS3.6 Table A-1; what its data set looks like (PS3.5 Section 10, Annex A). */
export interface TransferSyntax {
  readonly uid: string;
  readonly name: string;
  /** Explicit VR; false is Implicit VR. */
  readonly explicit: boolean;
  readonly bigEndian: boolean;
  /** The whole data set after the file meta information is deflated (PS3.5 A.5). */
  readonly deflated: boolean;
  /** Pixel Data is a sequence of fragments (PS3.5 A.4). */
  readonly encapsulated: boolean;
  /** Its compression may be lossy; an instance may still be lossless, as with JPEG 2000 (1.2.840.10008.1.2.4.91). */
  readonly lossy: boolean;
  readonly retired: boolean;
  /** False when it never encodes a data set on an association: MIME, XML, real-time video (PS3.22), Papyrus files. */
  readonly negotiable: boolean;
}

type Flag = 'explicit' | 'bigEndian' | 'deflated' | 'encapsulated' | 'lossy' | 'retired' | 'notForDimse';

export const implicitVRLittleEndian = '1.2.840.10008.1.2';
export const explicitVRLittleEndian = '1.2.840.10008.1.2.1';
export const deflatedExplicitVRLittleEndian = '1.2.840.10008.1.2.1.99';
export const explicitVRBigEndian = '1.2.840.10008.1.2.2';

const rows: readonly (readonly [uid: string, name: string, flags: readonly Flag[]])[] = [
  ['1.2.840.10008.1.2', 'Implicit VR Little Endian', []],
  ['1.2.840.10008.1.2.1', 'Explicit VR Little Endian', ['explicit']],
  ['1.2.840.10008.1.2.1.98', 'Encapsulated Uncompressed Explicit VR Little Endian', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.1.99', 'Deflated Explicit VR Little Endian', ['explicit', 'deflated']],
  ['1.2.840.10008.1.2.2', 'Explicit VR Big Endian', ['explicit', 'bigEndian', 'retired']],
  ['1.2.840.10008.1.2.4.50', 'JPEG Baseline (Process 1)', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.51', 'JPEG Extended (Process 2 and 4)', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.52', 'JPEG Extended (Process 3 and 5)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.53', 'JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.54', 'JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.55', 'JPEG Full Progression, Non-Hierarchical (Process 10 and 12)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.56', 'JPEG Full Progression, Non-Hierarchical (Process 11 and 13)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.57', 'JPEG Lossless, Non-Hierarchical (Process 14)', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.58', 'JPEG Lossless, Non-Hierarchical (Process 15)', ['explicit', 'encapsulated', 'retired']],
  ['1.2.840.10008.1.2.4.59', 'JPEG Extended, Hierarchical (Process 16 and 18)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.60', 'JPEG Extended, Hierarchical (Process 17 and 19)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.61', 'JPEG Spectral Selection, Hierarchical (Process 20 and 22)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.62', 'JPEG Spectral Selection, Hierarchical (Process 21 and 23)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.63', 'JPEG Full Progression, Hierarchical (Process 24 and 26)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.64', 'JPEG Full Progression, Hierarchical (Process 25 and 27)', ['explicit', 'encapsulated', 'lossy', 'retired']],
  ['1.2.840.10008.1.2.4.65', 'JPEG Lossless, Hierarchical (Process 28)', ['explicit', 'encapsulated', 'retired']],
  ['1.2.840.10008.1.2.4.66', 'JPEG Lossless, Hierarchical (Process 29)', ['explicit', 'encapsulated', 'retired']],
  ['1.2.840.10008.1.2.4.70', 'JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.80', 'JPEG-LS Lossless Image Compression', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.81', 'JPEG-LS Lossy (Near-Lossless) Image Compression', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.90', 'JPEG 2000 Image Compression (Lossless Only)', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.91', 'JPEG 2000 Image Compression', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.92', 'JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.93', 'JPEG 2000 Part 2 Multi-component Image Compression', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.94', 'JPIP Referenced', ['explicit']],
  ['1.2.840.10008.1.2.4.95', 'JPIP Referenced Deflate', ['explicit', 'deflated']],
  ['1.2.840.10008.1.2.4.100', 'MPEG2 Main Profile / Main Level', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.100.1', 'Fragmentable MPEG2 Main Profile / Main Level', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.101', 'MPEG2 Main Profile / High Level', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.101.1', 'Fragmentable MPEG2 Main Profile / High Level', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.102', 'MPEG-4 AVC/H.264 High Profile / Level 4.1', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.102.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.103', 'MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.103.1', 'Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.104', 'MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.104.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.105', 'MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.105.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.106', 'MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.106.1', 'Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.107', 'HEVC/H.265 Main Profile / Level 5.1', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.108', 'HEVC/H.265 Main 10 Profile / Level 5.1', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.110', 'JPEG XL Lossless', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.111', 'JPEG XL JPEG Recompression', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.112', 'JPEG XL', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.201', 'High-Throughput JPEG 2000 Image Compression (Lossless Only)', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.202', 'High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.4.203', 'High-Throughput JPEG 2000 Image Compression', ['explicit', 'encapsulated', 'lossy']],
  ['1.2.840.10008.1.2.4.204', 'JPIP HTJ2K Referenced', ['explicit']],
  ['1.2.840.10008.1.2.4.205', 'JPIP HTJ2K Referenced Deflate', ['explicit', 'deflated']],
  ['1.2.840.10008.1.2.5', 'RLE Lossless', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.2.6.1', 'RFC 2557 MIME encapsulation', ['explicit', 'retired', 'notForDimse']],
  ['1.2.840.10008.1.2.6.2', 'XML Encoding', ['explicit', 'retired', 'notForDimse']],
  ['1.2.840.10008.1.2.7.1', 'SMPTE ST 2110-20 Uncompressed Progressive Active Video', ['explicit', 'notForDimse']],
  ['1.2.840.10008.1.2.7.2', 'SMPTE ST 2110-20 Uncompressed Interlaced Active Video', ['explicit', 'notForDimse']],
  ['1.2.840.10008.1.2.7.3', 'SMPTE ST 2110-30 PCM Digital Audio', ['explicit', 'notForDimse']],
  ['1.2.840.10008.1.2.8.1', 'Deflated Image Frame Compression', ['explicit', 'encapsulated']],
  ['1.2.840.10008.1.20', 'Papyrus 3 Implicit VR Little Endian', ['retired', 'notForDimse']],
];

const toTransferSyntax = ([uid, name, flags]: (typeof rows)[number]): TransferSyntax => ({
  uid, name,
  explicit: flags.includes('explicit'),
  bigEndian: flags.includes('bigEndian'),
  deflated: flags.includes('deflated'),
  encapsulated: flags.includes('encapsulated'),
  lossy: flags.includes('lossy'),
  retired: flags.includes('retired'),
  negotiable: !flags.includes('notForDimse'),
});

export const transferSyntaxes: ReadonlyMap<string, TransferSyntax> = new Map(rows.map((row) => [row[0], toTransferSyntax(row)]));

/** @returns undefined for a private transfer syntax, or one newer than PS3.6 2025e. */
export const transferSyntax = (uid: string): TransferSyntax | undefined => transferSyntaxes.get(uid);

/** Whether a presentation context may be accepted with it: known, and meant for data sets on an association. */
export const isNegotiableTransferSyntax = (uid: string): boolean => transferSyntaxes.get(uid)?.negotiable ?? false;
