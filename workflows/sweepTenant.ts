import { continueAsNew, patched, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { IndexActivities } from '../activities/index.ts';
import { auditOfPark } from '../domain/audit.ts';
import { auditOfSweep, shareOfDay } from '../domain/sweep.ts';
import { taskQueues, type RemovedCounts, type SweepCounts, type SweepResult, type SweepTenantInput } from './contracts.ts';
import { openFlowBoard } from './flowState.ts';
import { healPacks } from './healPacks.ts';
import { openParkingLot } from './park.ts';
import { patches } from './patches.ts';

const studiesPerPage = 50;
/** S3 lists so many at once. */
const objectsPerPage = 1000;
const maxHistoryEvents = 2000;
/** Damaged packs that wait for a person, each by itself; the audit has those beyond. */
const maxParked = 500;

const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { sweepPage, removeOrphans, abortUploads, verifyPack } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '24 hours', heartbeatTimeout: '30 seconds', retry });
const { recordAudit } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '30 seconds', heartbeatTimeout: '30 seconds', retry });

const none: SweepCounts = { studyCount: 0, packCount: 0, verifiedCount: 0, damagedCount: 0, missingCount: 0, staleCount: 0, foreignCount: 0, rewrittenCount: 0, doublyHeldCount: 0 };
const nothingRemoved: RemovedCounts = { removedPackCount: 0, removedPackBytes: 0, abortedUploadCount: 0, abortedUploadBytes: 0 };
type Progress = NonNullable<SweepTenantInput['carried']>;

/**
 * Compares a tenant's index with its archive and a share of the packs with their digests, page by page: first the archive's studies, then
 * those that only the index has; then removes what nobody committed. What differs is written again by each study's own flow; a damaged pack
 * is healed, or waits for a person here, after everything else. Goes on at its page when a worker dies. History: about 6 events a page of 50 studies, or
 * of 1000 objects.
 */
export async function sweepTenant(input: SweepTenantInput): Promise<SweepResult> {
  const { tenantId } = input;
  let at: Progress = input.carried ?? { side: 'archive', cursor: undefined, startedAt: new Date().toISOString(), counts: none, damaged: [] };
  const { workflowId: flowId } = workflowInfo();
  let healedCount = 0;
  const board = openFlowBoard(() => ({ ...at.counts, ...at.removed, healedCount }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark({ tenantId, flowId }, event)]));
  const share = shareOfDay(new Date(at.startedAt), input.verifyDays);
  const settledBefore = new Date(Date.parse(at.startedAt) - input.settleMs).toISOString();

  /** One page. @returns the progress after it; undefined when it was the last */
  const step = async ({ side, ...progress }: Progress): Promise<Progress | undefined> => {
    const cursor = progress.cursor === undefined ? {} : { cursor: progress.cursor };
    if (side === 'orphans') {
      const { removedCount, removedBytes, next } = await removeOrphans({ tenantId, flowId, limit: objectsPerPage, ageMs: input.orphanAgeMs!, ...cursor });
      at = { ...progress, side, cursor: next, removed: addedRemoved(progress.removed, { removedPackCount: removedCount, removedPackBytes: removedBytes }) };
      return next === undefined ? undefined : at;
    }
    const { counts, damaged, next } = await sweepPage({ tenantId, flowId, side, limit: studiesPerPage, share, settledBefore, ...cursor });
    at = { ...progress, side: next !== undefined ? side : side === 'archive' ? 'index' : 'orphans', cursor: next,
      counts: added(progress.counts, counts), damaged: [...progress.damaged, ...damaged].slice(0, maxParked) };
    return side === 'index' && next === undefined && !removes() ? undefined : at;
  };
  const removes = () => input.orphanAgeMs !== undefined && patched(patches.sweepRemovesOrphans);

  for (let next: Progress | undefined = at; next;) {
    board.say(progressOf(next));
    next = await step(next);
    if (next && (workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents)) {
      await continueAsNew<typeof sweepTenant>({ ...input, carried: next });
    }
  }
  if (removes()) {
    const { abortedCount, abortedBytes } = await abortUploads({ tenantId, ageMs: input.orphanAgeMs! });
    at = { ...at, removed: addedRemoved(at.removed, { abortedUploadCount: abortedCount, abortedUploadBytes: abortedBytes }) };
  }
  if (patched(patches.sweepRemovesOrphans)) await recordAudit([auditOfSweep({ tenantId, flowId }, new Date().toISOString(), { ...at.counts, ...at.removed })]);

  const heals = () => board.say(`${at.counts.studyCount} studies were swept; ${healedCount} of ${at.damaged.length} damaged packs are healed.`);
  heals();
  if (patched(patches.healDamagedPacks)) await healPacks(at.damaged, { tenantId, flowId, parking, onHealed: () => { healedCount++; heals(); } });
  else await Promise.all(at.damaged.map((pack) => parking.run('Verifying', () => verifyPack(pack))));
  await parking.settled();
  const result: SweepResult = { ...at.counts, ...at.removed, healedCount };
  board.close('DONE', sentenceOf(result));
  return result;
}

function progressOf({ side, counts, removed }: Progress): string {
  const { studyCount, rewrittenCount, damagedCount } = counts;
  const looksAt = side === 'orphans' ? `Removes what nobody committed: ${removed?.removedPackCount ?? 0} packs so far;` : `Sweeps the ${side}:`;
  return `${looksAt} ${studyCount} studies so far, ${rewrittenCount} written again, ${damagedCount} packs damaged.`;
}

function sentenceOf({ studyCount, rewrittenCount, verifiedCount, packCount, damagedCount, healedCount, ...removed }: SweepResult): string {
  const { removedPackCount, removedPackBytes = 0, abortedUploadCount = 0, abortedUploadBytes = 0 } = removed;
  const saw = `${studyCount} studies were swept, ${rewrittenCount} written again; ${verifiedCount} of ${packCount} packs were verified, ${damagedCount} were damaged and ${healedCount} of these healed.`;
  return removedPackCount === undefined ? saw
    : `${saw} ${removedPackCount} packs (${removedPackBytes} bytes) and ${abortedUploadCount} uploads (${abortedUploadBytes} bytes) that nobody committed were removed.`;
}

const added = (a: SweepCounts, b: SweepCounts): SweepCounts =>
  Object.fromEntries(Object.entries(a).map(([name, count]) => [name, (count as number) + b[name as keyof SweepCounts]])) as unknown as SweepCounts;

const addedRemoved = (a: RemovedCounts = nothingRemoved, b: Partial<RemovedCounts>): RemovedCounts =>
  Object.fromEntries(Object.entries(a).map(([name, count]) => [name, (count as number) + (b[name as keyof RemovedCounts] ?? 0)])) as unknown as RemovedCounts;
