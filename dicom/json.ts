/** One attribute of the DICOM JSON Model (PS3.18 F.2.2). An empty value has neither Value, InlineBinary nor BulkDataURI. */
export interface JsonAttribute {
  readonly vr: string;
  readonly Value?: readonly JsonValue[];
  readonly InlineBinary?: string;
  readonly BulkDataURI?: string;
}

/** PN is an object of component groups (PS3.18 F.2.2), SQ items are data sets, an empty item of a multi-value is null. */
export type JsonValue = string | number | null | PersonName | DicomJson;

export interface PersonName {
  readonly Alphabetic?: string;
  readonly Ideographic?: string;
  readonly Phonetic?: string;
}

/** A data set in the DICOM JSON Model: eight upper-case hex digits → attribute, keys ascending. */
export interface DicomJson {
  readonly [tag: string]: JsonAttribute;
}

/**
 * The text of a data set with its keys ascending at every level (PS3.18 F.2.2). JSON.stringify alone puts keys that
 * are whole numbers, such as 30060020, before those that start with a zero.
 */
export const stringifyDicomJson = (dataSet: DicomJson): string =>
  `{${Object.keys(dataSet).sort().map((tag) => `"${tag}":${stringifyAttribute(dataSet[tag])}`).join(',')}}`;

const stringifyAttribute = (attribute: JsonAttribute | undefined): string => {
  if (attribute?.vr !== 'SQ' || attribute.Value === undefined) return JSON.stringify(attribute);
  const items = attribute.Value.map((item) => (isDataSet(item) ? stringifyDicomJson(item) : 'null'));
  return `{"vr":"SQ","Value":[${items.join(',')}]}`;
};

/** Whether a value of a sequence is an item, as all but malformed ones are. */
export const isDataSet = (value: JsonValue | undefined): value is DicomJson => typeof value === 'object' && value !== null;
