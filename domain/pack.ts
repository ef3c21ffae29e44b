import type { IndexedInstance, PackedInstance, Verdict } from './instance.ts';

/** Whose pack it is; the first fields of every payload about a pack. */
export interface PackIdentity {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  /** Lower-case hex: SHA-256 over the instances' SHA-256 values (as hex text) in order. Same content, same key. */
  readonly packId: string;
}

/** A closed pack on a gateway's disk. What the gateway signals to ingestAssociation. */
export interface SpooledPack extends PackIdentity {
  readonly gatewayId: string;
  readonly associationId: string;
  /** Of the tar file, its end-of-archive blocks included. */
  readonly lengthBytes: number;
  readonly instanceCount: number;
}

/** Why a pack is set aside on its gateway's disk, and who decided so. */
export interface GivenUp {
  readonly kind: 'skip' | 'reject';
  readonly by: string;
  readonly why: string;
  /** ISO 8601 UTC. */
  readonly at: string;
}

/** A pack whose tar and headers lie in the archive at their final keys, not yet committed. */
export interface StagedPack extends PackIdentity {
  readonly gatewayId: string;
  readonly associationId: string;
  readonly lengthBytes: number;
  readonly instanceCount: number;
}

/** What validation found, for the workflow and its reader: counts only. */
export interface PackVerdict {
  readonly acceptedCount: number;
  readonly quarantinedCount: number;
  /** Why, each reason's rule once. */
  readonly rules: readonly string[];
}

/** A pack after archivePack. */
export interface ArchivedPack extends PackIdentity {
  readonly outcome: PackOutcome;
  /** Its index exists. False when the study had every instance already: then nothing is registered either. */
  readonly committed: boolean;
}

export interface PackOutcome {
  readonly acceptedCount: number;
  readonly quarantinedCount: number;
  readonly duplicateCount: number;
  readonly conflictCount: number;
}

/** Where a pack came from: provenance for history and routing rules. */
export interface PackOrigin {
  readonly kind: 'dimse' | 'stow';
  readonly gatewayId: string;
  readonly associationId: string;
  readonly callingAETitle: string;
  readonly calledAETitle: string;
  /** ISO 8601 UTC. */
  readonly receivedAt: string;
}

/** `<packId>.index.json.gz`: the commit. Written once; a pack without it does not exist for readers. */
export interface PackIndex extends PackIdentity {
  readonly formatVersion: 1;
  readonly origin: PackOrigin;
  /** ISO 8601 UTC; with packId it orders the packs of a study: the first commit of a SOP Instance UID is current. */
  readonly committedAt: string;
  readonly lengthBytes: number;
  readonly instances: readonly IndexedInstance[];
}

/** The manifest of a pack as the gateway's journal has it. */
export interface PackManifest extends SpooledPack {
  readonly instances: readonly PackedInstance[];
}

/** Limits at which an open pack closes (DESIGN.md, Data flow). */
export const packLimits = { lengthBytes: 64 * 1024 * 1024, instanceCount: 500, idleMinMs: 5_000, idleMaxMs: 60_000 } as const;

/** The text whose SHA-256 is the packId. Hashing itself is I/O's business: domain/ has no node: modules. */
export const packIdInput = (instances: readonly Pick<PackedInstance, 'sha256'>[]): string =>
  instances.map((instance) => instance.sha256).join('');

export function outcomeOf(instances: readonly Pick<IndexedInstance, 'verdict'>[]): PackOutcome {
  const countOf = (verdict: Verdict) => instances.filter((instance) => instance.verdict === verdict).length;
  return { acceptedCount: countOf('accepted'), quarantinedCount: countOf('quarantined'),
    duplicateCount: countOf('duplicate'), conflictCount: countOf('conflict') };
}
