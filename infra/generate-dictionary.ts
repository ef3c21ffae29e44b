import { writeFileSync } from 'node:fs';
import dcmjs from 'dcmjs';

/**
 * Writes dicom/dictionary.ts from dcmjs's data dictionary (PS3.6 Section 6, PS3.7 Annex E), because dicom/ itself
 * imports nothing. Run it after an update of dcmjs: `node infra/generate-dictionary.ts`.
 */

type Row = readonly [tag: string, keyword: string, vr: string, vm: string];

/** dcmjs marks retired attributes in the name, and ambiguous VRs with two small letters. */
const rowOf = (entry: { readonly tag: string; readonly name: string; readonly vr: string; readonly vm: string }): Row => [
  entry.tag.replace(/[(),]/g, ''),
  entry.name.replace(/^RETIRED_/, ''),
  entry.vr,
  entry.vm,
];

/** Where dcmjs 0.52 differs from PS3.6: the fields to put in their place. */
export const corrections: Readonly<Record<string, { readonly keyword?: string; readonly vr?: string; readonly vm?: string }>> = {
  '00221642': { keyword: 'NumberOfBscansPerFrame' },
  '0040A803': { keyword: 'NumberOfTableColumns' },
  '00660040': { vr: 'OL', vm: '1' },
  '00660041': { vr: 'OL', vm: '1' },
  '00660042': { vr: 'OL', vm: '1' },
  '00660043': { vr: 'OL', vm: '1' },
  '006862F0': { keyword: 'ViewOrientationModifierCodeSequence', vr: 'SQ', vm: '1' },
  '00701305': { keyword: 'Plane' },
  '00701306': { keyword: 'PlaneNormal' },
  '0070150C': { vr: 'UL' },
  '00760034': { vr: 'SQ' },
  '300A0131': { keyword: 'AverageBeamDosePointSourceToExternalContourDistance' },
  '40101029': { keyword: 'ThreatDetectionAlgorithmAndVersion' },
};

const corrected = ([tag, keyword, vr, vm]: Row): Row => {
  const right = corrections[tag];
  return [tag, right?.keyword ?? keyword, right?.vr ?? vr, right?.vm ?? vm];
};

export const dictionaryRows = (): readonly Row[] =>
  Object.values(dcmjs.data.DicomMetaDictionary.nameMap)
    .map(rowOf)
    .filter(([, keyword]) => keyword !== 'undefined')
    .map(corrected)
    .sort(([a], [b]) => (a < b ? -1 : 1));

const fileText = (rows: readonly Row[]): string => `/**
 * The data dictionary (PS3.6 Section 6; PS3.7 Annex E for group 0000): tag, keyword, VR, VM, by ascending tag.
 * Written by infra/generate-dictionary.ts; do not edit. A VR in small letters depends on the data set:
 * xs is US or SS, ox is OB or OW, lt is US or OW, up is an offset (UL), na has no VR. Repeating groups
 * (50xx, 60xx, 7Fxx) stand under their first group.
 */
export const dictionary: readonly (readonly [tag: string, keyword: string, vr: string, vm: string])[] = [
${rows.map((row) => `  [${row.map((field) => `'${field}'`).join(', ')}],`).join('\n')}
];
`;

if (import.meta.main) {
  writeFileSync(new URL('../dicom/dictionary.ts', import.meta.url), fileText(dictionaryRows()));
}
