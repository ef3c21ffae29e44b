import { earliest, isTemporalVR, isWithin, parseRange } from './dateTime.ts';
import { isDataSet, type DicomJson, type JsonAttribute, type JsonValue, type PersonName } from './json.ts';
import type { Tag } from './tags.ts';

export { parseRange, type TemporalRange } from './dateTime.ts';

/** One key of a query, from QIDO-RS (PS3.18 8.3.4.1) or a C-FIND identifier. */
export interface QueryAttribute {
  readonly tag: Tag;
  readonly vr: string;
  /** As text, one for every value; none, or only empty ones, match everything. */
  readonly values: readonly string[];
  /** VR SQ: the keys within the one item of the query (PS3.4 C.2.2.2.6). */
  readonly item?: readonly QueryAttribute[];
}

/** Kinds of matching beyond those that every query has (PS3.4 C.2.2.2.7 to C.2.2.2.9, PS3.18 8.3.4.2 to 8.3.4.6). */
export interface MatchOptions {
  /** A PN key matches when each of its words starts a word of the name, in any order (semantic matching of names). */
  readonly fuzzy?: boolean;
  /** The value `""` matches an attribute that is missing or empty. */
  readonly emptyValue?: boolean;
  /** Of several values all have to match, not one of them; lists of UIDs stay alternatives. */
  readonly multipleValue?: boolean;
  /** A date and its time are one instant: a range of both runs from the first date and time to the last. */
  readonly combinedDateTime?: boolean;
}

/** What asks for an empty value (PS3.4 C.2.2.2.7). */
export const emptyValue = '""';

/** Date attributes and the time attribute of the same instant. */
export const timeOfDate: ReadonlyMap<Tag, Tag> = new Map([
  ['00080020', '00080030'], ['00080021', '00080031'], ['00080022', '00080032'], ['00080023', '00080033'], ['00080012', '00080013'],
  ['00100030', '00100032'], ['00400244', '00400245'],
]);

