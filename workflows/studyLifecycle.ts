import { ApplicationFailure, SearchAttributeType, TypedSearchAttributes, WorkflowExecutionAlreadyStartedError, WorkflowIdReusePolicy, defineSearchAttributeKey } from '@temporalio/common';
import { ParentClosePolicy, allHandlersFinished, condition, defineUpdate, makeContinueAsNewFunc, patched, proxyActivities, setHandler, startChild, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { IndexActivities, RouteActivities } from '../activities/index.ts';
import { auditOfPark, type AuditEvent } from '../domain/audit.ts';
import type { PlannedRoute } from '../domain/routing.ts';
import { priorities } from '../domain/tenant.ts';
import { addPackUpdate, rewriteUpdate, searchAttributes, taskQueues, type AddPackResult, type RegisteredPack, type StudyIdentity, type StudyLifecycleInput } from './contracts.ts';
import { keys, openFlowBoard } from './flowState.ts';
import { routeWorkflowId } from './ids.ts';
import { openParkingLot } from './park.ts';
import { patches } from './patches.ts';
import type { routeStudy } from './routeStudy.ts';
import { openUrgency } from './urgency.ts';

const maxHistoryEvents = 3000;
/** Pack IDs remembered against a registration that comes twice; older ones only cost one index write more. */
const maxSeen = 1000;
/** A study that lacks documents in the index stays open so long for the pack, or the sweep, that brings them. */
const behindOpenMs = 30 * 24 * 60 * 60 * 1000;
/** Packs that one index write takes. */
const maxBatch = 200;

const retryForEver = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { indexStudy, settleStudy } = proxyActivities<IndexActivities>({
  taskQueue: taskQueues.index, startToCloseTimeout: '2 minutes', heartbeatTimeout: '30 seconds', retry: retryForEver,
});
const { recordAudit } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '30 seconds', retry: retryForEver });
const { findRoutes } = proxyActivities<RouteActivities>({ taskQueue: taskQueues.route, startToCloseTimeout: '1 minute', heartbeatTimeout: '30 seconds', retry: retryForEver });

/**
 * One study: the only writer of its documents. Indexes the packs it is given, several in one write, and starts the routes of a study
 * that has been quiet, when no other study holds its instances. What a person skipped is written with the next packs. Closes after a longer quiet time; the next pack opens it again. Moves to a new version of this code when it continues as new.
 */
export async function studyLifecycle(input: StudyLifecycleInput): Promise<void> {
  const { tenantId, studyInstanceUID } = input;
  const waiting: string[] = [...(input.carried?.waitingPackIds ?? [])];
  const seen = new Set(input.carried?.seenPackIds ?? []);
  let instanceCount = input.carried?.revision ?? 0;
  let routedRevision = input.carried?.routedRevision ?? 0;
  let summary = input.carried?.summary ?? {};
  let indexedAt = input.carried?.indexedAt ?? '';
  const board = openFlowBoard(() => ({ ...summary, waitingPacks: waiting.length }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark(flow(input), event)]));
  const urgency = openUrgency(tenantId, priorities.ingest, input.carried?.priority, parking);
  setHandler(defineUpdate<AddPackResult, [RegisteredPack]>(addPackUpdate), (pack) => {
    const duplicate = seen.has(pack.packId);
    if (!duplicate) {
      seen.add(pack.packId);
      waiting.push(pack.packId);
    }
    return { duplicate };
  }, { description: 'A committed pack of this study, to index. Sent by registerPack.', validator: (pack) => refuseForeign(input, pack) });

  let rewrite = input.carried?.rewrite ?? false;
  /** A person skipped an index write: the next one writes everything. */
  let isBehind = input.carried?.isBehind ?? false;
  setHandler(defineUpdate<void, [StudyIdentity]>(rewriteUpdate), () => {
    rewrite = true;
  }, { description: 'Writes all documents of this study again.', validator: (study) => refuseForeign(input, { ...study, packId: '' }) });

  const index = async () => {
    const packIds = waiting.splice(0, maxBatch);
    const isRouted = routedRevision === instanceCount;
    if (packIds.length === 0) rewrite = false;
    const writesAll = packIds.length === 0 || isBehind;
    board.say(packIds.length === 0 ? 'Writes all documents again.' : `Indexes ${packIds.length} packs.`);
    const result = await parking.run('Indexing', () => indexStudy({ tenantId, studyInstanceUID, ...(writesAll ? {} : { packIds }) }));
    isBehind = !result.done;
    if (!result.done) return board.say('Indexing was given up. The next pack of the study brings everything into the index, or a sweep does (./pacs sweep).');
    // A rewrite by itself routes nothing: what was routed stays so.
    if (packIds.length === 0 && isRouted) routedRevision = result.value.instanceCount;
    if (result.value.conflictCount !== (summary['conflictCount'] ?? 0)) upsertSearchAttributes([{ key: keys.conflictCount, value: result.value.conflictCount }]);
    if (result.value.instanceCount !== instanceCount) upsertSearchAttributes([{ key: keys.instanceCount, value: result.value.instanceCount }]);
    ({ instanceCount } = result.value);
    summary = { ...result.value };
    indexedAt = new Date().toISOString();
    board.say(`${instanceCount} instances in ${result.value.seriesCount} series are indexed; waits whether more arrive.`);
  };

  for (;;) {
    await condition(() => waiting.length > 0 || rewrite, routedRevision !== instanceCount ? input.quietMs : isBehind ? behindOpenMs : input.closeAfterMs);
    if (waiting.length > 0 || rewrite) await index();
    else if (routedRevision !== instanceCount) {
      if (patched(patches.settleBeforeRoutes) && (await settleStudy({ tenantId, studyInstanceUID })).yieldedCount > 0) {
        rewrite = true;
        continue;
      }
      const stableAt = new Date().toISOString();
      const revision = instanceCount;
      const routes = await findRoutes({ tenantId, studyInstanceUID });
      for (const route of routes) await startRoute(input, { ...route, priority: urgency.chosen ?? route.priority }, revision);
      await recordAudit(stableEvents(input, routes, { revision, summary, indexedAt, stableAt }));
      routedRevision = revision;
      board.say(`Stable with ${revision} instances; ${routes.length === 1 ? '1 route' : `${routes.length} routes`} started.`);
    } else {
      await parking.settled();
      // No await between this check and the return: a pack accepted in between would be lost.
      if (waiting.length === 0 && !rewrite && allHandlersFinished()) {
        board.close('DONE', `${instanceCount} instances are indexed; the next pack opens this study again.`);
        return;
      }
    }
    const upgraded = workflowInfo().targetWorkerDeploymentVersionChanged;
    if (upgraded || workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents) {
      await condition(allHandlersFinished);
      await makeContinueAsNewFunc<typeof studyLifecycle>(upgraded ? { initialVersioningBehavior: 'AUTO_UPGRADE' } : {})({ ...input, carried: {
        waitingPackIds: waiting, seenPackIds: [...seen].slice(-maxSeen), routedRevision, revision: instanceCount, summary, indexedAt, ...(rewrite ? { rewrite } : {}), ...(isBehind ? { isBehind } : {}),
        ...(urgency.chosen ? { priority: urgency.chosen } : {}) } });
    }
  }
}

