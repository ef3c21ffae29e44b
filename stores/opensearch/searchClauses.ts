import { emptyValue, hasWildCard, isUniversal, parseRange, timeOfDate, wordsOfName, type MatchOptions, type TemporalRange } from '../../dicom/matching.ts';
import { keywordOfTag } from '../../dicom/tags.ts';
import { computedAttributes, instanceLevel, seriesLevel, studyLevel } from '../../domain/indexedAttributes.ts';
import { UnsupportedMatch, type MatchKey, type QueryLevel } from '../ports.ts';
import { comparedVR, formOf, kindOf, nameGroups, termPrefix, wordPrefix } from './searchTerms.ts';

/** What must hold of the terms of a data set or of one item: at least one of the alternatives. */
export type Clause = readonly Alternative[];
export type Alternative =
  | { readonly equals: string }
  /** `prefix` is literal; `pattern` has `*` and `?` as wild cards, anything else in it is literal. */
  | { readonly prefix: string; readonly pattern: string }
  /** Both ends included; compared as text. */
  | { readonly from: string; readonly to: string }
  /** No term starts with any of these. */
  | { readonly absent: readonly string[] }
  | { readonly all: readonly Clause[] };

/** All clauses of a request: of the data set itself, and per sequence those that one item must fulfil together. */
export interface Clauses {
  readonly own: readonly Clause[];
  readonly bySequence: ReadonlyMap<string, readonly Clause[]>;
}

const tagsOf = (keywords: readonly string[]): readonly string[] =>
  computedAttributes.filter(({ keyword }) => keywords.includes(keyword)).map(({ tag }) => tag);
const study = studyLevel.map(({ tag }) => tag);
const studyComputed = tagsOf(['ModalitiesInStudy', 'SOPClassesInStudy', 'NumberOfStudyRelatedSeries', 'NumberOfStudyRelatedInstances']);
const series = seriesLevel.map(({ tag }) => tag);

/** What the documents of each level hold (domain/documents.ts): an instance's follows from its own header, so it has no counts. */
export const searchableTags: Readonly<Record<QueryLevel, ReadonlySet<string>>> = {
  studies: new Set([...study, ...studyComputed]),
  series: new Set([...study, ...studyComputed, ...series, ...tagsOf(['NumberOfSeriesRelatedInstances'])]),
  instances: new Set([...study, ...series, ...instanceLevel.map(({ tag }) => tag), ...tagsOf(['AvailableTransferSyntaxUID'])]),
};

/** @throws UnsupportedMatch with a sentence that names the attribute and never the value */
export function clausesOf(level: QueryLevel, match: readonly MatchKey[], options: MatchOptions = {}): Clauses {
  const { instants, others } = options.combinedDateTime ? combined(match) : { instants: [], others: match };
  const own: Clause[] = instants.flatMap(([date, time]) => instantClauses(date, time));
  const bySequence = new Map<string, Clause[]>();
  for (const { path, values } of others) {
    const [first, inner, ...deeper] = path;
    if (first === undefined || !searchableTags[level].has(first)) {
      throw new UnsupportedMatch(`${nameOf(path)} is not an attribute that ${level} are searched by.`);
    }
    if (deeper.length > 0) throw new UnsupportedMatch(`${nameOf(path)} lies too deep: one level of sequences is searched.`);
    if (inner !== undefined && comparedVR(first) !== 'SQ') throw new UnsupportedMatch(`${nameOf([first])} is not a sequence.`);
    const clauses = clausesOfKey(path, inner ?? first, values, options);
    if (inner === undefined) own.push(...clauses);
    else bySequence.set(first, [...bySequence.get(first) ?? [], ...clauses]);
  }
  if ([...own, ...[...bySequence.values()].flat()].reduce((sum, clause) => sum + countPatterns(clause), 0) > maxPatterns) {
    throw new UnsupportedMatch('The query has too many values with wild cards.');
  }
  return { own, bySequence: new Map([...bySequence].filter(([, clauses]) => clauses.length > 0)) };
}

/**
 * Several values are alternatives: a UID list (PS3.4 C.2.2.2.2), and by the same reading `CT\\MR` of ModalitiesInStudy.
 * No clause is universal matching.
 */
function clausesOfKey(path: readonly string[], tag: string, values: readonly string[], options: MatchOptions): readonly Clause[] {
  const vr = comparedVR(tag);
  const kind = vr === undefined ? undefined : kindOf(vr);
  if (vr === undefined || kind === undefined) {
    throw new UnsupportedMatch(vr === 'SQ' ? `${nameOf(path)} is a sequence: name an attribute in it.` : `${nameOf(path)} cannot be matched by value.`);
  }
  if (isUniversal({ tag, vr, values })) return [];
  const alternatives = values.filter((value) => value.trim() !== '').map((value): Clause => {
    if (options.emptyValue && value.trim() === emptyValue) return [{ absent: kind === 'name' ? nameGroups.map((_, group) => termPrefix(tag, group)) : [termPrefix(tag)] }];
    if (kind === 'name') return options.fuzzy ? wordAlternatives(tag, value) : nameAlternatives(path, tag, value);
    if (kind === 'temporal') return [between(tag, parseRange(vr as 'DA' | 'TM' | 'DT', value) ?? malformed(path, vr))];
    const form = formOf(vr, value);
    if (kind === 'number' && form === '') malformed(path, vr);
    return [alternative(path, termPrefix(tag), vr, form)];
  });
  return options.multipleValue && vr !== 'UI' ? alternatives : [alternatives.flat()];
}

