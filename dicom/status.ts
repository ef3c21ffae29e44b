/** What kind of answer a status is (PS3.7 Annex C). */
export type StatusClass = 'success' | 'pending' | 'cancel' | 'warning' | 'failure';

/**
 * What the sender of a refused instance should do: send it again later (our side was short of something), or never
 * (the same bytes will be refused again). `none`: nothing was refused.
 */
export type Resend = 'none' | 'later' | 'never';

/** One row of PS3.7 Annex C, PS3.4 B.2.3 or PS3.4 Tables C.4-1…C.4-3. `to` is the last code of a range. */
export interface StatusRow {
  readonly from: number;
  readonly to: number;
  readonly class: StatusClass;
  readonly resend: Resend;
  readonly meaning: string;
}

const row = (from: number, to: number, cls: StatusClass, resend: Resend, meaning: string): StatusRow =>
  ({ from, to, class: cls, resend, meaning });

/** Rows are in order of precedence: a single code stands before the range that holds it. */
export const statusTable: readonly StatusRow[] = [
  row(0x0000, 0x0000, 'success', 'none', 'Success'),
  row(0x0001, 0x0001, 'warning', 'none', 'Requested optional Attributes are not supported'),
  row(0x0105, 0x0105, 'failure', 'never', 'No such Attribute'),
  row(0x0106, 0x0106, 'failure', 'never', 'Invalid Attribute value'),
  row(0x0107, 0x0107, 'warning', 'none', 'Attribute list error'),
  row(0x0110, 0x0110, 'failure', 'later', 'Processing failure'),
  row(0x0111, 0x0111, 'failure', 'never', 'Duplicate SOP Instance'),
  row(0x0112, 0x0112, 'failure', 'never', 'No such SOP Instance'),
  row(0x0113, 0x0113, 'failure', 'never', 'No such event type'),
  row(0x0114, 0x0114, 'failure', 'never', 'No such argument'),
  row(0x0115, 0x0115, 'failure', 'never', 'Invalid argument value'),
  row(0x0116, 0x0116, 'warning', 'none', 'Attribute value out of range'),
  row(0x0117, 0x0117, 'failure', 'never', 'Invalid SOP Instance'),
  row(0x0118, 0x0118, 'failure', 'never', 'No such SOP Class'),
  row(0x0119, 0x0119, 'failure', 'never', 'Class-Instance conflict'),
  row(0x0120, 0x0120, 'failure', 'never', 'Missing Attribute'),
  row(0x0121, 0x0121, 'failure', 'never', 'Missing Attribute value'),
  row(0x0122, 0x0122, 'failure', 'never', 'Refused: SOP Class not supported'),
  row(0x0123, 0x0123, 'failure', 'never', 'No such action type'),
  row(0x0124, 0x0124, 'failure', 'never', 'Refused: not authorized'),
  row(0x0131, 0x0131, 'failure', 'never', 'Duplicate Transaction UID'),
  row(0x0210, 0x0210, 'failure', 'later', 'Duplicate invocation'),
  row(0x0211, 0x0211, 'failure', 'never', 'Unrecognized operation'),
  row(0x0212, 0x0212, 'failure', 'never', 'Mistyped argument'),
  row(0x0213, 0x0213, 'failure', 'later', 'Resource limitation'),
  row(0xa701, 0xa701, 'failure', 'later', 'Refused: out of resources, unable to calculate number of matches'),
  row(0xa702, 0xa702, 'failure', 'later', 'Refused: out of resources, unable to perform sub-operations'),
  row(0xa700, 0xa7ff, 'failure', 'later', 'Refused: out of resources'),
  row(0xa801, 0xa801, 'failure', 'never', 'Refused: move destination unknown'),
  row(0xa900, 0xa9ff, 'failure', 'never', 'Error: Data Set does not match SOP Class'),
  row(0xb000, 0xb000, 'warning', 'none', 'Coercion of Data Elements, or sub-operations complete with failures'),
  row(0xb001, 0xb001, 'warning', 'none', 'Matching reached response limit'),
  row(0xb006, 0xb006, 'warning', 'none', 'Elements discarded'),
  row(0xb007, 0xb007, 'warning', 'none', 'Data Set does not match SOP Class'),
  row(0xb000, 0xbfff, 'warning', 'none', 'Warning of the service class'),
  row(0xc001, 0xc001, 'failure', 'later', 'Error: unable to process'),
  row(0xc000, 0xcfff, 'failure', 'never', 'Error: cannot understand, or unable to process'),
  row(0xfe00, 0xfe00, 'cancel', 'none', 'Terminated due to Cancel request'),
  row(0xff00, 0xff00, 'pending', 'none', 'Pending'),
  row(0xff01, 0xff01, 'pending', 'none', 'Pending: optional keys not supported'),
  row(0x0000, 0xffff, 'failure', 'later', 'Status outside of the Standard'),
];

/** The statuses that this product sends by name. */
export const status = {
  success: 0x0000,
  processingFailure: 0x0110,
  duplicateInstance: 0x0111,
  invalidInstance: 0x0117,
  sopClassNotSupported: 0x0122,
  notAuthorized: 0x0124,
  unrecognizedOperation: 0x0211,
  mistypedArgument: 0x0212,
  outOfResources: 0xa700,
  dataSetMismatch: 0xa900,
  cannotUnderstand: 0xc000,
  elementsCoerced: 0xb000,
  elementsDiscarded: 0xb006,
  dataSetMismatchWarning: 0xb007,
  cancelled: 0xfe00,
  pending: 0xff00,
  pendingWithWarnings: 0xff01,
  responseLimit: 0xb001,
  unableToProcess: 0xc001,
  moveDestinationUnknown: 0xa801,
  unableToPerformSuboperations: 0xa702,
  suboperationsFailed: 0xb000,
  invalidAttributeValue: 0x0106,
  noSuchEventType: 0x0113,
  invalidArgumentValue: 0x0115,
  noSuchClass: 0x0118,
  missingAttribute: 0x0120,
  missingAttributeValue: 0x0121,
  resourceLimitation: 0x0213,
  noSuchInstance: 0x0112,
  classInstanceConflict: 0x0119,
  noSuchActionType: 0x0123,
  duplicateTransactionUID: 0x0131,
} as const;

/** @param code 0–FFFF; every code has a row, the last one if no other. */
export const statusRow = (code: number): StatusRow =>
  statusTable.find((candidate) => code >= candidate.from && code <= candidate.to) ?? statusTable[statusTable.length - 1]!;

export const statusClass = (code: number): StatusClass => statusRow(code).class;
export const resend = (code: number): Resend => statusRow(code).resend;

/** `A700 Refused: out of resources`, for a log line or an operator. */
export const describeStatus = (code: number): string =>
  `${code.toString(16).toUpperCase().padStart(4, '0')} ${statusRow(code).meaning}`;