/** Starts one delivery. The ID names study, rule and revision: what was started before is not started again. */
async function startRoute({ tenantId, studyInstanceUID }: StudyLifecycleInput, route: PlannedRoute, revision: number): Promise<void> {
  const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });
  try {
    await startChild<typeof routeStudy>('routeStudy', {
      workflowId: routeWorkflowId(tenantId, studyInstanceUID, route.ruleId, revision),
      args: [{ tenantId, studyInstanceUID, ...route }],
      staticSummary: `Delivery to ${route.destinationId}, by rule ${route.ruleId}`,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
      priority: { priorityKey: route.priority, fairnessKey: tenantId },
      typedSearchAttributes: new TypedSearchAttributes([
        keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.studyInstanceUID, studyInstanceUID),
        keyword(searchAttributes.flowState, 'RUNNING'), keyword(searchAttributes.ruleId, route.ruleId),
        keyword(searchAttributes.destinationId, route.destinationId),
        ...(route.gatewayId === undefined ? [] : [keyword(searchAttributes.gatewayId, route.gatewayId)]),
      ]),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

/** A study takes its own packs alone: registerPack gives up on a refused one, and its flow parks. */
function refuseForeign({ tenantId, studyInstanceUID }: StudyLifecycleInput, pack: Partial<Pick<RegisteredPack, 'tenantId' | 'studyInstanceUID' | 'packId'>> | undefined): void {
  if (pack?.tenantId !== tenantId || pack.studyInstanceUID !== studyInstanceUID || typeof pack.packId !== 'string') {
    throw ApplicationFailure.nonRetryable('This pack is of another study or tenant', 'StudyMismatch');
  }
}

const flow = ({ tenantId, studyInstanceUID }: StudyLifecycleInput) => ({ tenantId, studyInstanceUID, flowId: workflowInfo().workflowId });

interface Stable {
  readonly revision: number;
  readonly summary: Readonly<Record<string, number>>;
  /** ISO 8601 UTC, as stableAt. */
  readonly indexedAt: string;
  readonly stableAt: string;
}

/** What the history of a study says when it has been quiet: indexed, stable, and each route that was started. */
function stableEvents(input: StudyLifecycleInput, routes: readonly PlannedRoute[], { revision, summary, indexedAt, stableAt }: Stable): readonly AuditEvent[] {
  const base = { ...flow(input), actor: 'flow' };
  const at = new Date().toISOString();
  const id = `${input.studyInstanceUID}-${revision}`;
  return [
    { ...base, at: indexedAt, eventId: `${id}-indexed`, action: 'study.indexed', counts: summary },
    { ...base, at: stableAt, eventId: `${id}-stable`, action: 'study.stable' },
    ...routes.map(({ ruleId, destinationId }): AuditEvent => ({
      ...base, at, eventId: `${id}-route-${ruleId}`, action: 'route.started', destinationId, detail: `By rule ${ruleId}` })),
  ];
}
