import type { AuditEvent } from './audit.ts';
import type { PackIdentity, PackOrigin } from './pack.ts';

/** What a sweep does when nobody says otherwise: every pack's bytes within a month, and what nobody committed for a week goes. */
export const sweepDefaults = { verifyDays: 30, settleMs: 300_000, orphanAgeMs: 7 * 86_400_000 } as const;

/** Which packs a sweep reads and compares with their digests: one of `of` equal shares, so that `of` runs see every pack. */
export interface VerifyShare {
  readonly of: number;
  /** 0 … of - 1. */
  readonly number: number;
}

/** A pack's share follows from its ID, which is a digest: shares are even, and no cursor needs to be kept. */
export const isInShare = ({ packId }: Pick<PackIdentity, 'packId'>, { of, number }: VerifyShare): boolean =>
  of <= 1 || Number.parseInt(packId.slice(0, 8), 16) % of === number;

/** The share of a day (UTC): runs on `of` days in a row see everything. */
export const shareOfDay = (at: Date, of: number): VerifyShare => ({ of, number: Math.floor(at.getTime() / 86_400_000) % of });

/** How many of a study's documents are not as the archive has them. */
export interface IndexDifferences {
  readonly missingCount: number;
  /** There, but at another version or with other content. */
  readonly staleCount: number;
  /** Of nothing that the archive has. */
  readonly foreignCount: number;
}

/** What became of asking one source for a damaged pack: put back, or why not, as the end of a sentence about the source. */
export type HealAttempt = { readonly healed: true } | { readonly healed: false; readonly why: string };

/** A pack as a healing finds it. */
export interface ExaminedPack {
  /** What is wrong with it, in words; absent when nothing is. */
  readonly damage?: string;
  /** The gateway that took it; absent when it was uploaded by STOW-RS, or nothing tells. */
  readonly gatewayId?: string;
}

/** Who may still have a pack: its gateway, unless it came by STOW-RS. */
export const gatewayOf = ({ kind, gatewayId }: Pick<PackOrigin, 'kind' | 'gatewayId'>): Pick<ExaminedPack, 'gatewayId'> => (kind === 'dimse' ? { gatewayId } : {});

/** A pack that a sweep found damaged. */
export type DamagedPack = PackIdentity & ExaminedPack;

export interface Holder {
  readonly studyInstanceUID: string;
  readonly packId: string;
  /** ISO 8601 UTC. */
  readonly committedAt: string;
  /** When a choice made it current here. */
  readonly chosenAt?: string;
}

/** Which of several studies is to hold an instance: the one that was chosen last, else the first commit, ties by content and UID. */
export function rightfulHolder(holders: readonly [Holder, ...Holder[]]): Holder {
  const chosen = holders.filter(({ chosenAt }) => chosenAt !== undefined).toSorted((a, b) => compare(b.chosenAt!, a.chosenAt!) || byCommit(a, b));
  return chosen[0] ?? holders.toSorted(byCommit)[0]!;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byCommit = (a: Holder, b: Holder): number =>
  compare(a.committedAt, b.committedAt) || compare(a.packId, b.packId) || compare(a.studyInstanceUID, b.studyInstanceUID);

/** What a sweep saw, mended and removed, for the tenant's audit: an event without a study. */
export const auditOfSweep = ({ tenantId, flowId }: { readonly tenantId: string; readonly flowId: string }, at: string, counts: object): AuditEvent =>
  ({ tenantId, flowId, eventId: `${flowId.replaceAll('/', '-')}-swept`, at, actor: 'sweep', action: 'tenant.swept', counts: { ...counts } });
