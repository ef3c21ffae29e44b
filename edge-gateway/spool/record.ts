import type { PackOrigin, SpooledPack } from '../../domain/pack.ts';
import type { AssociationEnded } from '../../workflows/contracts.ts';

export interface PackState {
  readonly pack: SpooledPack;
  /** The cloud has it for good and the disk has forgotten it. */
  released: boolean;
  /** A person gave it up: it stays on the disk and is not told. */
  setAside: boolean;
}

/** What the spool knows of an association that has closed packs: in memory what the journal and the folder say. */
export interface AssociationRecord {
  readonly associationId: string;
  readonly tenantId: string;
  readonly origin: PackOrigin;
  /** By packId, in the order in which they closed. */
  readonly packs: Map<string, PackState>;
  end: AssociationEnded | undefined;
  /** The workflow knows of the end. */
  endTold: boolean;
  /** Set when the workflow was started again: what was released or set aside before, and is no business of the new run. */
  releasedBefore: { readonly packCount: number; readonly instanceCount: number } | undefined;
}

export const waitingPacks = (record: AssociationRecord): readonly SpooledPack[] =>
  [...record.packs.values()].filter((state) => !state.released && !state.setAside).map((state) => state.pack);
export const setAsidePacks = (record: AssociationRecord): readonly SpooledPack[] =>
  [...record.packs.values()].filter((state) => state.setAside).map((state) => state.pack);

/** Nothing of it is needed any more. */
export const isDone = (record: AssociationRecord): boolean =>
  record.end !== undefined && record.endTold && [...record.packs.values()].every((state) => state.released);

/** The end as the present run of the workflow has to hear it: with the packs that were signalled to it. */
export function endForWorkflow(record: AssociationRecord): AssociationEnded | undefined {
  const { end, releasedBefore } = record;
  if (end === undefined || releasedBefore === undefined) return end;
  return { ...end, packCount: end.packCount - releasedBefore.packCount, instanceCount: Math.max(0, end.instanceCount - releasedBefore.instanceCount) };
}
