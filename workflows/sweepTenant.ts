import { continueAsNew, patched, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { IndexActivities } from '../activities/index.ts';
import { auditOfPark } from '../domain/audit.ts';
import { shareOfDay } from '../domain/sweep.ts';
import { taskQueues, type SweepCounts, type SweepResult, type SweepTenantInput } from './contracts.ts';
import { openFlowBoard } from './flowState.ts';
import { healPacks } from './healPacks.ts';
import { openParkingLot } from './park.ts';
import { patches } from './patches.ts';

const studiesPerPage = 50;
const maxHistoryEvents = 2000;
/** Damaged packs that wait for a person, each by itself; the audit has those beyond. */
const maxParked = 500;

const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { sweepPage, verifyPack } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '24 hours', heartbeatTimeout: '30 seconds', retry });
const { recordAudit } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '30 seconds', heartbeatTimeout: '30 seconds', retry });

const none: SweepCounts = { studyCount: 0, packCount: 0, verifiedCount: 0, damagedCount: 0, missingCount: 0, staleCount: 0, foreignCount: 0, rewrittenCount: 0, doublyHeldCount: 0 };
type Progress = NonNullable<SweepTenantInput['carried']>;

/**
 * Compares a tenant's index with its archive and a share of the packs with their digests, page by page: first the archive's studies, then
 * those that only the index has. What differs is written again by each study's own flow; a damaged pack is healed, or waits for a person here.
 * Goes on at its page when a worker dies. History: about 6 events a page of 50 studies.
 */
export async function sweepTenant(input: SweepTenantInput): Promise<SweepResult> {
  const { tenantId } = input;
  let at: Progress = input.carried ?? { side: 'archive', cursor: undefined, startedAt: new Date().toISOString(), counts: none, damaged: [] };
  const { workflowId: flowId } = workflowInfo();
  let healedCount = 0;
  const board = openFlowBoard(() => ({ ...at.counts, healedCount }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark({ tenantId, flowId }, event)]));
  const share = shareOfDay(new Date(at.startedAt), input.verifyDays);
  const settledBefore = new Date(Date.parse(at.startedAt) - input.settleMs).toISOString();
  for (let isOver = false; !isOver;) {
    const { side, cursor } = at;
    board.say(`Sweeps the ${side}: ${at.counts.studyCount} studies so far, ${at.counts.rewrittenCount} written again, ${at.counts.damagedCount} packs damaged.`);
    const { counts, damaged, next } = await sweepPage({ tenantId, flowId, side, limit: studiesPerPage, share, settledBefore, ...(cursor === undefined ? {} : { cursor }) });
    isOver = next === undefined && side === 'index';
    at = { ...at, side: next === undefined ? 'index' : side, cursor: next, counts: added(at.counts, counts), damaged: [...at.damaged, ...damaged].slice(0, maxParked) };
    if (!isOver && (workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents)) {
      await continueAsNew<typeof sweepTenant>({ ...input, carried: at });
    }
  }
  const heals = () => board.say(`${at.counts.studyCount} studies were swept; ${healedCount} of ${at.damaged.length} damaged packs are healed.`);
  heals();
  if (patched(patches.healDamagedPacks)) await healPacks(at.damaged, { tenantId, flowId, parking, onHealed: () => { healedCount++; heals(); } });
  else await Promise.all(at.damaged.map((pack) => parking.run('Verifying', () => verifyPack(pack))));
  await parking.settled();
  const { studyCount, rewrittenCount, verifiedCount, packCount, damagedCount } = at.counts;
  board.close('DONE', `${studyCount} studies were swept, ${rewrittenCount} written again; ${verifiedCount} of ${packCount} packs were verified, ${damagedCount} were damaged and ${healedCount} of these healed.`);
  return { ...at.counts, healedCount };
}

const added = (a: SweepCounts, b: SweepCounts): SweepCounts =>
  Object.fromEntries(Object.entries(a).map(([name, count]) => [name, (count as number) + b[name as keyof SweepCounts]])) as unknown as SweepCounts;
