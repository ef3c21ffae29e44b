import { dictionary } from './dictionary.ts';

/** A tag as eight upper-case hexadecimal digits, the key of the DICOM JSON Model (PS3.18 F.2.2). */
export type Tag = string;

interface Attribute {
  readonly tag: Tag;
  readonly keyword: string;
  /** As in the dictionary; xs, ox, lt and up stand for VRs that depend on the data set. */
  readonly vr: string;
  readonly vm: string;
}

const byNumber = new Map<number, Attribute>();
const byKeyword = new Map<string, Attribute>();
for (const [tag, keyword, vr, vm] of dictionary) {
  const attribute = { tag, keyword, vr, vm };
  byNumber.set(Number.parseInt(tag, 16), attribute);
  byKeyword.set(keyword, attribute);
}

/** The standard attribute of a tag; repeating groups 50xx, 60xx and 7Fxx are found under their first (PS3.5 7.6). */
const attributeOf = (tag: number): Attribute | undefined => {
  const exact = byNumber.get(tag);
  if (exact !== undefined) return exact;
  const group = tag >>> 16;
  const family = group & 0xff00;
  if (group % 2 === 1 || (family !== 0x5000 && family !== 0x6000 && (family !== 0x7f00 || group === 0x7fe0))) return undefined;
  return byNumber.get((family << 16) + (tag & 0xffff));
};

/** Odd groups belong to vendors (PS3.5 7.8). */
export const isPrivateTag = (tag: Tag): boolean => Number.parseInt(tag.slice(0, 4), 16) % 2 === 1;

/** (gggg,0010-00FF) of an odd group reserve a block for the vendor they name (PS3.5 7.8.1). */
export const isPrivateCreatorTag = (tag: Tag): boolean => isPrivateTag(tag) && /^....00(?!0)/.test(tag);

export const tagOfKeyword = (keyword: string): Tag | undefined => byKeyword.get(keyword)?.tag;

/** The tag of a keyword that is known to exist: for tables in code. @throws when it does not */
export const tagOf = (keyword: string): Tag => {
  const tag = tagOfKeyword(keyword);
  if (tag === undefined) throw new Error(`${keyword} is no keyword of PS3.6.`);
  return tag;
};

export const keywordOfTag = (tag: Tag): string | undefined => attributeOf(Number.parseInt(tag, 16))?.keyword;

/** Value Multiplicity as PS3.6 writes it: 1, 1-n, 2-2n, … */
export const vmOfTag = (tag: Tag): string | undefined => attributeOf(Number.parseInt(tag, 16))?.vm;

/**
 * The dictionary's VR of a tag as a number, ambiguous ones in small letters; LO for private creators, UL for
 * group lengths (PS3.5 7.2), undefined when PS3.6 has no such attribute.
 */
export const dictionaryVR = (tag: number): string | undefined => {
  const element = tag & 0xffff;
  if (element === 0) return 'UL';
  if (((tag >>> 16) & 1) === 1) return element >= 0x10 && element <= 0xff ? 'LO' : undefined;
  return attributeOf(tag)?.vr;
};

const usualVR: Readonly<Record<string, string | undefined>> = { xs: 'US', ox: 'OW', lt: 'OW', up: 'UL', na: undefined };

/** The VR of a tag where no data set tells more: ambiguous ones become US or OW; undefined when it is unknown. */
export const vrOfTag = (tag: Tag): string | undefined => {
  const vr = dictionaryVR(Number.parseInt(tag, 16));
  return vr !== undefined && vr in usualVR ? usualVR[vr] : vr;
};

const tagPattern = /^[0-9A-Fa-f]{8}$/;
const maxPathLength = 16;

/**
 * Reads an attribute id of a search (PS3.18 8.3.4): eight hex digits, private tags included, a keyword, or a path of
 * either through sequences, joined by dots: `00400275.00400009`, `RequestAttributesSequence.ScheduledProcedureStepID`.
 *
 * @returns the tags from the outermost sequence inwards; undefined when it names no attribute
 */
export const parseAttributeId = (id: string): readonly Tag[] | undefined => {
  const parts = id.split('.');
  if (parts.length > maxPathLength) return undefined;
  const tags = parts.map((part) => (tagPattern.test(part) ? part.toUpperCase() : tagOfKeyword(part)));
  return tags.every((tag) => tag !== undefined) ? tags : undefined;
};
