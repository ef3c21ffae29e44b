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
