import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { permanent } from '../../activities/failure.ts';
import { createTemporalFlows } from '../../api/temporalFlows.ts';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { startCommitment } from '../../edge-gateway/commitment/client.ts';
import { retrievalsOf } from '../../edge-gateway/retrievalClient.ts';
import { taskQueues, type ChooseCurrentInput } from '../../workflows/contracts.ts';
import { choiceWorkflowId, commitmentWorkflowId, destinationWorkflowId, replayWorkflowId, retrieveWorkflowId, sweepWorkflowId } from '../../workflows/ids.ts';
import { aRoute, aSweep, anAssociation, flowOf } from '../workflows/flows.ts';
import { startTemporal, type Temporal } from '../workflows/server.ts';
import { aDamagedArchive, aSite, until } from '../workflows/site.ts';
import { aStudyOf } from '../workflows/studies.ts';

/**
 * Records histories of every workflow, to be replayed on each change (replay.test.ts):
 *
 *     node test/replay/record.ts <label> [workflow]
 *
 * Record before a change of a workflow's order of steps, with a label that says which version it was, and keep the old files:
 * flows of that version may still run.
 */
const folder = path.join(import.meta.dirname, 'histories');

type Recording = (server: Temporal) => Promise<WorkflowHandle>;

const recordings: Readonly<Record<string, Recording>> = {
  'retrieveStudy-sent': async (server) => {
    const site = aSite();
    await server.openGateway(site.tenantId, 'gw1');
    const requestId = randomUUID();
    await retrievalsOf(server.client).start({ tenantId: site.tenantId, gatewayId: 'gw1', destinationAETitle: 'WS1', originator: { aeTitle: 'ASKER', messageID: 5 },
      selections: [{ studyInstanceUID: '1.2.3' }] }, requestId);
    const handle = server.client.workflow.getHandle(retrieveWorkflowId(site.tenantId, requestId));
    await handle.result();
    return handle;
  },
  'retrieveStudy-waited': async (server) => {
    const site = aSite({ moveInstances: async ({ turn }) => ({ completedCount: turn ? 2 : 1, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [],
      ...(turn ? {} : { held: { why: 'failed' as const, progressed: true, problem: 'Cut off' } }) }) });
    await server.openGateway(site.tenantId, 'gw1');
    const requestId = randomUUID();
    await retrievalsOf(server.client).start({ tenantId: site.tenantId, gatewayId: 'gw1', destinationAETitle: 'WS1', originator: { aeTitle: 'ASKER', messageID: 5 },
      selections: [{ studyInstanceUID: '1.2.3' }] }, requestId);
    const handle = server.client.workflow.getHandle(retrieveWorkflowId(site.tenantId, requestId));
    await handle.result();
    return handle;
  },
  'ingestAssociation-parked': async (server) => {
    const failing = new Set<string>();
    const site = aSite({ validatePack: async ({ packId, instanceCount }) => {
      if (failing.has(packId)) throw permanent('PackCorrupt', `Pack ${packId.slice(0, 12)}`);
      return { acceptedCount: instanceCount, quarantinedCount: 0, rules: [] };
    } });
    const packs = Array.from({ length: 4 }, () => site.aPack());
    for (const { packId } of packs.slice(0, 2)) failing.add(packId);
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    for (const pack of packs) await flow.ready(pack);
    await flow.end(4);
    await until('two packs are parked', () => site.audit.length === 2);
    await flow.decide('skip', { by: 'Ada', why: 'sent again', packId: packs[0]!.packId });
    failing.clear();
    await flow.decide('retry');
    await flow.result();
    return flow.handle;
  },
  'ingestAssociation-offline': async (server) => {
    const site = aSite();
    const flow = await anAssociation(server.client, site);
    await flow.ready(site.aPack());
    await flow.end(1);
    await flow.reaches('EDGE_OFFLINE');
    await server.openGateway(site.tenantId, site.gatewayId);
    await flow.result();
    return flow.handle;
  },
  'ingestAssociation-continued': async (server) => {
    const site = aSite();
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    for (let count = 0; count < 6; count++) await flow.ready(site.aPack());
    await flow.end(6);
    await flow.result();
    return server.client.workflow.getHandle(flow.handle.workflowId, flow.handle.firstExecutionRunId);
  },
  'studyLifecycle-routed': async (server) => {
    const study = aStudyOf({ findRoutes: async () => [{ ruleId: 'all', destinationId: 'archive', priority: 2 }] });
    const registerPack = createRegisterPack({ client: () => server.client, quietMs: 200, closeAfterMs: 400 });
    await Promise.all([1, 2, 3].map(() => registerPack(study.pack(), 3)));
    const handle = server.client.workflow.getHandle(study.workflowId);
    await handle.result();
    return handle;
  },
  'replayDeliveries-sent': async (server) => {
    const { tenantId } = aSite({ pageReplay: async ({ cursor }) => ({ studyInstanceUIDs: cursor ? ['1.2.3'] : ['1.2.4', '1.2.5'], instanceCount: 2, maxAssociations: 2, ...(cursor ? {} : { next: 'more' }) }) });
    const flowId = replayWorkflowId(tenantId, 'archive', 'job-1');
    await createTemporalFlows(server.client).startReplay(flowId, { tenantId, destinationId: 'archive', jobId: 'job-1', by: 'Ada', why: 'lost its disk', dryRun: false, priority: 5,
      selection: { since: '2024-05-01T00:00:00.000Z', until: '2024-05-02T00:00:00.000Z', states: ['delivered'] } }, 'request');
    const handle = server.client.workflow.getHandle(flowId);
    await handle.result();
    return handle;
  },
  'routeStudy-refused': async (server) => {
    const site = aSite({ sendInstances: async ({ retryRefused }) => ({ deliveredCount: retryRefused ? 2 : 1, refusedCount: retryRefused ? 0 : 1, alreadyThereCount: 0 }) });
    const flow = await aRoute(server.client, site);
    await flow.reaches('ATTENTION');
    await flow.decide('retry');
    await flow.result();
    return flow.handle;
  },
  'destinationCircuit-away': async (server) => {
    let isAway = true;
    const site = aSite({
      probeDestination: async () => (isAway ? { problem: 'Nobody answers' } : {}),
      sendInstances: async () => (isAway ? { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0, held: { why: 'failed', waitingCount: 2, progressed: false, problem: 'Nobody answers' } }
        : { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 }),
    });
    const flow = await aRoute(server.client, site);
    await until('it was probed thrice', () => site.called('probeDestination').length >= 3);
    isAway = false;
    await flow.result();
    const handle = server.client.workflow.getHandle(destinationWorkflowId(site.tenantId, 'archive'));
    await handle.result();
    return handle;
  },
  'routeStudy-waited': async (server) => {
    let sends = 0;
    const site = aSite({ sendInstances: async () => ({ deliveredCount: sends, refusedCount: 0, alreadyThereCount: 0,
      ...(sends++ === 0 ? { held: { why: 'failed' as const, waitingCount: 2, progressed: false, problem: 'Nobody answers' } } : {}) }) });
    const flow = await aRoute(server.client, site);
    await flow.result();
    return flow.handle;
  },
  'chooseCurrent-chosen': async (server) => {
    const { tenantId } = aSite({ chooseInstance: async ({ studyInstanceUID }) => ['1.2.4', studyInstanceUID] });
    const flowId = choiceWorkflowId(tenantId, '1.2.3', 'request-1');
    const input: ChooseCurrentInput = { tenantId, studyInstanceUID: '1.2.3', sopInstanceUID: '1.2.3.1', packId: 'a'.repeat(64), sha256: 'b'.repeat(64),
      by: 'Ada', why: 'right patient', at: '2024-05-01T10:00:00.000Z', flowId };
    const handle = await server.client.workflow.start('chooseCurrent', { workflowId: flowId, taskQueue: taskQueues.core, args: [input] });
    await handle.result();
    return handle;
  },
  'sweepTenant-continued': async (server) => {
    const { tenantId } = aSite();
    const handle = await server.client.workflow.start('sweepTenant', { workflowId: sweepWorkflowId(tenantId, 'job-1'), taskQueue: taskQueues.core, args: [{ tenantId, verifyDays: 1, settleMs: 0 }] });
    await handle.result();
    return server.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
  },
  'sweepTenant-removing': async (server) => {
    const { tenantId } = aSite({ removeOrphans: async () => ({ removedCount: 2, removedBytes: 20 }) });
    const handle = await server.client.workflow.start('sweepTenant', { workflowId: sweepWorkflowId(tenantId, 'job-1'), taskQueue: taskQueues.core, args: [{ tenantId, verifyDays: 1, settleMs: 0, orphanAgeMs: 1 }] });
    await handle.result();
    return handle;
  },
  'sweepTenant-damaged': async (server) => {
    const site = aSite(aDamagedArchive(['a'.repeat(64), 'b'.repeat(64)], ({ packId }) => packId.startsWith('b')));
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await aSweep(server.client, site);
    await flow.reaches('ATTENTION');
    await flow.decide('skip');
    await flow.result();
    return flow.handle;
  },
  'routeStudy-committed': async (server) => {
    const counts = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
    let looks = 0;
    const site = aSite({ sendInstances: async () => ({ ...counts, sentCount: 2 }), confirmInstances: async () => {
      looks++;
      const missing = { ...counts, sentCount: 2, missingCount: 2, pauseMs: 50 };
      return looks < 3 ? { ...missing, isAwaited: true } : looks === 3 ? missing : { ...counts, deliveredCount: 2, missingCount: 0, pauseMs: 50 };
    } });
    const flow = await aRoute(server.client, site);
    await flow.result();
    return flow.handle;
  },
  'commitStorage-reported': async (server) => {
    let [looks, attempts] = [0, 0];
    const site = aSite({
      judgeCommitment: async () => (++looks < 3 ? { committedCount: 1, failedCount: 0, openCount: 1 } : { committedCount: 2, failedCount: 0, openCount: 0 }),
      findSpooled: async () => ({ spooledCount: 1 }),
      reportCommitment: async () => (++attempts < 2 ? { problem: 'CT1 is away.', pauseMs: 100 } : attempts < 3 ? { needsPerson: true, problem: 'Nobody knows where CT1 is.', pauseMs: 100 } : { told: 'newAssociation', pauseMs: 100 }),
    });
    await server.openGateway(site.tenantId, 'gw1');
    await startCommitment(server.client, { tenantId: site.tenantId, gatewayId: 'gw1', transactionUID: '1.2.3', callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: '2024-05-01T10:00:00.000Z', referenceCount: 2, waitMs: 500 });
    const flow = flowOf(server.client.workflow.getHandle(commitmentWorkflowId(site.tenantId, 'gw1', '1.2.3')));
    await flow.reaches('ATTENTION');
    await flow.decide('retry');
    await flow.result();
    return flow.handle;
  },
  'reindexTenant-continued': async (server) => {
    const { tenantId } = aSite();
    const handle = await server.client.workflow.start('reindexTenant', { workflowId: `${tenantId}/reindex/job-1`, taskQueue: taskQueues.core, args: [{ tenantId }] });
    await handle.result();
    return server.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
  },
};

