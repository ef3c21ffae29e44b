import { isDataSet, type DicomJson } from './json.ts';
import { tagOf } from './tags.ts';
import { isUidShaped } from './uid.ts';

/** The Storage Commitment Push Model SOP Class and its well-known instance (PS3.4 J.3.5). */
export const storageCommitmentClassUID = '1.2.840.10008.1.20.1';
export const storageCommitmentInstanceUID = '1.2.840.10008.1.20.1.1';

/** Action Type ID of the one action (PS3.4 Table J.3-1). */
export const requestCommitment = 1;
/** Event Type IDs (PS3.4 Table J.3-2). */
export const commitmentEvents = { successful: 1, failuresExist: 2 } as const;

/** Failure Reason (0008,1197) (PS3.3 C.14.1.1). */
export const commitmentFailures = {
  processingFailure: 0x0110, noSuchInstance: 0x0112, classInstanceConflict: 0x0119, classNotSupported: 0x0122, duplicateTransaction: 0x0131, resourceLimitation: 0x0213,
} as const;

/** An item of Referenced SOP Sequence (0008,1199). */
export interface SopReference {
  readonly sopClassUID: string;
  readonly sopInstanceUID: string;
}

/** The Action Information of a request (PS3.4 Table J.3-1). */
export interface CommitmentRequest {
  readonly transactionUID: string;
  readonly references: readonly SopReference[];
}

/** The Event Information of a report (PS3.4 Table J.3-2). */
export interface CommitmentReport {
  readonly transactionUID: string;
  readonly committed: readonly SopReference[];
  readonly failed: readonly (SopReference & { readonly failureReason: number })[];
}

/** What is wrong with a data set of this service: `missing` and `empty` attributes by tag, or a value that is none (PS3.7 C.5). */
export class CommitmentFault extends Error {
  override readonly name = 'CommitmentFault';
  readonly kind: 'missing' | 'empty' | 'invalid';
  readonly tag: string;

  constructor(kind: CommitmentFault['kind'], tag: string) {
    super(`(${tag.slice(0, 4)},${tag.slice(4)}) is ${kind === 'invalid' ? 'no valid value' : kind}`);
    this.kind = kind;
    this.tag = tag;
  }
}

const tags = {
  transactionUID: tagOf('TransactionUID'), references: tagOf('ReferencedSOPSequence'), failed: tagOf('FailedSOPSequence'),
  sopClassUID: tagOf('ReferencedSOPClassUID'), sopInstanceUID: tagOf('ReferencedSOPInstanceUID'), failureReason: tagOf('FailureReason'),
} as const;

/** An instance that is named twice counts once. @throws CommitmentFault */
export function readCommitmentRequest(information: DicomJson): CommitmentRequest {
  const transactionUID = uidOf(information, tags.transactionUID);
  return { transactionUID, references: once(itemsOf(information, tags.references, true).map(referenceOf)) };
}

/** @throws CommitmentFault */
export function readCommitmentReport(information: DicomJson): CommitmentReport {
  const transactionUID = uidOf(information, tags.transactionUID);
  return {
    transactionUID, committed: itemsOf(information, tags.references, false).map(referenceOf),
    failed: itemsOf(information, tags.failed, false).map((item) => ({ ...referenceOf(item), failureReason: failureReasonOf(item) })),
  };
}

export const commitmentRequestInformation = ({ transactionUID, references }: CommitmentRequest): DicomJson =>
  ({ [tags.transactionUID]: ui(transactionUID), [tags.references]: sequence(references.map(itemOf)) });

/** Each sequence is there only when it has items (PS3.4 Table J.3-2). */
export const commitmentReportInformation = ({ transactionUID, committed, failed }: CommitmentReport): DicomJson => ({
  [tags.transactionUID]: ui(transactionUID),
  ...(failed.length > 0 && { [tags.failed]: sequence(failed.map((each) => ({ ...itemOf(each), [tags.failureReason]: { vr: 'US', Value: [each.failureReason] } }))) }),
  ...(committed.length > 0 && { [tags.references]: sequence(committed.map(itemOf)) }),
});

export const eventOf = ({ failed }: CommitmentReport): number => (failed.length > 0 ? commitmentEvents.failuresExist : commitmentEvents.successful);

const ui = (uid: string) => ({ vr: 'UI', Value: [uid] });
const sequence = (items: readonly DicomJson[]) => ({ vr: 'SQ', Value: items });
const itemOf = ({ sopClassUID, sopInstanceUID }: SopReference): DicomJson => ({ [tags.sopClassUID]: ui(sopClassUID), [tags.sopInstanceUID]: ui(sopInstanceUID) });
const referenceOf = (item: DicomJson): SopReference => ({ sopClassUID: uidOf(item, tags.sopClassUID), sopInstanceUID: uidOf(item, tags.sopInstanceUID) });

function uidOf(dataSet: DicomJson, tag: string): string {
  const attribute = dataSet[tag];
  if (!attribute) throw new CommitmentFault('missing', tag);
  const uid = attribute.Value?.[0] ?? '';
  if (uid === '') throw new CommitmentFault('empty', tag);
  if (typeof uid !== 'string' || !isUidShaped(uid)) throw new CommitmentFault('invalid', tag);
  return uid;
}

function itemsOf(dataSet: DicomJson, tag: string, isNeeded: boolean): readonly DicomJson[] {
  const attribute = dataSet[tag];
  const items = (attribute?.Value ?? []).filter(isDataSet) as readonly DicomJson[];
  if (isNeeded && items.length === 0) throw new CommitmentFault(attribute ? 'empty' : 'missing', tag);
  return items;
}

function failureReasonOf(item: DicomJson): number {
  const reason = item[tags.failureReason]?.Value?.[0];
  return typeof reason === 'number' ? reason : commitmentFailures.processingFailure;
}

const once = (references: readonly SopReference[]): readonly SopReference[] =>
  [...new Map(references.map((reference) => [`${reference.sopClassUID} ${reference.sopInstanceUID}`, reference])).values()];
