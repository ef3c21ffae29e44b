import { emptyValue, type MatchOptions } from '../../../dicom/matching.ts';
import { parseAttributeId, vrOfTag, type Tag } from '../../../dicom/tags.ts';
import { isUidShaped } from '../../../dicom/uid.ts';
import type { MatchKey } from '../../../stores/ports.ts';
import { badRequest } from '../../problems.ts';

/** What the query of a search asks (PS3.18 10.6.1, 8.3.4). */
export interface SearchQuery {
  readonly match: readonly MatchKey[];
  /** Top-level tags that are returned beside the default ones. */
  readonly include: ReadonlySet<Tag> | 'all';
  readonly limit: number;
  readonly offset: number;
  readonly options: MatchOptions;
}

export const defaultLimit = 100;
export const maxLimit = 1000;

/** Parameters that change how values are compared (PS3.18 8.3.4.2, 8.3.4.5 and 8.3.4.6). */
const modes = { fuzzymatching: 'fuzzy', emptyvaluematching: 'emptyValue', multiplevaluematching: 'multipleValue' } as const satisfies Readonly<Record<string, keyof MatchOptions>>;
const notAttributes = new Set(['limit', 'offset', 'includefield', 'accept', ...Object.keys(modes)]);

/** @throws HttpProblem 400, naming the parameter and never its value */
export function parseSearchQuery(query: URLSearchParams): SearchQuery {
  const asked = new Map<string, { readonly path: readonly Tag[]; readonly values: string[] }>();
  const options: MatchOptions = Object.fromEntries(Object.entries(modes).map(([name, option]) => [option, booleanOf(query, name)]));
  for (const [name, value] of query) {
    if (notAttributes.has(name)) continue;
    const path = attributePath(name);
    if (!path) continue;
    const key = asked.get(path.join('.')) ?? { path, values: [] };
    key.values.push(...valuesOf(name, path, value, options));
    asked.set(path.join('.'), key);
  }
  const keys = [...asked.values()];
  for (const key of keys) {
    if (key.values.length > 1 && vrOf(key.path) !== 'UI' && !options.multipleValue) throw badRequest(`${key.path.join('.')} is asked for more than once. UIDs alone can be given as a list, or any values with multiplevaluematching=true.`);
  }
  const include = includedTags(query.getAll('includefield'));
  return {
    match: keys.filter(({ values }) => values.length > 0),
    include: include === 'all' ? include : new Set([...include, ...keys.map(({ path }) => path[0] ?? '')]),
    limit: Math.min(wholeNumber(query, 'limit', defaultLimit, 1), maxLimit),
    offset: wholeNumber(query, 'offset', 0, 0),
    options,
  };
}

/** @returns undefined for a parameter that names no attribute and is ignored */
function attributePath(name: string): readonly Tag[] | undefined {
  const path = parseAttributeId(name);
  const looksLikeOne = /^[0-9A-Fa-f]{8}(\.|$)/.test(name) || /^[A-Z][A-Za-z]+\./.test(name);
  if (!path && looksLikeOne) throw badRequest(`${printable(name)} is no attribute id. Give a keyword, eight hexadecimal digits, or a path of these joined by dots.`);
  return path;
}

const vrOf = (path: readonly Tag[]): string | undefined => vrOfTag(path.at(-1) ?? '');

/** No values: universal matching. A UID list may be separated by commas or backslashes (PS3.18 8.3.4.1). */
function valuesOf(name: string, path: readonly Tag[], text: string, options: MatchOptions): readonly string[] {
  if (text.length > 4096 || /[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f]/.test(text)) throw badRequest(`The value of ${printable(name)} is too long or has control characters.`);
  const vr = vrOf(path);
  if (options.emptyValue && text === emptyValue) return [text];
  if (options.multipleValue && vr !== 'UI' && text.includes('\\')) return text.split('\\').flatMap((value) => valuesOf(name, path, value, options));
  if (vr === 'UI') {
    const uids = text.split(/[,\\]/).map((uid) => uid.trim()).filter(Boolean);
    if (!uids.every(isUidShaped)) throw badRequest(`${printable(name)} takes UIDs, one or several separated by commas.`);
    return uids;
  }
  const form = vr === undefined ? undefined : rangeForms[vr];
  if (text !== '' && form && !form.pattern.test(text)) throw badRequest(`${printable(name)} takes ${form.says}.`);
  return /^(?:\s*|\*+)$/.test(text) ? [] : [text];
}

const date = String.raw`\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])`;
const time = String.raw`(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?`;
const single = (form: string): RegExp => new RegExp(`^(?:${form}|${form}-|-${form}|${form}-${form})$`);
/** Single values and ranges (PS3.4 C.2.2.2.5). */
const rangeForms: Readonly<Record<string, { readonly pattern: RegExp; readonly says: string }>> = {
  DA: { pattern: single(date), says: 'a date as YYYYMMDD, or a range of two joined by -' },
  TM: { pattern: single(time), says: 'a time as HHMMSS, or a range of two joined by -' },
};

function includedTags(fields: readonly string[]): ReadonlySet<Tag> | 'all' {
  const names = fields.flatMap((field) => field.split(',')).map((name) => name.trim()).filter(Boolean);
  if (names.includes('all')) return 'all';
  return new Set(names.flatMap((name) => {
    const path = parseAttributeId(name);
    if (!path) throw badRequest(`includefield names ${printable(name)}, which is no attribute. Give keywords, eight hexadecimal digits, or all.`);
    return path.slice(0, 1);
  }));
}

function wholeNumber(query: URLSearchParams, name: string, byDefault: number, min: number): number {
  const [text, second] = query.getAll(name);
  if (text === undefined) return byDefault;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (second !== undefined || !(value >= min)) throw badRequest(`${name} takes one whole number, ${min} or more.`);
  return value;
}

function booleanOf(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  if (text !== null && text !== 'true' && text !== 'false') throw badRequest(`${name} takes true or false.`);
  return text === 'true';
}

/** A parameter's name as a message may repeat it: it can be anything. */
const printable = (name: string): string => /^[A-Za-z0-9.]{1,64}$/.test(name) ? name : 'A parameter';
