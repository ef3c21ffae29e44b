import { isDataSet, type DicomJson, type JsonAttribute } from '../../../dicom/json.ts';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { explicitVRLittleEndian, transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import type { InstanceHeader } from '../../../domain/instance.ts';
import type { ArchiveStore, InstanceLocation } from '../../../stores/ports.ts';
import { notAcceptable } from '../../problems.ts';
import type { FoundInstance, ImageDeps } from './imageSource.ts';
import { readBytes } from './imageSource.ts';
import { placeOf } from './metadata.ts';
import { maxTranscodedBytes } from './rendition.ts';

/** A value that the metadata leaves out, and its place in the bytes that its source reads. */
export interface BulkValue {
  /** Tag, and within sequences tag and item number in turn, as in the value's URL. */
  readonly path: readonly string[];
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The bulk data of an instance, its values as Explicit VR Little Endian has them. */
export interface BulkSource {
  readonly header: DicomJson;
  /** Whether Pixel Data of the data set itself is fragments. */
  readonly encapsulated: boolean;
  read(offsetBytes: number, lengthBytes: number): AsyncGenerator<Uint8Array>;
}

/** Whether the bytes of the values have to be made of the whole file. */
export const isReEncoded = ({ transferSyntaxUID }: InstanceLocation): boolean => {
  const known = transferSyntax(transferSyntaxUID);
  return known?.bigEndian === true || known?.deflated === true;
};

/**
 * Values are read where they lie; of a data set that is big endian or deflated, out of its copy in Explicit VR Little Endian.
 *
 * @throws HttpProblem 406 when the copy would be too large
 */
export async function openBulk({ archive, codecs }: Pick<ImageDeps, 'archive' | 'codecs'>, { location, header }: FoundInstance, signal: AbortSignal): Promise<BulkSource> {
  if (!isReEncoded(location)) return sourceOf(header, (offsetBytes, lengthBytes) => streamed(archive, location, offsetBytes, lengthBytes, signal));
  if (location.lengthBytes > maxTranscodedBytes) throw notAcceptable(`Instance ${location.sopInstanceUID} is too large to give single values of it from transfer syntax ${location.transferSyntaxUID}. Retrieve it with transfer-syntax=*.`);
  const file = await codecs.transcode(await readBytes(archive, location, 0, location.lengthBytes, signal), explicitVRLittleEndian, signal);
  const slice = (offsetBytes: number, lengthBytes: number): Buffer => file.subarray(offsetBytes, offsetBytes + lengthBytes);
  const copy = await readInstanceHeader({ lengthBytes: file.length, read: async (offsetBytes, lengthBytes) => slice(offsetBytes, lengthBytes) });
  return sourceOf(copy, async function* sliced(offsetBytes, lengthBytes) {
    yield slice(offsetBytes, lengthBytes);
  });
}

const sourceOf = ({ header, pixelData }: Pick<InstanceHeader, 'header' | 'pixelData'>, read: BulkSource['read']): BulkSource => ({ header, encapsulated: pixelData?.encapsulated === true, read });

async function* streamed(archive: Pick<ArchiveStore, 'readRange'>, location: InstanceLocation, offsetBytes: number, lengthBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (lengthBytes === 0) return;
  const stream = await archive.readRange(location, location.offsetBytes + offsetBytes, lengthBytes, signal);
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } finally {
    stream.destroy();
  }
}

/** All values that a data set has elsewhere, also in the items of its sequences, in the order of the tags. */
export function* bulkValuesOf(dataSet: DicomJson, base: readonly string[] = []): Generator<BulkValue> {
  for (const tag of Object.keys(dataSet).sort()) {
    const attribute = dataSet[tag]!;
    const place = placeOf(attribute);
    if (place) yield { path: [...base, tag], ...place };
    if (attribute.vr !== 'SQ') continue;
    for (const [at, item] of (attribute.Value ?? []).entries()) if (isDataSet(item)) yield* bulkValuesOf(item as DicomJson, [...base, tag, String(at + 1)]);
  }
}

/** @returns undefined when there is no such attribute, or its value is in the metadata */
export function bulkValueAt(dataSet: DicomJson, path: readonly string[]): BulkValue | undefined {
  const place = placeOf(attributeAt(dataSet, path));
  return place && { path, ...place };
}

function attributeAt(dataSet: DicomJson, [tag = '', item, ...rest]: readonly string[]): JsonAttribute | undefined {
  const attribute = dataSet[tag];
  if (item === undefined) return attribute;
  const next = attribute?.Value?.[Number(item) - 1];
  return isDataSet(next) ? attributeAt(next as DicomJson, rest) : undefined;
}

export const pixelDataTag = '7FE00010';
/** Pixel Data, Float Pixel Data and Double Float Pixel Data of the data set itself (PS3.18 10.4.1.1.7). */
export const isPixelData = ({ path: [tag = '', ...rest] }: BulkValue): boolean => rest.length === 0 && /^7FE000(?:08|09|10)$/.test(tag);
