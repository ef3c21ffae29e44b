import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { activityInfo, cancellationSignal, heartbeat } from '@temporalio/activity';
import { retrievalsOf } from '../../edge-gateway/retrievalClient.ts';
import type { RetrieveOutcome, RetrieveProgress } from '../../workflows/contracts.ts';
import { destinationWorkflowId, retrieveWorkflowId } from '../../workflows/ids.ts';
import { flowOf } from './flows.ts';
import { aSite, until, type Site } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

const progress = (completedCount: number, failedSOPInstanceUIDs: readonly string[] = []): RetrieveProgress =>
  ({ completedCount, warningCount: 0, failedCount: failedSOPInstanceUIDs.length, failedSOPInstanceUIDs });

describe('retrieveStudy', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  /** Starts it as a gateway does; the gateway of its destination works. */
  const aRetrieval = async (site: Site) => {
    await server.openGateway(site.tenantId, 'gw1');
    const requestId = randomUUID();
    const retrieval = await retrievalsOf(server.client).start({ tenantId: site.tenantId, gatewayId: 'gw1', destinationAETitle: 'WS1',
      originator: { aeTitle: 'ASKER', messageID: 5 }, selections: [{ studyInstanceUID: '1.2.3' }] }, requestId);
    const outcome = () => until('the retrieval is over', async () => {
      const now = await retrieval.look();
      return 'end' in now && now as RetrieveOutcome;
    });
    return { retrieval, outcome, flow: flowOf(server.client.workflow.getHandle(retrieveWorkflowId(site.tenantId, requestId))) };
  };

  it('tells how far it is while it sends, and returns the counts', async () => {
    let go = false;
    const site = aSite({ moveInstances: async () => {
      heartbeat(progress(1));
      await until('the test saw it', () => go);
      return progress(2, ['1.2.3.4']);
    } });
    const { retrieval, outcome, flow } = await aRetrieval(site);

    const seen = await until('one is sent', async () => (await retrieval.look()).completedCount === 1);
    go = true;

    assert.deepEqual([seen, await outcome()], [true, { ...progress(2, ['1.2.3.4']), end: 'sent' }]);
    assert.equal(await flow.state(), 'DONE');
    const { raw } = await flow.handle.describe();
    assert.deepEqual([raw.workflowExecutionInfo?.priority?.priorityKey, raw.workflowExecutionInfo?.priority?.fairnessKey], [1, site.tenantId]);
  });

  it('ends with what was done when it is cancelled', async () => {
    const site = aSite({ moveInstances: async () => {
      for (;;) {
        heartbeat(progress(1));
        if (cancellationSignal().aborted) return progress(2);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } });
    const { retrieval, outcome, flow } = await aRetrieval(site);
    await until('one is sent', async () => (await retrieval.look()).completedCount === 1);

    await retrieval.cancel();

    assert.deepEqual([await outcome(), await flow.state()], [{ ...progress(2), end: 'cancelled' }, 'DONE']);
  });

  it('hands the next attempt what the one before it told', async () => {
    const resumed: unknown[] = [];
    const site = aSite({ moveInstances: async () => {
      resumed.push((activityInfo().heartbeatDetails as RetrieveProgress | undefined)?.completedCount);
      if (resumed.length > 1) return progress(3);
      heartbeat(progress(2));
      throw new Error('the worker was stopped');
    } });

    const { outcome } = await aRetrieval(site);

    assert.deepEqual([await outcome(), resumed], [{ ...progress(3), end: 'sent' }, [undefined, 2]]);
  });

  it('keeps the counts of attempts that fail, also when the last one is over, and names what was not sent', async () => {
    let at = 0;
    const site = aSite({
      moveInstances: async () => {
        at++;
        throw ApplicationFailure.create({ message: 'the archive does not answer', nonRetryable: at === 2, details: [progress(at)] });
      },
      failUnsent: async ({ progress: before }) => ({ ...before, failedCount: 1, failedSOPInstanceUIDs: ['1.2.3.9'] }),
    });

    const { outcome } = await aRetrieval(site);

    assert.deepEqual(await outcome(), { ...progress(2, ['1.2.3.9']), end: 'unsent' });
  });

  it('waits for its turn at the flow of its destination, goes on behind what it sent, and counters never go back', async () => {
    const calls: [number | undefined, boolean | undefined][] = [];
    const site = aSite({ moveInstances: async ({ progress: before, turn }) => {
      calls.push([before?.completedCount, turn]);
      heartbeat(before);
      if (calls.length > 1) return progress(3);
      heartbeat(progress(2));
      return { ...progress(2), held: { why: 'failed', progressed: true, problem: 'Cut off' } };
    } });
    const seen: number[] = [];

    const { retrieval, outcome, flow } = await aRetrieval(site);
    await until('the retrieval is over', async () => {
      const now = await retrieval.look();
      seen.push(now.completedCount);
      return 'end' in now;
    });

    assert.deepEqual([await outcome(), calls], [{ ...progress(3), end: 'sent' }, [[0, false], [2, true]]]);
    assert.deepEqual(seen, seen.toSorted());
    assert.equal(await flow.state(), 'DONE');
  });

  it('gives up a destination that stays away, and its flow waits for nobody then', async () => {
    const site = aSite({
      moveInstances: async () => ({ ...progress(1), held: { why: 'failed', progressed: false, problem: 'Nobody answers' } }),
      probeDestination: async () => ({ problem: 'Nobody answers' }),
    });

    const { outcome } = await aRetrieval(site);

    assert.deepEqual(await outcome(), { ...progress(1), end: 'unsent' });
    assert.ok(site.called('probeDestination').length > 0 && site.called('moveInstances').length < 3);
    const circuit = server.client.workflow.getHandle(destinationWorkflowId(site.tenantId, 'ws1'));
    await until('nobody waits for the destination', async () => (await circuit.describe()).status.name === 'COMPLETED');
  });

  it('ends a wait when it is cancelled', async () => {
    const site = aSite({
      moveInstances: async () => ({ ...progress(1), held: { why: 'failed', progressed: false, problem: 'Nobody answers' } }),
      probeDestination: async () => ({ problem: 'Nobody answers' }),
    });
    const { retrieval, outcome, flow } = await aRetrieval(site);
    await flow.reaches('DESTINATION_AWAY');

    await retrieval.cancel();

    assert.deepEqual(await outcome(), { ...progress(1), end: 'cancelled' });
    const circuit = server.client.workflow.getHandle(destinationWorkflowId(site.tenantId, 'ws1'));
    await until('nobody waits for the destination', async () => (await circuit.describe()).status.name === 'COMPLETED');
  });

  it('writes into the study\'s history who asked for it, where to, and how that ended', async () => {
    const site = aSite({ moveInstances: async () => progress(2, ['1.2.3.4']) });

    const { outcome, flow } = await aRetrieval(site);
    await outcome();

    const { workflowId } = flow.handle;
    const who = { tenantId: site.tenantId, gatewayId: 'gw1', studyInstanceUID: '1.2.3', actor: 'ASKER@gw1', flowId: workflowId };
    assert.deepEqual(site.audit.map(({ at: _, eventId: _id, ...event }) => event), [
      { ...who, action: 'move.requested', detail: 'Asked to send it to AE title WS1.' },
      { ...who, action: 'move.ended', destinationId: 'ws1', detail: 'Sent to ws1. 2 sent, 0 with a warning, 1 failed.', counts: { completedCount: 2, warningCount: 0, failedCount: 1 } },
    ]);
    assert.equal(new Set(site.audit.map(({ eventId }) => eventId)).size, 2);
  });

  it('sends nothing to a destination that nobody configured', async () => {
    const site = aSite({ findMoveDestination: async () => undefined });

    const { outcome, flow } = await aRetrieval(site);

    assert.equal((await outcome()).end, 'unknownDestination');
    assert.deepEqual([await flow.state(), site.called('moveInstances')], ['REJECTED', []]);
  });
});
