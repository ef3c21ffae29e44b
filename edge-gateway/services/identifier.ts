import { textEncoderFor } from '../../dicom/charsetEncoder.ts';
import { isDataSet, type DicomJson, type JsonAttribute } from '../../dicom/json.ts';
import { valuesAsText } from '../../dicom/matching.ts';
import { encodeDataSet } from '../../dicom/part10/dataSetWriter.ts';
import { encodeFileMeta } from '../../dicom/part10/fileMeta.ts';
import { readInstanceHeader } from '../../dicom/part10/header.ts';
import { implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import type { DataSetStream } from './service.ts';

/** The data set of a message cannot be read, or is longer than one that asks something should be. */
export class UnreadableIdentifier extends Error {
  override readonly name = 'UnreadableIdentifier';
}

/** A list of ten thousand UIDs fits. */
const usualMaxBytes = 1024 * 1024;
/** An element in fifty bytes, as in lists of references. */
const limitsOf = (bytes: number) => ({ depth: 8, count: Math.max(20_000, Math.ceil(bytes / 50)), elementBytes: bytes, inflatedBytes: bytes });

/**
 * Reads a small data set whole: an identifier, or the information of an action.
 *
 * @param maxBytes a whole number of MiB
 * @throws UnreadableIdentifier with a sentence without values; `DataSetInterrupted`
 */
export async function readIdentifier(dataSet: DataSetStream, transferSyntaxUID: string, maxBytes = usualMaxBytes): Promise<DicomJson> {
  const pieces: Buffer[] = [encodeFileMeta({ sopClassUID: '1.2', sopInstanceUID: '1.2', transferSyntaxUID })];
  let lengthBytes = 0;
  await dataSet.consume((fragment) => {
    lengthBytes += fragment.length;
    if (lengthBytes > maxBytes) throw new UnreadableIdentifier(`The data set is longer than ${maxBytes / 1024 ** 2} MiB`);
    pieces.push(fragment);
  });
  const file = Buffer.concat(pieces);
  const { header, unreadable } = await readInstanceHeader(
    { lengthBytes: file.length, read: (offsetBytes, count) => Promise.resolve(file.subarray(offsetBytes, offsetBytes + count)) }, limitsOf(maxBytes));
  if (unreadable !== undefined) throw new UnreadableIdentifier('The data set cannot be read');
  return header;
}

class NoCode extends Error {}

/**
 * Encodes a small data set in implicit or explicit VR little endian. Text goes in the character set that was asked for; where that
 * has no code for it, everything goes in UTF-8. Specific Character Set says which, and is left out for ISO 646 alone.
 *
 * @param askedTerms the values of Specific Character Set in the request, none when it had none
 * @throws Unwritable when a value does not fit its VR
 */
export function encodeIdentifier(dataSet: DicomJson, transferSyntaxUID: string, askedTerms: readonly string[]): Buffer {
  const plain = withoutCharacterSet(dataSet);
  const encodeIn = (terms: readonly string[]): Buffer => {
    const encode = textEncoderFor(terms);
    return encodeDataSet(terms.length === 0 ? plain : { ...plain, [characterSet]: { vr: 'CS', Value: terms } }, {
      implicitVR: transferSyntaxUID === implicitVRLittleEndian,
      encodeText: (text) => {
        const bytes = encode(text);
        if (!bytes) throw new NoCode();
        return Buffer.from(bytes);
      },
    });
  };
  try {
    return encodeIn(askedTerms.some((term) => term.trim() !== '') ? askedTerms : []);
  } catch (error) {
    if (!(error instanceof NoCode)) throw error;
    return encodeIn(['ISO_IR 192']);
  }
}

const characterSet = '00080005';
export const characterSetOf = (dataSet: DicomJson): readonly string[] => valuesAsText(dataSet[characterSet]);

/** The values are text by now; which bytes items of sequences once had says nothing about those to come. */
const withoutCharacterSet = (dataSet: DicomJson): DicomJson => Object.fromEntries(Object.entries(dataSet).flatMap(([tag, attribute]): [string, JsonAttribute][] => {
  if (tag === characterSet) return [];
  if (attribute.vr !== 'SQ' || !attribute.Value) return [[tag, attribute]];
  return [[tag, { ...attribute, Value: attribute.Value.map((item) => (isDataSet(item) ? withoutCharacterSet(item as DicomJson) : item)) }]];
}));
