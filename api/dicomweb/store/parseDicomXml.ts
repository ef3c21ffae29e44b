import { SaxesParser } from 'saxes';
import type { DicomJson, JsonAttribute, JsonValue, PersonName } from '../../../dicom/json.ts';
import { isPrivateTag, type Tag } from '../../../dicom/tags.ts';
import { nameComponents, nameGroups, nativeModelNamespace } from '../../../dicom/xml.ts';

/** What each element may hold (PS3.19 A.1.6); those that are not listed hold text. */
const childrenOf: Readonly<Record<string, readonly string[]>> = {
  '': ['NativeDicomModel'], NativeDicomModel: ['DicomAttribute'], Item: ['DicomAttribute'],
  DicomAttribute: ['Value', 'PersonName', 'Item', 'InlineBinary', 'BulkData'], BulkData: [], PersonName: nameGroups,
  ...Object.fromEntries(nameGroups.map((group) => [group, nameComponents])),
};
/** Elements inside each other; a sequence in a sequence takes two. */
const maxDepth = 100;

interface Node {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  text: string;
  readonly children: Node[];
  readonly entries: Entry[];
}

interface Entry {
  readonly tag: Tag;
  readonly privateCreator: string | undefined;
  readonly attribute: JsonAttribute;
}

/**
 * Reads a document of the Native DICOM Model (PS3.19 A.1), with its namespace or without one, into the DICOM JSON Model. Private
 * attributes go to the block that their creator has in the data set, or to the next free one, which is then reserved.
 *
 * @param text already decoded
 * @throws SyntaxError that says no value: not well-formed, a DOCTYPE, another model, a depth beyond any data set
 */
export function parseDicomXml(text: string): DicomJson {
  const stack: [Node, ...Node[]] = [nodeOf('', {})];
  const top = (): Node => stack.at(-1)!;
  const parser = new SaxesParser({ xmlns: true, position: false });
  parser.on('error', () => wrong('is not well-formed'));
  parser.on('doctype', () => wrong('has a DOCTYPE, which is not read'));
  parser.on('xmldecl', ({ encoding = 'utf-8' }) => /^(utf-8|us-ascii)$/i.test(encoding) || wrong('is not in UTF-8'));
  parser.on('opentag', ({ local, uri, attributes }) => {
    if (uri !== '' && uri !== nativeModelNamespace) wrong('has elements of another namespace');
    if (!childrenOf[top().name]?.includes(local)) wrong('has an element where the model has none');
    if (stack.length > maxDepth) wrong('is nested too deeply');
    stack.push(nodeOf(local, Object.fromEntries(Object.values(attributes).map(({ name, value }) => [name, value]))));
  });
  const addText = (piece: string): void => {
    if (!Object.hasOwn(childrenOf, top().name)) top().text += piece;
    else if (piece.trim() !== '') wrong('has text where the model has none');
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', () => {
    const node = stack.pop()!;
    if (node.name === 'DicomAttribute') top().entries.push(entryOf(node));
    else top().children.push(node);
  });
  parser.write(text).close();
  return dataSetOf(stack[0].children[0]?.entries ?? []);
}

function wrong(what: string): never {
  throw new SyntaxError(`The XML ${what}.`);
}

const nodeOf = (name: string, attributes: Node['attributes']): Node => ({ name, attributes, text: '', children: [], entries: [] });

function entryOf(node: Node): Entry {
  const { tag = '', vr = '', privateCreator } = node.attributes;
  if (!/^[0-9A-Fa-f]{8}$/.test(tag) || !/^[A-Z]{2}$/.test(vr)) wrong('has an attribute without tag or VR');
  if (privateCreator !== undefined && !isPrivateTag(tag)) wrong('has a private creator at a standard attribute');
  return { tag: tag.toUpperCase(), privateCreator, attribute: attributeOf(vr, node.children) };
}

