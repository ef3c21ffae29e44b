import { isUidShaped } from '../dicom/uid.ts';
import { numberOf, textOf } from './indexedAttributes.ts';
import type { InstanceHeader } from './instance.ts';
import type { PackIdentity } from './pack.ts';

/** What validation says of one instance. `rule` names the row of `validationRules` that it broke. */
export type Judgement =
  | { readonly verdict: 'accepted' }
  | { readonly verdict: 'quarantined'; readonly rule: string; readonly reason: string };

interface ValidationRule {
  readonly rule: string;
  /** @returns the sentence for an admin when the rule is broken. Names attributes and UIDs, never other values. */
  readonly problem: (instance: InstanceHeader, pack: PackIdentity) => string | undefined;
}

const mediaStorageDirectory = '1.2.840.10008.1.3.10';
const deflated = '1.2.840.10008.1.2.1.99';

/**
 * What an instance must be so that readers can work with it. Kept to what makes an object unusable:
 * a value that only breaks its VR is archived as it came.
 */
export const validationRules: readonly ValidationRule[] = [
  { rule: 'readable', problem: ({ unreadable }) => unreadable },
  { rule: 'uids-match', problem: uidsMatch },
  {
    rule: 'storable-class',
    problem: ({ sopClassUID }) =>
      sopClassUID === mediaStorageDirectory ? 'A DICOMDIR describes a medium and is no instance of a study; send the files it lists.' : undefined,
  },
  { rule: 'image-size', problem: imageSize },
  { rule: 'pixel-data-whole', problem: pixelDataWhole },
];

/** Judges one instance by the rules in order; the first that is broken gives the reason. */
export function judgeInstance(instance: InstanceHeader, pack: PackIdentity): Judgement {
  for (const { rule, problem } of validationRules) {
    const reason = problem(instance, pack);
    if (reason) return { verdict: 'quarantined', rule, reason };
  }
  return { verdict: 'accepted' };
}

/** UIDs are present, shaped like one (leading zeros are common and do no harm) and those that the pack was made for. */
function uidsMatch({ header, sopInstanceUID, sopClassUID }: InstanceHeader, pack: PackIdentity): string | undefined {
  const expected = [
    ['SOP Class UID (0008,0016)', '00080016', sopClassUID], ['SOP Instance UID (0008,0018)', '00080018', sopInstanceUID],
    ['Study Instance UID (0020,000D)', '0020000D', pack.studyInstanceUID], ['Series Instance UID (0020,000E)', '0020000E', pack.seriesInstanceUID],
  ] as const;
  for (const [name, tag, value] of expected) {
    const found = textOf(header, tag);
    if (found === undefined) return `${name} is missing or empty.`;
    if (!isUidShaped(found)) return `${name} is not a well-formed UID (PS3.5 9.1).`;
    if (found !== value) return `${name} is ${found} in the data set, but the instance was received as ${value}.`;
  }
  return undefined;
}

/** Pixel Data needs Rows and Columns (PS3.3 C.7.6.3). */
function imageSize({ header, pixelData }: InstanceHeader): string | undefined {
  if (!pixelData || (pixelData.encapsulated && pixelData.lengthBytes === 0)) return undefined;
  const missing = [['Rows (0028,0010)', '00280010'], ['Columns (0028,0011)', '00280011']]
    .filter(([, tag]) => !((numberOf(header, tag!) ?? 0) > 0)).map(([name]) => name);
  return missing.length ? `The instance has Pixel Data, but ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing or zero, so no viewer can show it.` : undefined;
}

/** Native Pixel Data is as long as Rows × Columns × Samples × Bits × Frames asks for (PS3.5 8.2); encapsulated has an end. */
function pixelDataWhole({ header, pixelData, transferSyntaxUID }: InstanceHeader): string | undefined {
  if (!pixelData) return undefined;
  if (pixelData.lengthBytes < 0) return 'The data set ends in the middle of Pixel Data (7FE0,0010); send the instance again.';
  if (pixelData.encapsulated || transferSyntaxUID === deflated) return undefined;
  const [rows, columns, bits] = ['00280010', '00280011', '00280100'].map((tag) => numberOf(header, tag));
  if (!rows || !columns || !bits) return undefined;
  const samples = textOf(header, '00280004') === 'YBR_FULL_422' ? 2 : (numberOf(header, '00280002') ?? 1);
  const frames = numberOf(header, '00280008') ?? 1;
  const neededBytes = Math.ceil((rows * columns * samples * bits * frames) / 8);
  return pixelData.lengthBytes < neededBytes
    ? `Pixel Data (7FE0,0010) has ${pixelData.lengthBytes} bytes, but Rows, Columns, Samples per Pixel, Bits Allocated and Number of Frames ask for ${neededBytes}; send the instance again.`
    : undefined;
}
