/** The DICOM application context (PS3.7 A.2.1). */
export const applicationContextUID = '1.2.840.10008.3.1.1.1';

/** Identifies this implementation on associations and in file meta information (PS3.7 D.3.3.2, PS3.10 7.1). Derived from a UUID (PS3.5 B.2). */
export const implementationClassUID = '2.25.1215443487133019477955996765603758802';

/** At most 16 characters (PS3.7 D.3.3.2). Changes when the behaviour on the wire does. */
export const implementationVersionName = 'CLOUD_PACS_0_1';

const uidPattern = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+$/;
const uidShapePattern = /^\d+(?:\.\d+)*$/;

/** Whether a text is a UID as PS3.5 9.1 has it: 1–64 characters, at least two components, none with a leading zero. */
export const isUid = (text: string): boolean => text.length <= 64 && uidPattern.test(text);

/**
 * Whether a text is at least shaped like a UID: digits and single dots, 1–64 characters. Equipment in the field sends
 * components with leading zeros; such a value is not valid, yet harmless as a key or a name.
 */
export const isUidShaped = (text: string): boolean => text.length <= 64 && uidShapePattern.test(text);

/** Drops the padding of a UI value: a trailing NUL, or the spaces that some senders use (PS3.5 6.2). */
export const trimUid = (text: string): string => text.replace(/[\0 ]+$/, '');
