import { continueAsNew, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { IndexActivities } from '../activities/index.ts';
import { taskQueues, type ReindexOutcome, type ReindexTenantInput } from './contracts.ts';
import { openFlowBoard } from './flowState.ts';

/** Studies of one page: an activity of seconds to a minute, so that a killed worker costs little. */
const studiesPerPage = 100;
const maxHistoryEvents = 2000;

const { dropIndex, rebuildPage, rebuildAudit } = proxyActivities<IndexActivities>({
  taskQueue: taskQueues.index, startToCloseTimeout: '1 hour', heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

/**
 * Drops a tenant's documents and writes them again from the archive alone, page by page, then its history. Goes on where it was when
 * a worker dies; ingest goes on beside it, and readers see studies come back.
 */
export async function reindexTenant(input: ReindexTenantInput): Promise<ReindexOutcome> {
  const { tenantId } = input;
  let { cursor, studyCount, instanceCount } = input.carried ?? { cursor: undefined, studyCount: 0, instanceCount: 0 };
  const board = openFlowBoard(() => ({ studies: studyCount, instances: instanceCount }));
  if (!input.carried) {
    board.say(`Drops the documents of tenant ${tenantId}.`);
    await dropIndex({ tenantId });
  }
  do {
    const page = await rebuildPage({ tenantId, limit: studiesPerPage, ...(cursor === undefined ? {} : { cursor }) });
    studyCount += page.studyCount;
    instanceCount += page.instanceCount;
    cursor = page.next;
    board.say(`${studyCount} studies with ${instanceCount} instances are written again.`);
    if (cursor !== undefined && (workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents)) {
      await continueAsNew<typeof reindexTenant>({ ...input, carried: { cursor, studyCount, instanceCount } });
    }
  } while (cursor !== undefined);
  board.say(`${studyCount} studies are written again; the history follows.`);
  const { eventCount } = await rebuildAudit({ tenantId });
  board.close('DONE', `${studyCount} studies with ${instanceCount} instances and ${eventCount} events were rebuilt from the archive.`);
  return { studyCount, instanceCount, eventCount };
}
