import type { PackIdentity } from './pack.ts';

/**
 * How a sweep removes a pack that nobody committed, though an ingest may commit the same pack at any moment (docs/decisions/017).
 *
 * The sweep writes a warrant, looks whether the pack is committed, and deletes before the warrant ends, by requests that S3 itself refuses
 * afterwards. An ingest looks after its commit: while a warrant runs it waits, and then what is there stays there.
 */
export interface Warrant {
  /** Never used again: two sweeps have two warrants. */
  readonly id: string;
  /** For how long after it was written it may be used. */
  readonly windowMs: number;
}

/** One object, by S3's clock. */
export interface StoredPart {
  readonly lengthBytes: number;
  readonly writtenAt: Date;
}

/** What S3 has of a pack, by one listing, which no cache answers. */
export interface PackStanding extends PackIdentity {
  /** S3's time of the listing. */
  readonly at: Date;
  readonly tar?: StoredPart;
  readonly headers?: StoredPart;
  readonly index?: StoredPart;
  readonly warrants: readonly (Warrant & { readonly writtenAt: Date })[];
}

/** Between the warrant and the look: what an ingest has seen staged is committed by then, unless its worker hangs. */
export const settleMs = 10_000;
/** Of a warrant; it leaves the sweep time to look at and delete each pack of a group. */
export const windowMs = 120_000;
/** For clocks of one S3 that differ, whole seconds, and the time that a listing takes. */
export const marginMs = 10_000;

const endOf = ({ writtenAt, windowMs: lasts }: PackStanding['warrants'][number]): number => writtenAt.getTime() + lasts + marginMs;

/** For how long a sweep may yet delete the pack; 0 when none may: what the listing shows then stays, once the pack is committed. */
export const removalEndsInMs = ({ at, warrants }: PackStanding): number =>
  Math.max(0, ...warrants.map((warrant) => endOf(warrant) - at.getTime()));

/** Warrants that nobody can use any more. */
export const endedWarrants = ({ at, warrants }: PackStanding): readonly Warrant[] =>
  warrants.filter((warrant) => endOf(warrant) < at.getTime());

/** Whether something lies there that no commit names and nobody has touched for so long. */
export const isOrphan = ({ at, tar, headers, index }: PackStanding, ageMs: number): boolean => {
  const parts = [tar, headers].filter((part) => part !== undefined);
  return !index && parts.length > 0 && parts.every(({ writtenAt }) => at.getTime() - writtenAt.getTime() >= ageMs);
};

/** Until when the sweep that wrote the warrant may delete. @returns undefined when it may not, or not any more */
export function removableUntil(standing: PackStanding, warrantId: string, ageMs: number): Date | undefined {
  const warrant = standing.warrants.find(({ id }) => id === warrantId);
  if (!warrant || !isOrphan(standing, ageMs)) return undefined;
  const until = new Date(warrant.writtenAt.getTime() + warrant.windowMs);
  return until > standing.at ? until : undefined;
}