/** VRs in which * and ? are wild cards (PS3.4 C.2.2.2.4). */
const wildCardVRs: ReadonlySet<string> = new Set(['AE', 'CS', 'LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UR', 'UT']);
const numberVRs: ReadonlySet<string> = new Set(['DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);

export const hasWildCard = (vr: string, value: string): boolean => wildCardVRs.has(vr) && /[*?]/.test(value);

/** Whether a key matches every data set, those without the attribute included (PS3.4 C.2.2.2.3). */
export const isUniversal = ({ vr, values, item }: QueryAttribute): boolean =>
  vr === 'SQ'
    ? (item ?? []).every(isUniversal)
    : values.every((value) => value.trim() === '' || (wildCardVRs.has(vr) && /^\*+$/.test(value.trim())));

/** Whether a data set matches all keys of a query (PS3.4 C.2.2.2). */
export const matches = (query: readonly QueryAttribute[], dataSet: DicomJson, options: MatchOptions = {}): boolean => {
  const { instants, others } = options.combinedDateTime ? combined(query) : { instants: [], others: query };
  return others.every((attribute) => matchesAttribute(attribute, dataSet, options)) && instants.every(([date, time]) => matchesInstant(date, time, dataSet));
};

/**
 * Whether a data set matches one key. Of several values in the query one has to match, and it may match any value of the
 * attribute, or any item of a sequence. Apart from universal matching, a data set without a value does not match.
 */
export const matchesAttribute = (query: QueryAttribute, dataSet: DicomJson, options: MatchOptions = {}): boolean => {
  if (isUniversal(query)) return true;
  const stored = dataSet[query.tag]?.Value ?? [];
  if (query.vr === 'SQ') return stored.some((item) => isDataSet(item) && matches(query.item ?? [], item, options));
  const one = (value: string): boolean =>
    options.emptyValue && value.trim() === emptyValue ? valuesAsText(dataSet[query.tag]).every((text) => text.trim() === '') : stored.some((each) => matchesValue(query.vr, value, each, options));
  return options.multipleValue && query.vr !== 'UI' ? query.values.filter((value) => value.trim() !== '').every(one) : query.values.some(one);
};

type DateAndTime = readonly [date: QueryAttribute, time: QueryAttribute];

/** Sets dates and times apart that are asked for together, one value each. */
function combined(query: readonly QueryAttribute[]): { readonly instants: readonly DateAndTime[]; readonly others: readonly QueryAttribute[] } {
  const asked = (tag: Tag | undefined): QueryAttribute | undefined => query.find((key) => key.tag === tag && key.values.length === 1 && !isUniversal(key) && key.values[0] !== emptyValue);
  const instants = [...timeOfDate].flatMap(([date, time]): readonly DateAndTime[] => {
    const both = [asked(date), asked(time)] as const;
    return both[0] && both[1] ? [[both[0], both[1]]] : [];
  });
  return { instants, others: query.filter((key) => !instants.flat().includes(key)) };
}

function matchesInstant(date: QueryAttribute, time: QueryAttribute, dataSet: DicomJson): boolean {
  const [dates, times] = [parseRange('DA', date.values[0]!), parseRange('TM', time.values[0]!)];
  const [storedDate, storedTime] = [date, time].map(({ tag }) => String(dataSet[tag]?.Value?.[0] ?? ''));
  const [day, clock] = [earliest('DA', storedDate!), earliest('TM', storedTime!)];
  if (!dates || !times || day === undefined || clock === undefined) return false;
  const instant = day + clock;
  return (dates.from === undefined || instant >= dates.from + (times.from ?? '')) && (dates.to === undefined || instant <= dates.to + (times.to ?? '~'));
}

const matchesValue = (vr: string, query: string, stored: JsonValue, { fuzzy = false }: MatchOptions): boolean => {
  if (stored === null || query.trim() === '') return false;
  if (typeof stored === 'object') return vr === 'PN' && (fuzzy ? matchesWords(query, stored) : matchesName(query, stored));
  if (isTemporalVR(vr)) return matchesTime(vr, query, String(stored));
  if (numberVRs.has(vr)) return matchesNumber(query, stored);
  const pattern = normalizeForSearch(vr, query);
  const text = normalizeForSearch(vr, String(stored));
  return hasWildCard(vr, pattern) ? matchesWildCard(pattern, text) : pattern === text;
};

const matchesTime = (vr: 'DA' | 'TM' | 'DT', query: string, stored: string): boolean => {
  const range = parseRange(vr, query);
  const instant = earliest(vr, stored);
  return range !== undefined && instant !== undefined && isWithin(range, instant);
};

const matchesNumber = (query: string, stored: string | number): boolean =>
  String(stored).trim() === query.trim() || (Number.isFinite(Number(query)) && Number(stored) === Number(query));

/**
 * Component groups are matched one by one when the query has several (`Yamada=山田`); a query of one group matches any
 * group of the name, since senders of ideographic names differ in where they put them.
 */
const matchesName = (query: string, { Alphabetic = '', Ideographic = '', Phonetic = '' }: PersonName): boolean => {
  const groups = [Alphabetic, Ideographic, Phonetic].map((group) => normalizeForSearch('PN', group));
  const wanted = query.split('=').map((group) => normalizeForSearch('PN', group));
  const one = wanted.length === 1 ? wanted[0] : undefined;
  if (one !== undefined) return groups.some((group) => group !== '' && matchesWildCard(one, group));
  return wanted.every((pattern, index) => pattern === '' || matchesWildCard(pattern, groups[index] ?? ''));
};

/** The words of a name or of a query for one, in the form in which they compare; wild cards are no part of a word. */
export const wordsOfName = (text: string): readonly string[] =>
  [...new Set(text.split('=').flatMap((group) => normalizeForSearch('PN', group).split(/[\s^,.\-*?]+/)).filter((word) => word !== ''))];

const matchesWords = (query: string, { Alphabetic = '', Ideographic = '', Phonetic = '' }: PersonName): boolean => {
  const words = wordsOfName([Alphabetic, Ideographic, Phonetic].join('='));
  return wordsOfName(query).every((wanted) => words.some((word) => word.startsWith(wanted)));
};

/** * is any number of characters, ? is one. Linear in memory, at worst quadratic in time, whatever the pattern. */
export const matchesWildCard = (pattern: string, text: string): boolean => {
  const wanted = [...pattern];
  const given = [...text];
  let [w, g, star, mark] = [0, 0, -1, 0];
  while (g < given.length) {
    if (wanted[w] === '*') [star, mark, w] = [w, g, w + 1];
    else if (w < wanted.length && (wanted[w] === '?' || wanted[w] === given[g])) [w, g] = [w + 1, g + 1];
    else if (star >= 0) [w, mark, g] = [star + 1, mark + 1, mark + 1];
    else return false;
  }
  return wanted.slice(w).every((character) => character === '*');
};

/**
 * The form in which index and query compare a value. PN, one component group: lower case, without accents, components
 * trimmed and empty ones dropped at the end, so that `BUC^Jérôme^^` and `buc^jerome` are the same. DA, TM, DT: of fixed
 * width (`earliest`), empty when the value breaks its VR. Other VRs are case sensitive (PS3.4 C.2.2.2.1) and only lose
 * insignificant spaces (PS3.5 6.2).
 */
export const normalizeForSearch = (vr: string, value: string): string => {
  if (vr === 'PN') return normalizeNameGroup(value);
  if (isTemporalVR(vr)) return earliest(vr, value) ?? '';
  if (vr === 'LT' || vr === 'ST' || vr === 'UT' || vr === 'UC' || vr === 'UR') return value.replace(/[ \0]+$/, '');
  return value.replace(/^ +|[ \0]+$/g, '');
};

/** Only the combining accents U+0300 to U+036F go: the marks of kana, Hangul and others tell names apart. */
const normalizeNameGroup = (group: string): string =>
  group
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .normalize('NFC')
    .split('^')
    .map((component) => component.trim())
    .join('^')
    .replace(/\^+$/, '');

/** The text of an attribute's values, for comparing and indexing: numbers as JSON has them, a PN as `A=I=P`. */
export const valuesAsText = (attribute: JsonAttribute | undefined): readonly string[] =>
  (attribute?.Value ?? []).flatMap((value) => {
    if (value === null) return [];
    if (typeof value !== 'object') return [String(value)];
    const { Alphabetic = '', Ideographic = '', Phonetic = '' } = value as PersonName;
    return attribute?.vr === 'PN' ? [[Alphabetic, Ideographic, Phonetic].join('=').replace(/=+$/, '')] : [];
  });
