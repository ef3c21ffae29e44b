import { isDataSet, type DicomJson, type JsonAttribute, type JsonValue, type PersonName } from './json.ts';
import { isPrivateCreatorTag, isPrivateTag, keywordOfTag, type Tag } from './tags.ts';

/** Namespace of the Native DICOM Model (PS3.19 A.1.6). */
export const nativeModelNamespace = 'http://dicom.nema.org/PS3.19/models/NativeDICOM';

/** Component groups of a person name (PS3.19 Table A.1.5-3), in the order of PS3.5 6.2.1.2. */
export const nameGroups = ['Alphabetic', 'Ideographic', 'Phonetic'] as const;
/** Components of a group, in the order in which carets part them. */
export const nameComponents = ['FamilyName', 'GivenName', 'MiddleName', 'NamePrefix', 'NameSuffix'] as const;

/**
 * Writes a data set as a document of the Native DICOM Model (PS3.19 A.1). A private attribute is named by its creator, and the two
 * digits of its block are 00, unless the creator has a second block in the group. Characters that XML 1.0 lacks become U+FFFD.
 */
export const stringifyDicomXml = (dataSet: DicomJson): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="${nativeModelNamespace}" xml:space="preserve">${attributesOf(dataSet)}</NativeDicomModel>`;

const attributesOf = (dataSet: DicomJson): string =>
  Object.keys(dataSet).sort().map((tag) => element('DicomAttribute', namesOf(tag, dataSet), contentOf(dataSet[tag]!))).join('');

function namesOf(tag: Tag, dataSet: DicomJson): Readonly<Record<string, string>> {
  const { vr } = dataSet[tag]!;
  const creator = creatorOf(tag, dataSet);
  if (creator === undefined) return { tag, vr, ...keywordIn(tag) };
  const first = Object.keys(dataSet).sort().find((other) => isPrivateCreatorTag(other) && other.startsWith(tag.slice(0, 4)) && dataSet[other]?.Value?.[0] === creator);
  return { tag: first?.slice(6) === tag.slice(4, 6) ? `${tag.slice(0, 4)}00${tag.slice(6)}` : tag, vr, privateCreator: creator };
}

/** @returns undefined for a standard attribute, a private creator, and an attribute of a block that nobody reserves */
function creatorOf(tag: Tag, dataSet: DicomJson): string | undefined {
  if (!isPrivateTag(tag) || isPrivateCreatorTag(tag)) return undefined;
  const creator = dataSet[`${tag.slice(0, 4)}00${tag.slice(4, 6)}`]?.Value?.[0];
  return typeof creator === 'string' ? creator : undefined;
}

function keywordIn(tag: Tag): { readonly keyword?: string } {
  const keyword = keywordOfTag(tag);
  return keyword === undefined ? {} : { keyword };
}

function contentOf({ vr, Value = [], InlineBinary, BulkDataURI }: JsonAttribute): string {
  if (BulkDataURI !== undefined) return element('BulkData', { uri: BulkDataURI }, '');
  if (InlineBinary !== undefined) return element('InlineBinary', {}, escaped(InlineBinary));
  return Value.map((value, index) => valueOf(vr, value, { number: String(index + 1) })).join('');
}

function valueOf(vr: string, value: JsonValue, number: Readonly<Record<string, string>>): string {
  if (vr === 'SQ') return element('Item', number, isDataSet(value) ? attributesOf(value as DicomJson) : '');
  if (vr === 'PN') return element('PersonName', number, value === null ? '' : groupsOf(value as PersonName));
  return element('Value', number, value === null ? '' : escaped(String(value)));
}

const groupsOf = (name: PersonName): string => nameGroups.map((group) => {
  const [family = '', given = '', middle = '', prefix = '', ...suffix] = (name[group] ?? '').split('^');
  const components = [family, given, middle, prefix, suffix.join('^')];
  const content = nameComponents.map((component, index) => (components[index] ? element(component, {}, escaped(components[index])) : '')).join('');
  return content === '' ? '' : element(group, {}, content);
}).join('');

const element = (name: string, attributes: Readonly<Record<string, string>>, content: string): string => {
  const start = `<${name}${Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`).join('')}`;
  return content === '' ? `${start}/>` : `${start}>${content}</${name}>`;
};

const references: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\t': '&#9;', '\n': '&#10;', '\r': '&#13;' };

/** Line ends and tabs as references: parsers would turn a CR into an LF, and both into spaces in an attribute (XML 1.0 2.11, 3.3.3). */
const escaped = (text: string): string =>
  text.toWellFormed().replaceAll(notXml, '\uFFFD').replaceAll(/[&<>"\t\n\r]/g, (character) => references[character]!);

/** What is no Char of XML 1.0 (2.2). */
const notXml = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g;