/** Without what names the machine: the worker's identity (also the name of its sticky queue) and the places of its files. */
function withoutMachine(value: unknown): unknown {
  if (typeof value === 'string') return /^\d+@/.test(value) ? 'worker' : value;
  if (Array.isArray(value)) return value.map(withoutMachine);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'stackTrace').map(([name, member]) => [name, withoutMachine(member)]));
}

async function main(label: string | undefined, workflow: string | undefined): Promise<void> {
  if (!label || !/^[a-z0-9.-]+$/.test(label)) throw new Error('Give a label for the version that is recorded: letters, digits, dots, hyphens');
  await mkdir(folder, { recursive: true });
  const [plain, short] = [await startTemporal(), await startTemporal({ suggestContinueAsNewAt: 60 })];
  try {
    for (const [name, record] of Object.entries(recordings).filter(([each]) => workflow === undefined || each.startsWith(`${workflow}-`))) {
      const handle = await record(name.endsWith('-continued') ? short : plain);
      const history = withoutMachine(JSON.parse(historyToJSON(await handle.fetchHistory())));
      await writeFile(path.join(folder, `${name}.${label}.json`), `${JSON.stringify(history)}\n`);
      console.log(`${name}: recorded`);
    }
  } finally {
    await Promise.all([plain.stop(), short.stop()]);
  }
}

await main(process.argv[2], process.argv[3]);
process.exit(0);
