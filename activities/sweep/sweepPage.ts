import { cancellationSignal } from '@temporalio/activity';
import { studyVersion } from '../../domain/choice.ts';
import { buildStudyDocuments } from '../../domain/documents.ts';
import type { PackIndex } from '../../domain/pack.ts';
import { gatewayOf, isInShare, type DamagedPack, type VerifyShare } from '../../domain/sweep.ts';
import type { ArchiveStore, AuditLog, StudyIndex } from '../../stores/ports.ts';
import type { StudyIdentity, SweepCounts } from '../../workflows/contracts.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { settleHolders } from '../index/settleHolders.ts';
import { findDamage } from './verifyPack.ts';

export interface SweepPageInput {
  readonly tenantId: string;
  readonly flowId: string;
  /** Studies of the archive, then those that the index has. */
  readonly side: 'archive' | 'index';
  /** The `next` of the page before. */
  readonly cursor?: string;
  readonly limit: number;
  readonly share: VerifyShare;
  /** A study with a commit later than this is on its way through the flows, and left to them. ISO 8601 UTC. */
  readonly settledBefore: string;
}

export interface SweptPage {
  readonly counts: SweepCounts;
  readonly damaged: readonly DamagedPack[];
  readonly next?: string;
}

export interface SweepPageDeps {
  readonly archive: ArchiveStore;
  readonly index: StudyIndex;
  readonly audit: Pick<AuditLog, 'record' | 'catchUp'>;
  /** Has the study's own flow write its documents again (askRewrite). */
  readonly rewrite: (study: StudyIdentity) => Promise<void>;
  readonly bytesPerSecond: number;
  readonly now: () => Date;
}

type Counts = { -readonly [Name in keyof SweepCounts]: number };

/**
 * Compares a page of studies with the archive and has what differs written again by each study's own flow. Safe to repeat: what was
 * healed is found healed. An attempt that was interrupted reads its page from the start.
 */
export const createSweepPage = (deps: SweepPageDeps) =>
  async function sweepPage(input: SweepPageInput): Promise<SweptPage> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => {
      const counts: Counts = { studyCount: 0, packCount: 0, verifiedCount: 0, damagedCount: 0, missingCount: 0, staleCount: 0, foreignCount: 0, rewrittenCount: 0, doublyHeldCount: 0 };
      const damaged: DamagedPack[] = [];
      const at = { cursor: input.cursor, limit: input.limit };
      const page = input.side === 'archive' ? await deps.archive.listStudies(input.tenantId, at, signal) : await deps.index.listStudies(input.tenantId, at);
      for (const studyInstanceUID of page.studyInstanceUIDs) {
        const study = { tenantId: input.tenantId, studyInstanceUID };
        const packs = await deps.archive.listIndexes(input.tenantId, studyInstanceUID, signal);
        // What the archive has was compared from the archive's side.
        if (input.side === 'index' ? packs.length > 0 : packs.length === 0) continue;
        if (packs.some(({ committedAt }) => committedAt > input.settledBefore)) continue;
        counts.studyCount++;
        counts.packCount += packs.length;
        const yielded = await settleHolders(deps, study, { packs, sees: 'everything', by: 'sweep' }, signal);
        const differs = yielded.own > 0 || await compare(deps, study, packs, counts);
        counts.doublyHeldCount += yielded.own + yielded.others;
        if (differs) {
          await deps.rewrite(study);
          counts.rewrittenCount++;
        }
        damaged.push(...await verify(deps, input, packs, counts, signal));
      }
      await deps.audit.catchUp(input.tenantId);
      return { counts, damaged, ...(page.next === undefined ? {} : { next: page.next }) };
    });
  };

async function compare({ index }: SweepPageDeps, study: StudyIdentity, packs: readonly PackIndex[], counts: Counts): Promise<boolean> {
  const expected = packs.length > 0 ? buildStudyDocuments(packs) : undefined;
  const found = await index.compare(study.tenantId, study.studyInstanceUID, expected, studyVersion(packs));
  for (const name of ['missingCount', 'staleCount', 'foreignCount'] as const) counts[name] += found[name];
  return found.missingCount + found.staleCount + found.foreignCount > 0;
}

async function verify(deps: SweepPageDeps, { share, flowId }: SweepPageInput, packs: readonly PackIndex[], counts: Counts, signal: AbortSignal): Promise<readonly DamagedPack[]> {
  const damaged: DamagedPack[] = [];
  for (const pack of packs) {
    // That every tar is there costs a request; reading them is the share's.
    const whole = isInShare(pack, share);
    const damage = whole ? await findDamage(deps, pack, signal)
      : await deps.archive.packLengthBytes(pack, signal) === pack.lengthBytes ? undefined : 'its tar is gone or has another length';
    if (whole) counts.verifiedCount++;
    if (damage === undefined) continue;
    const { tenantId, studyInstanceUID, seriesInstanceUID, packId, origin } = pack;
    counts.damagedCount++;
    damaged.push({ tenantId, studyInstanceUID, seriesInstanceUID, packId, damage, ...gatewayOf(origin) });
    await deps.audit.record([{ tenantId, studyInstanceUID, seriesInstanceUID, packId, flowId, eventId: `${flowId}-${packId}-damaged`, at: deps.now().toISOString(),
      actor: 'sweep', action: 'pack.damaged', detail: `Pack ${packId.slice(0, 12)}: ${damage}.` }]);
  }
  return damaged;
}
