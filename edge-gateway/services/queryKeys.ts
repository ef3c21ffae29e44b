import { isDataSet, type DicomJson } from '../../dicom/json.ts';
import { valuesAsText } from '../../dicom/matching.ts';
import { queryControls, uniqueKeys, type QueryRetrieveClass, type QueryRetrieveLevel } from '../../dicom/queryRetrieve.ts';
import { isUidShaped } from '../../dicom/uid.ts';

/** One matching key, as the cloud takes it: the path of tags through sequences, and its values, never none. */
export interface QueryKey {
  readonly path: readonly string[];
  readonly values: readonly string[];
}

/** How values are compared, where extended negotiation agreed on more than the baseline (PS3.4 C.5.1.1). */
export interface QueryOptions {
  readonly combinedDateTime: boolean;
  readonly fuzzy: boolean;
  readonly emptyValue: boolean;
  readonly multipleValue: boolean;
}

/** @param information the bytes agreed on, in the order of PS3.4 Table C.5-1 */
export const queryOptions = (information: Buffer | undefined): QueryOptions => ({
  combinedDateTime: information?.[1] === 1, fuzzy: information?.[2] === 1, emptyValue: information?.[5] === 1, multipleValue: information?.[6] === 1,
});

/** What an identifier asks (PS3.4 C.4.1.1.3.1). */
export interface Query {
  readonly level: QueryRetrieveLevel;
  readonly keys: readonly QueryKey[];
}

/** The identifier is not one of its SOP Class: status A900, with this sentence and the element it is about. */
export class BadIdentifier extends Error {
  override readonly name = 'BadIdentifier';
  readonly tag: string;

  constructor(message: string, tag: string) {
    super(message);
    this.tag = tag;
  }
}

const controls: readonly string[] = Object.values(queryControls);

/**
 * Reads the keys of an identifier.
 *
 * @param relational negotiated: the unique keys above the level may be missing (PS3.4 C.4.1.2.2)
 * @throws BadIdentifier
 */
export function readQuery(identifier: DicomJson, { levels }: QueryRetrieveClass, relational: boolean): Query {
  const level = levels.find((each) => each === textsOf(identifier, queryControls.level)[0]);
  if (!level) throw new BadIdentifier('Query/Retrieve Level is missing or not one of the model', queryControls.level);
  for (const above of levels.slice(0, levels.indexOf(level))) {
    const [value, second] = textsOf(identifier, uniqueKeys[above]);
    const isSingle = value !== undefined && second === undefined && !/[*?]/.test(value);
    if (!isSingle && !relational) throw new BadIdentifier(`The unique key of level ${above} is needed, one value of it`, uniqueKeys[above]);
  }
  return { level, keys: keysOf(identifier, []) };
}

/** What C-GET and C-MOVE take: unique keys alone, of the level and above it (PS3.4 C.4.2.1.4.1). @throws BadIdentifier */
export function readRetrieval(identifier: DicomJson, model: QueryRetrieveClass, relational: boolean): Query {
  const { level } = readQuery(identifier, model, relational);
  const upTo = model.levels.slice(0, model.levels.indexOf(level) + 1);
  const keys = upTo.map((each) => ({ path: [uniqueKeys[each]], values: textsOf(identifier, uniqueKeys[each]) })).filter(({ values }) => values.length > 0);
  const own = keys.find(({ path }) => path[0] === uniqueKeys[level]);
  if (!own) throw new BadIdentifier(`The unique key of level ${level} is needed`, uniqueKeys[level]);
  if (level === 'PATIENT' && (own.values.length > 1 || /[*?]/.test(own.values[0]!))) throw new BadIdentifier('One Patient ID without wild cards is needed', uniqueKeys.PATIENT);
  const notUid = keys.find(({ path, values }) => path[0] !== uniqueKeys.PATIENT && !values.every(isUidShaped));
  if (notUid) throw new BadIdentifier('A UID is not one', notUid.path[0]!);
  return { level, keys };
}

const textsOf = (dataSet: DicomJson, tag: string): readonly string[] => valuesAsText(dataSet[tag]).map((value) => value.trim()).filter((value) => value !== '');

/** An empty value, and `*` alone, match everything (PS3.4 C.2.2.2.3); UIDs know no wild cards. */
function keysOf(dataSet: DicomJson, path: readonly string[]): readonly QueryKey[] {
  return Object.entries(dataSet).flatMap(([tag, attribute]): readonly QueryKey[] => {
    if (controls.includes(tag) || /^....0000$/.test(tag)) return [];
    if (attribute.vr === 'SQ') {
      const [item] = attribute.Value ?? [];
      return isDataSet(item) ? keysOf(item as DicomJson, [...path, tag]) : [];
    }
    const values = valuesAsText(attribute).filter((value) => value.trim() !== '');
    const isUniversal = values.length === 0 || (attribute.vr !== 'UI' && values.every((value) => /^\*+$/.test(value.trim())));
    return isUniversal ? [] : [{ path: [...path, tag], values }];
  });
}

/**
 * The answer to one match: every key that was asked, with its value or empty (PS3.4 C.4.1.1.3.2), and where the match can be
 * retrieved from. Sequences come back whole.
 */
export function answerOf(identifier: DicomJson, match: DicomJson, level: QueryRetrieveLevel, retrieveAETitle: string): DicomJson {
  const asked = Object.entries(identifier).filter(([tag]) => !/^....0000$/.test(tag))
    .map(([tag, { vr }]) => [tag, match[tag] ?? { vr }] as const);
  return {
    ...Object.fromEntries(asked),
    [queryControls.level]: { vr: 'CS', Value: [level] },
    [queryControls.retrieveAETitle]: { vr: 'AE', Value: [retrieveAETitle] },
    [queryControls.instanceAvailability]: { vr: 'CS', Value: ['ONLINE'] },
  };
}
