import { isDataSet, type DicomJson, type JsonAttribute, type JsonValue, type PersonName } from '../../dicom/json.ts';
import { normalizeForSearch, wordsOfName } from '../../dicom/matching.ts';
import { vrOfTag } from '../../dicom/tags.ts';

/**
 * What the index knows of a data set: one term `<tag>=<value>` per value, `<tag>.<n>=<group>` per component group of a
 * name and `<tag>.w=<word>` per word of it; the items of sequences beside it, each with its own terms. All terms lie in one field of the index, so that a data
 * set can neither add a field nor clash with the type of one.
 */
export interface SearchTerms {
  readonly terms: readonly string[];
  readonly items: readonly SequenceItem[];
}

/** One item of a sequence. Its terms stand together: an item matches when all keys match in it (PS3.4 C.2.2.2.6). */
export interface SequenceItem { readonly path: string; readonly terms: readonly string[] }

/** How values of a VR compare (dicom/matching.ts). Values of bulk data, AT and SQ compare in no way. */
export type ValueKind = 'text' | 'name' | 'temporal' | 'number';

const kinds: Readonly<Record<ValueKind, readonly string[]>> = {
  text: ['AE', 'AS', 'CS', 'LO', 'LT', 'SH', 'ST', 'UC', 'UI', 'UR', 'UT'],
  name: ['PN'],
  temporal: ['DA', 'TM', 'DT'],
  number: ['DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV'],
};
const kindByVR = new Map(Object.entries(kinds).flatMap(([kind, vrs]) => vrs.map((vr) => [vr, kind as ValueKind] as const)));
export const kindOf = (vr: string): ValueKind | undefined => kindByVR.get(vr);

/** Longer values are compared by their first characters: a term of the index has 32,766 bytes at most. */
const maxFormLength = 8_000;
/** The form in which a value is compared; empty when it has none. */
export const formOf = (vr: string, value: string): string =>
  (kindOf(vr) === 'number' ? numberForm(value) : normalizeForSearch(vr, value)).slice(0, maxFormLength);

function numberForm(value: string): string {
  const number = Number(value);
  return value.trim() === '' || !Number.isFinite(number) ? '' : String(number === 0 ? 0 : number);
}

/** Beyond these a data set is not searched by the rest of its values: they are odd, and the index is shared. */
const maxValues = 500;
const maxItems = 100;

export const nameGroups = ['Alphabetic', 'Ideographic', 'Phonetic'] as const;

/** The start of every term of an attribute, up to and including `=`. */
export const termPrefix = (tag: string, nameGroup?: number): string => `${tag}${nameGroup === undefined ? '' : `.${nameGroup + 1}`}=`;

/** The start of every term of a word of a name. */
export const wordPrefix = (tag: string): string => `${tag}.w=`;
/** Words of one name that are indexed, and how much of each. */
const maxWords = 50;
const maxWordLength = 64;

/** The VR by which an attribute is compared: the dictionary's, whatever VR a data set claims. */
export const comparedVR = (tag: string): string | undefined => vrOfTag(tag);

export function searchTerms(dataSet: DicomJson): SearchTerms {
  const items = Object.entries(dataSet).filter(([, { vr }]) => vr === 'SQ').flatMap(([path, { Value = [] }]) =>
    Value.slice(0, maxItems).filter(isDataSet).map((item) => ({ path, terms: termsOf(item) })));
  return { terms: termsOf(dataSet), items: items.filter(({ terms }) => terms.length > 0) };
}

const termsOf = (dataSet: DicomJson): readonly string[] =>
  [...new Set(Object.entries(dataSet).flatMap(([tag, attribute]) => termsOfAttribute(tag, attribute)))];

function termsOfAttribute(tag: string, { Value = [] }: JsonAttribute): readonly string[] {
  const vr = comparedVR(tag);
  if (vr === undefined || kindOf(vr) === undefined) return [];
  return Value.slice(0, maxValues).flatMap((value) => termsOfValue(tag, vr, value));
}

function termsOfValue(tag: string, vr: string, value: JsonValue): readonly string[] {
  if (value === null) return [];
  if (vr === 'PN') {
    const name: PersonName = typeof value === 'object' ? value as PersonName : { Alphabetic: String(value) };
    const words = wordsOfName(nameGroups.map((group) => name[group] ?? '').join('=')).slice(0, maxWords);
    return [...nameGroups.flatMap((group, index) => term(termPrefix(tag, index), formOf(vr, name[group] ?? ''))), ...words.flatMap((word) => term(wordPrefix(tag), word.slice(0, maxWordLength)))];
  }
  return typeof value === 'object' ? [] : term(termPrefix(tag), formOf(vr, String(value)));
}

const term = (prefix: string, form: string): readonly string[] => (form === '' ? [] : [`${prefix}${form}`]);