function attributeOf(vr: string, children: readonly Node[]): JsonAttribute {
  const [first] = children;
  if (!first) return { vr };
  if (first.name === 'BulkData' || first.name === 'InlineBinary') {
    if (children.length > 1) wrong('has an attribute with a value beside its bulk data');
    return first.name === 'BulkData' ? { vr, BulkDataURI: first.attributes['uri'] ?? first.attributes['uuid'] ?? wrong('has bulk data without a place') } : { vr, InlineBinary: base64(first.text) };
  }
  const name = vr === 'SQ' ? 'Item' : vr === 'PN' ? 'PersonName' : 'Value';
  const inOrder = children.every((child, index) => child.name === name && (child.attributes['number'] ?? String(index + 1)) === String(index + 1));
  if (!inOrder) wrong('has an attribute whose values do not fit its VR, or are not numbered from 1 on');
  return { vr, Value: children.map((child) => valueOf(vr, child)) };
}

function base64(text: string): string {
  const packed = text.replaceAll(/\s/g, '');
  return /^[A-Za-z0-9+/]*={0,2}$/.test(packed) && packed.length % 4 === 0 ? packed : wrong('has an inline value that is no base64');
}

const numericVRs: ReadonlySet<string> = new Set(['DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);

function valueOf(vr: string, node: Node): JsonValue {
  if (vr === 'SQ') return dataSetOf(node.entries);
  if (vr === 'PN') return personName(node);
  if (numericVRs.has(vr)) return decimal(vr, node.text.trim());
  return node.text === '' ? null : node.text;
}

/** A number, or the text where that is none or would lose digits, as a header has it. */
function decimal(vr: string, text: string): JsonValue {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : NaN;
  const exact = Number.isFinite(value) && ((vr !== 'SV' && vr !== 'UV') || Number.isSafeInteger(value));
  return text === '' ? null : exact ? value : text;
}

/** Empty components at a group's end are left out (PS3.5 6.2.1.2). */
function personName({ children }: Node): PersonName | null {
  const groups = children.map(({ name, children: components }) => {
    const textOf = (component: string): string => components.find((each) => each.name === component)?.text ?? '';
    return [name, nameComponents.map(textOf).join('^').replace(/\^+$/, '')] as const;
  }).filter(([, text]) => text !== '');
  return groups.length === 0 ? null : Object.fromEntries(groups);
}

function dataSetOf(entries: readonly Entry[]): DicomJson {
  const dataSet = new Map<Tag, JsonAttribute>();
  const add = (tag: Tag, attribute: JsonAttribute): void => {
    if (dataSet.has(tag)) wrong('has an attribute twice');
    dataSet.set(tag, attribute);
  };
  for (const { tag, privateCreator, attribute } of entries) if (privateCreator === undefined) add(tag, attribute);
  for (const { tag, privateCreator, attribute } of entries) if (privateCreator !== undefined) add(`${tag.slice(0, 4)}${blockOf(dataSet, tag, privateCreator)}${tag.slice(6)}`, attribute);
  return Object.fromEntries([...dataSet].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Two hexadecimal digits: the block of a creator, reserved when it was not (PS3.5 7.8.1). The tag may name it, or have 00 in its place. */
function blockOf(dataSet: Map<Tag, JsonAttribute>, tag: Tag, creator: string): string {
  const group = tag.slice(0, 4);
  const own = tag.slice(4, 6);
  const blocks = own === '00' ? allBlocks : [own];
  const holder = (block: string): unknown => dataSet.get(`${group}00${block}`)?.Value?.[0];
  const block = blocks.find((each) => holder(each) === creator) ?? blocks.find((each) => !dataSet.has(`${group}00${each}`))
    ?? wrong('has a private attribute whose block another creator holds');
  if (!dataSet.has(`${group}00${block}`)) dataSet.set(`${group}00${block}`, { vr: 'LO', Value: [creator] });
  return block;
}

const allBlocks = Array.from({ length: 0xf0 }, (_, index) => (index + 0x10).toString(16).toUpperCase());
