import { SearchAttributeType, TypedSearchAttributes, WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy, defineSearchAttributeKey } from '@temporalio/common';
import { CancellationScope, ParentClosePolicy, condition, continueAsNew, isCancellation, proxyActivities, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import type { RouteActivities } from '../activities/index.ts';
import { auditOfPark } from '../domain/audit.ts';
import { searchAttributes, taskQueues, type ReplayCounts, type ReplayDeliveriesInput } from './contracts.ts';
import { openFlowBoard } from './flowState.ts';
import { routeWorkflowId } from './ids.ts';
import { openParkingLot, type Decision } from './park.ts';
import type { routeStudy } from './routeStudy.ts';
import { openUrgency } from './urgency.ts';

const ledgersPerPage = 100;
const maxHistoryEvents = 2000;
/** A delivery that takes longer is left to itself: it waits for its destination or for a person, and others go on. */
const patience = '10 minutes';

const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { pageReplay } = proxyActivities<RouteActivities>({ taskQueue: taskQueues.route, startToCloseTimeout: '10 minutes', heartbeatTimeout: '30 seconds', retry });
const { recordAudit } = proxyActivities<RouteActivities>({ taskQueue: taskQueues.route, startToCloseTimeout: '30 seconds', retry });

const none: ReplayCounts = { studyCount: 0, instanceCount: 0, startedCount: 0, deliveredCount: 0, refusedCount: 0, leftCount: 0 };

/**
 * Sends to one destination again what it took (or refused) within a time: a `routeStudy` for each study that the delivery ledgers name, as many
 * at once as the destination takes. Ends when each was started and has ended, or was left to itself; `skip` or `reject` stops it, and what is
 * under way ends by itself. Starts nothing twice: a study's flow is named after this one. History: about 12 events a study.
 */
export async function replayDeliveries(input: ReplayDeliveriesInput): Promise<ReplayCounts> {
  const { tenantId, destinationId, selection, by, why, dryRun } = input;
  const { workflowId: flowId } = workflowInfo();
  let counts: ReplayCounts = input.carried?.counts ?? none;
  let cursor = input.carried?.cursor;
  let underWay = 0;
  let stopped: Decision | undefined;
  const board = openFlowBoard(() => ({ ...counts, underWay }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark({ tenantId, flowId, destinationId }, event)]));
  parking.offer((decision) => { stopped = decision; });
  const urgency = openUrgency(tenantId, input.priority, input.carried?.priority, parking);
  const what = `what destination ${destinationId} was sent from ${selection.since} to ${selection.until} (${selection.states.join(', ')})`;
  const tell = () => board.say(`Sends again ${what}: ${counts.startedCount} of ${counts.studyCount} studies found so far were started, ${underWay} are under way. ${by}: ${why}`);
  const add = (more: Partial<ReplayCounts>) => {
    counts = Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, (count as number) + (more[name as keyof ReplayCounts] ?? 0)])) as unknown as ReplayCounts;
    tell();
  };
  if (!input.carried && !dryRun) {
    await recordAudit([{ tenantId, flowId, destinationId, at: new Date().toISOString(), eventId: `${flowId}-started`, actor: by, action: 'deliveries.replayed', detail: `${what}: ${why}` }]);
  }
  const deliver = async (studyInstanceUID: string, gatewayId: string | undefined): Promise<void> => {
    try {
      const ended = await withinPatience(startRoute(input, studyInstanceUID, gatewayId, urgency.priority));
      add(ended === 'left' ? { leftCount: 1 } : { deliveredCount: ended?.deliveredCount ?? 0, refusedCount: ended?.refusedCount ?? 0 });
    } catch (error) {
      // Ended from outside: the ledger tells how far it came.
      if (!isCancellation(error)) add({ leftCount: 1 });
    } finally {
      underWay--;
    }
  };

  do {
    tell();
    const read = await parking.run('Reading the delivery ledgers', () => pageReplay({ tenantId, destinationId, jobId: input.jobId, selection, by, why, dryRun, limit: ledgersPerPage, ...(cursor === undefined ? {} : { cursor }) }));
    if (!read.done) stopped = read.decision;
    const page = read.done ? read.value : undefined;
    add({ studyCount: page?.studyInstanceUIDs.length ?? 0, instanceCount: page?.instanceCount ?? 0 });
    for (const studyInstanceUID of dryRun ? [] : page?.studyInstanceUIDs ?? []) {
      await condition(() => stopped !== undefined || underWay < page!.maxAssociations);
      if (stopped) break;
      underWay++;
      add({ startedCount: 1 });
      void deliver(studyInstanceUID, page!.gatewayId);
    }
    cursor = page?.next;
    if (cursor !== undefined && !stopped && (workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents)) {
      await condition(() => underWay === 0);
      await parking.settled();
      await continueAsNew<typeof replayDeliveries>({ ...input, carried: { cursor, counts, ...(urgency.chosen ? { priority: urgency.chosen } : {}) } });
    }
  } while (cursor !== undefined && !stopped);
  await condition(() => stopped !== undefined || underWay === 0);
  await parking.settled();
  const done = dryRun ? `${counts.studyCount} studies with ${counts.instanceCount} instances would be sent again`
    : `${counts.startedCount} studies were started, ${counts.deliveredCount} instances delivered, ${counts.refusedCount} refused; ${counts.leftCount} studies go on by themselves`;
  board.close(stopped ? 'REJECTED' : 'DONE', `${stopped ? `Stopped by ${stopped.by}. A new request with the same since and until goes on with the rest. ` : ''}${done}.`);
  return counts;
}

/** @returns what became of it; undefined when it was started before */
type Ending = Promise<{ readonly deliveredCount: number; readonly refusedCount: number } | undefined>;

async function startRoute({ tenantId, destinationId, jobId, selection, by }: ReplayDeliveriesInput, studyInstanceUID: string, gatewayId: string | undefined, priority: ReplayDeliveriesInput['priority']): Ending {
  const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
  try {
    const child = await startChild<typeof routeStudy>('routeStudy', {
      workflowId: routeWorkflowId(tenantId, studyInstanceUID, 'replay', jobId),
      args: [{ tenantId, studyInstanceUID, destinationId, requestedBy: by, priority, again: selection, ...(gatewayId === undefined ? {} : { gatewayId }) }],
      staticSummary: `Delivery to ${destinationId}, again`, parentClosePolicy: ParentClosePolicy.ABANDON, workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      priority: { priorityKey: priority, fairnessKey: tenantId },
      typedSearchAttributes: new TypedSearchAttributes([keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.studyInstanceUID, studyInstanceUID),
        keyword(searchAttributes.flowState, 'RUNNING'), keyword(searchAttributes.destinationId, destinationId), keyword(searchAttributes.origin, 'replay'),
        ...(gatewayId === undefined ? [] : [keyword(searchAttributes.gatewayId, gatewayId)])]),
    });
    return await child.result();
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
    throw error;
  }
}

async function withinPatience(ending: Ending): Promise<Awaited<Ending> | 'left'> {
  ending.catch(() => undefined);
  const timer = new CancellationScope();
  const late = timer.run(() => sleep(patience)).then(() => 'left' as const);
  late.catch(() => undefined);
  try {
    return await Promise.race([ending, late]);
  } finally {
    timer.cancel();
  }
}
