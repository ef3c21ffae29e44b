import type { DicomJson } from '../../dicom/json.ts';
import { status, statusClass } from '../../dicom/status.ts';
import { encodeIdentifier } from './identifier.ts';
import type { DimseResponse, SuboperationCounts } from './service.ts';

const failedListTag = '00080058';
/** In explicit VR a UI value has 65,534 bytes at most: so many UIDs of any length fit. What is left out is still counted. */
export const maxListedFailures = 1_000;

/** What became of the sub-operations of one C-GET or C-MOVE so far. */
export class SuboperationTally {
  readonly #total: number;
  #completed = 0;
  #warning = 0;
  #failed = 0;
  readonly #failedUIDs: string[] = [];

  constructor(total: number) {
    this.#total = total;
  }

  /** @param code of the C-STORE response; undefined when there was none */
  count(sopInstanceUID: string, code: number | undefined): void {
    const kind = code === undefined ? 'failure' : statusClass(code);
    if (kind === 'success') this.#completed += 1;
    else if (kind === 'warning') this.#warning += 1;
    else {
      this.#failed += 1;
      if (this.#failedUIDs.length < maxListedFailures) this.#failedUIDs.push(sopInstanceUID);
    }
  }

  get #counts(): SuboperationCounts {
    return { completed: this.#completed, failed: this.#failed, warning: this.#warning };
  }

  get #remaining(): number {
    return Math.max(0, this.#total - this.#completed - this.#failed - this.#warning);
  }

  pending(): DimseResponse {
    return { status: status.pending, suboperations: { ...this.#counts, remaining: this.#remaining } };
  }

  /** FE00: what is left was not done. */
  cancelled(transferSyntaxUID: string): DimseResponse {
    return cancelledResponse({ ...this.#counts, remaining: this.#remaining, failedUIDs: this.#failedUIDs }, transferSyntaxUID);
  }

  /** 0000 when all were completed, A702 when none was, else B000 (PS3.4 Tables C.4-2, C.4-3). */
  final(transferSyntaxUID: string): DimseResponse {
    return finalResponse({ ...this.#counts, failedUIDs: this.#failedUIDs }, transferSyntaxUID);
  }
}

const failedList = (failedUIDs: readonly string[], transferSyntaxUID: string): Pick<DimseResponse, 'dataSet'> => {
  const identifier: DicomJson = { [failedListTag]: { vr: 'UI', Value: failedUIDs } };
  return failedUIDs.length === 0 ? {} : { dataSet: encodeIdentifier(identifier, transferSyntaxUID, []) };
};

export const cancelledResponse = ({ failedUIDs, ...suboperations }: SuboperationCounts & { readonly failedUIDs: readonly string[] }, transferSyntaxUID: string): DimseResponse =>
  ({ status: status.cancelled, suboperations, ...failedList(failedUIDs, transferSyntaxUID) });

export function finalResponse({ completed, failed, warning, failedUIDs }: SuboperationCounts & { readonly failedUIDs: readonly string[] }, transferSyntaxUID: string): DimseResponse {
  const suboperations = { completed, failed, warning };
  if (failed === 0 && warning === 0) return { status: status.success, suboperations };
  const noneDone = completed === 0 && warning === 0;
  return { status: noneDone ? status.unableToPerformSuboperations : status.suboperationsFailed, suboperations, ...failedList(failedUIDs, transferSyntaxUID) };
}