type DateAndTime = readonly [date: MatchKey, time: MatchKey];

/** Sets dates and times apart that are asked for together, one value each. */
function combined(match: readonly MatchKey[]): { readonly instants: readonly DateAndTime[]; readonly others: readonly MatchKey[] } {
  const asked = (tag: string): MatchKey | undefined =>
    match.find(({ path, values: [value = '', ...more] }) => path.length === 1 && path[0] === tag && more.length === 0 && value.trim() !== '' && value !== emptyValue);
  const instants = [...timeOfDate].flatMap(([date, time]): readonly DateAndTime[] => {
    const both = [asked(date), asked(time)] as const;
    return both[0] && both[1] ? [[both[0], both[1]]] : [];
  });
  return { instants, others: match.filter((key) => !instants.flat().includes(key)) };
}

/** From the first date at its time to the last date at its (PS3.4 C.2.2.2.5.3): days between count whole. */
function instantClauses(date: MatchKey, time: MatchKey): readonly Clause[] {
  const [dateTag, timeTag] = [date.path[0]!, time.path[0]!];
  const dates = parseRange('DA', date.values[0]!) ?? malformed(date.path, 'DA');
  const times = parseRange('TM', time.values[0]!) ?? malformed(time.path, 'TM');
  const present: Clause[] = [[between(dateTag, {})], [between(timeTag, {})]];
  const onDay = (day: string, range: TemporalRange): Alternative => ({ all: [[between(dateTag, { from: day, to: day })], [between(timeTag, range)]] });
  const prefix = termPrefix(dateTag);
  return [
    ...present,
    ...(dates.from === undefined ? [] : [[{ from: `${prefix}${dates.from} `, to: `${prefix}~` }, onDay(dates.from, times.from === undefined ? {} : { from: times.from })]]),
    ...(dates.to === undefined ? [] : [[{ from: `${prefix} `, to: `${prefix}${before(dates.to)}` }, onDay(dates.to, times.to === undefined ? {} : { to: times.to })]]),
  ];
}

/** The last text before a date of eight digits and after every earlier one. */
const before = (day: string): string => `${day.slice(0, -1)}${String.fromCharCode(day.charCodeAt(day.length - 1) - 1)}~`;

/**
 * Longer patterns are refused. OpenSearch builds an automaton of each: one of 5,000 stars overflows its stack, which ends the
 * whole server, and from about 500 characters on it gives up on many.
 */
const maxPatternLength = 256;
const maxPatterns = 300;

function alternative(path: readonly string[], prefix: string, vr: string, form: string): Alternative {
  if (!hasWildCard(vr, form)) return { equals: prefix + form };
  const pattern = form.replace(/[*?]*\*[*?]*/g, (run) => `${run.replaceAll('*', '')}*`);
  if (pattern.length <= maxPatternLength) return { prefix, pattern };
  throw new UnsupportedMatch(`The value given for ${nameOf(path)} has wild cards and more than ${maxPatternLength} characters.`);
}

const countPatterns = (clause: Clause): number => clause.reduce((sum, one) =>
  sum + ('pattern' in one ? 1 : 'all' in one ? one.all.reduce((inner, part) => inner + countPatterns(part), 0) : 0), 0);

/** A name without `=` is sought in every component group; with `=` each group in its own, all of them. */
function nameAlternatives(path: readonly string[], tag: string, value: string): Clause {
  const inGroup = (text: string, group: number): Alternative => alternative(path, termPrefix(tag, group), 'PN', formOf('PN', text));
  const groups = value.split('=');
  if (groups.length === 1) return nameGroups.map((_, group) => inGroup(value, group));
  const asked = groups.map((text, group) => ({ text, group })).filter(({ text }) => !/^\**$/.test(text.trim()));
  return [{ all: asked.map(({ text, group }) => [inGroup(text, group)]) }];
}

/** Each word of the query starts a word of the name. */
const wordAlternatives = (tag: string, value: string): Clause =>
  [{ all: wordsOfName(value).map((word) => [{ prefix: wordPrefix(tag), pattern: `${word.slice(0, maxWordPattern)}*` }]) }];
const maxWordPattern = 64;

/** Open ends reach to the first and last term of the attribute: digits sort between the space and the tilde. */
const between = (tag: string, { from = ' ', to = '~' }: { readonly from?: string; readonly to?: string }): Alternative =>
  from === to ? { equals: termPrefix(tag) + from } : { from: termPrefix(tag) + from, to: termPrefix(tag) + to };

function malformed(path: readonly string[], vr: string): never {
  throw new UnsupportedMatch(`The value given for ${nameOf(path)} is not one of its VR ${vr}.`);
}

const nameOf = (path: readonly string[]): string => path.map((tag) => keywordOfTag(tag) ?? tag).join('.') || 'An empty attribute name';
