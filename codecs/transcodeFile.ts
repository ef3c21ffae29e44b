import { isDataSet, type DicomJson } from '../dicom/json.ts';
import { imagePixelOf, nativeFrameBits, nativeFrameBytes, type ImagePixel } from '../dicom/imagePixel.ts';
import { readInstanceHeader, type InstanceHeaderReading } from '../dicom/part10/header.ts';
import { Inexpressible, isLittleEndian, toLittleEndian } from '../dicom/part10/littleEndian.ts';
import { withPixels, type NewPixels } from '../dicom/part10/pixelReplacement.ts';
import { Unreadable } from '../dicom/part10/source.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../dicom/transferSyntaxes.ts';
import { decodeFrame, type DecodedFrame } from './decode.ts';
import { encodeFrame } from './encode.ts';
import { CodecError } from './errors.ts';
import { canTranscode, nativeSyntaxes } from './syntaxes.ts';

/**
 * Gives a Part 10 file in another transfer syntax: the same data set but for Pixel Data and the attributes that say how
 * the pixels are encoded. One frame is decoded at a time; the file, and the file it becomes, are in memory.
 *
 * @param maxBytes of the file, and of the one it becomes
 * @throws CodecError
 */
export async function transcodeFile(file: Buffer, to: string, maxBytes: number): Promise<Buffer> {
  if (file.length > maxBytes) throw tooLarge(maxBytes);
  try {
    const stored = await readInstanceHeader(sourceOf(file));
    const from = stored.transferSyntaxUID;
    if (from === undefined || stored.unreadable !== undefined) throw new Unreadable(stored.unreadable ?? 'The file has no transfer syntax.');
    if (from === to) return file;
    if (!canTranscode(from, to)) throw new CodecError('unsupported', `A file in transfer syntax ${from} is not given in ${to} here.`);
    if (nativeSyntaxes.has(from) && isLittleEndian(to)) return toLittleEndian(file, to);
    const explicit = nativeSyntaxes.has(from) && from !== explicitVRLittleEndian ? toLittleEndian(file, explicitVRLittleEndian) : file;
    const reading = explicit === file ? stored : await readInstanceHeader(sourceOf(explicit));
    const written = isLittleEndian(to) ? explicitVRLittleEndian : to;
    const transcoded = Buffer.concat(withPixels(explicit, await newPixels(explicit, reading, from, written, maxBytes)));
    return to === written ? transcoded : toLittleEndian(transcoded, implicitVRLittleEndian);
  } catch (error) {
    if (error instanceof Inexpressible) throw new CodecError('unsupported', error.message, { cause: error });
    if (error instanceof Unreadable) throw new CodecError('corrupt', error.message, { cause: error });
    throw error;
  }
}

const sourceOf = (file: Buffer): { readonly lengthBytes: number; read(offsetBytes: number, lengthBytes: number): Promise<Buffer> } => ({
  lengthBytes: file.length, read: async (offsetBytes, lengthBytes) => file.subarray(offsetBytes, offsetBytes + lengthBytes),
});

const tooLarge = (maxBytes: number): CodecError => new CodecError('tooLarge', `The file has more than the ${maxBytes} bytes that are transcoded.`);

async function newPixels(file: Buffer, { header, pixelData }: InstanceHeaderReading, from: string, to: string, maxBytes: number): Promise<NewPixels> {
  if (!pixelData) return { transferSyntaxUID: to, attributes: new Map(), pixels: undefined };
  const pixel = imagePixelOf(header);
  if (!pixel || header['7FE00010'] === undefined) throw new CodecError('unsupported', 'The attributes do not describe pixels that can be transcoded.');
  if (hasEncapsulatedIcon(file, header)) throw new CodecError('unsupported', 'The data set has a compressed icon, which is not transcoded.');
  if (nativeFrameBytes(pixel) * pixel.numberOfFrames > maxBytes) throw tooLarge(maxBytes);
  const pieces: Buffer[] = [];
  let last: DecodedFrame | undefined;
  let written: ImagePixel = pixel;
  let total = 0;
  for (const frame of framesOf(file, pixelData, pixel)) {
    const decoded: DecodedFrame = last = await decodeFrame(pixelData.encapsulated ? from : explicitVRLittleEndian, frame, pixel, maxBytes);
    const encoded = to === explicitVRLittleEndian ? { bytes: decoded.pixels, pixel: decoded.pixel } : await encodeFrame(to, decoded.pixels, decoded.pixel);
    written = encoded.pixel;
    total += encoded.bytes.length;
    if (total > maxBytes) throw tooLarge(maxBytes);
    pieces.push(encoded.bytes);
  }
  const vr = to === explicitVRLittleEndian && pixel.bitsAllocated > 8 ? 'OW' : 'OB';
  return {
    transferSyntaxUID: to, attributes: changedAttributes(header, pixel, written, last?.lossy === true),
    pixels: { encapsulated: to !== explicitVRLittleEndian, vr, pieces },
  };
}

/** The bytes of each frame: fragments joined, or cut from native pixels. */
export function* framesOf(file: Buffer, pixelData: NonNullable<InstanceHeaderReading['pixelData']>, pixel: ImagePixel): Generator<Buffer> {
  if (pixelData.lengthBytes < 0) throw new CodecError('corrupt', 'The file ends before its pixels do.');
  if (pixelData.encapsulated) {
    if (pixelData.frames?.length !== pixel.numberOfFrames) throw new CodecError('corrupt', 'The fragments of the pixels cannot be told apart by frame.');
    for (const fragments of pixelData.frames) yield Buffer.concat(fragments.map(([offset, length]) => file.subarray(offset, offset + length)));
    return;
  }
  if (nativeFrameBits(pixel) % 8 !== 0) throw new CodecError('unsupported', 'Frames that do not start at a byte are not compressed here.');
  const bytes = nativeFrameBytes(pixel);
  for (let frame = 0; frame < pixel.numberOfFrames; frame++) {
    yield file.subarray(pixelData.offsetBytes + frame * bytes, pixelData.offsetBytes + Math.min((frame + 1) * bytes, pixelData.lengthBytes));
  }
}

function changedAttributes(header: DicomJson, before: ImagePixel, after: ImagePixel, lossy: boolean): NewPixels['attributes'] {
  const changes = new Map<number, { readonly vr: string; readonly value: Buffer }>();
  if (after.photometricInterpretation !== before.photometricInterpretation) changes.set(0x00280004, { vr: 'CS', value: text(after.photometricInterpretation) });
  if (after.samplesPerPixel > 1 && after.planarConfiguration !== before.planarConfiguration) changes.set(0x00280006, { vr: 'US', value: Buffer.from([0, 0]) });
  if (lossy && header['00282110']?.Value?.[0] !== '01') changes.set(0x00282110, { vr: 'CS', value: text('01') });
  return changes;
}

const text = (value: string): Buffer => Buffer.from(value.length % 2 === 1 ? `${value} ` : value, 'latin1');

/** Whether pixels within a sequence (Icon Image Sequence) have undefined length, which native transfer syntaxes do not allow. */
function hasEncapsulatedIcon(file: Buffer, dataSet: DicomJson, top = true): boolean {
  return Object.entries(dataSet).some(([tag, { vr, Value, BulkDataURI }]) => {
    if (vr === 'SQ') return Value?.some((each) => isDataSet(each) && hasEncapsulatedIcon(file, each as DicomJson, false)) === true;
    const at = tag === '7FE00010' && !top ? /^#(\d+),/.exec(BulkDataURI ?? '') : undefined;
    return at !== null && at !== undefined && file.readUInt32LE(Number(at[1]) - 4) === 0xffffffff;
  });
}
