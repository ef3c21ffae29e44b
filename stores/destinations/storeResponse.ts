import { isDataSet, type DicomJson } from '../../dicom/json.ts';
import { textOf } from '../../domain/indexedAttributes.ts';
import type { InstanceToSend, SendResult } from '../ports.ts';

const tags = {
  referencedSOPSequence: '00081199', failedSOPSequence: '00081198', referencedSOPInstanceUID: '00081155',
  warningReason: '00081196', failureReason: '00081197',
} as const;

/** Failure reasons in words (PS3.18 Table 10.5.3-3, PS3.4 B.2.3). */
const reasons: readonly (readonly [from: number, to: number, problem: string])[] = [
  [0x0110, 0x0110, 'Processing failure'],
  [0x0111, 0x0111, 'Duplicate SOP Instance'],
  [0x0122, 0x0122, 'Referenced SOP Class not supported'],
  [0x0124, 0x0124, 'Not authorized'],
  [0x0131, 0x0131, 'Duplicate transaction UID'],
  [0x0213, 0x0213, 'Resource limitation'],
  [0xa700, 0xa7ff, 'Out of resources'],
  [0xa900, 0xa9ff, 'Data set does not match SOP Class'],
  [0xc000, 0xcfff, 'Cannot understand'],
];

/** What passes by itself: out of resources, and a processing failure, which says nothing of the instance. */
const passes = (reason: number): boolean => reason === 0x0110 || reason === 0x0213 || (reason >= 0xa700 && reason <= 0xa7ff);

/**
 * Reads a Store Instances Response Module (PS3.18 10.5.3) against what was sent. With 200 an instance that no sequence
 * names is stored; with 202 nothing is known of it, so it is sent again; with 409 it is refused. A body that is not DICOM
 * JSON says no more than the status. Texts hold reasons and no text of the destination's.
 */
export function readStoreResponse(sent: readonly InstanceToSend[], status: 200 | 202 | 409, body: string): readonly SendResult[] {
  const response = parse(body);
  const stored = itemsByUID(response, tags.referencedSOPSequence);
  const failed = itemsByUID(response, tags.failedSOPSequence);
  return sent.map(({ sopInstanceUID }): SendResult => {
    const failure = failed.get(sopInstanceUID);
    if (failure) return failedResult(sopInstanceUID, codeOf(failure, tags.failureReason));
    const success = stored.get(sopInstanceUID);
    if (success) return storedResult(sopInstanceUID, codeOf(success, tags.warningReason));
    if (status === 200) return { sopInstanceUID, outcome: 'delivered', status: 0 };
    return { sopInstanceUID, outcome: status === 202 ? 'later' : 'refused', status, problem: `The destination answered with HTTP ${status} and did not say what became of this instance` };
  });
}

function failedResult(sopInstanceUID: string, reason: number | undefined): SendResult {
  if (reason === undefined) return { sopInstanceUID, outcome: 'refused', problem: 'The destination refused the instance and gave no reason' };
  const text = reasons.find(([from, to]) => reason >= from && reason <= to)?.[2] ?? 'Failure';
  const code = reason.toString(16).toUpperCase().padStart(4, '0');
  return { sopInstanceUID, outcome: passes(reason) ? 'later' : 'refused', status: reason, problem: `${text} (${code})` };
}

/** A warning is a success: the instance is stored, perhaps coerced (PS3.4 B.2.3, B000, B006, B007). */
function storedResult(sopInstanceUID: string, warning: number | undefined): SendResult {
  if (warning === undefined) return { sopInstanceUID, outcome: 'delivered', status: 0 };
  return { sopInstanceUID, outcome: 'delivered', status: warning, problem: `Stored with warning ${warning.toString(16).toUpperCase().padStart(4, '0')}` };
}

function itemsByUID(response: DicomJson, sequence: string): ReadonlyMap<string, DicomJson> {
  const items = (response[sequence]?.Value ?? []).filter((value) => isDataSet(value));
  return new Map(items.flatMap((item) => {
    const uid = textOf(item as DicomJson, tags.referencedSOPInstanceUID);
    return uid === undefined ? [] : [[uid.trim(), item as DicomJson] as const];
  }));
}

function codeOf(item: DicomJson, tag: string): number | undefined {
  const code = Number(textOf(item, tag));
  return Number.isInteger(code) ? code : undefined;
}

/** Some servers wrap the data set in an array, as a search's answer is. */
function parse(body: string): DicomJson {
  try {
    const value = JSON.parse(body) as unknown;
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return typeof first === 'object' && first !== null ? first as DicomJson : {};
  } catch {
    return {};
  }
}
