import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { activityInfo, cancellationSignal, heartbeat } from '@temporalio/activity';
import { retrievalsOf } from '../../edge-gateway/retrievalClient.ts';
import type { RetrieveOutcome, RetrieveProgress } from '../../workflows/contracts.ts';
import { retrieveWorkflowId } from '../../workflows/ids.ts';
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

  it('sends nothing to a destination that nobody configured', async () => {
    const site = aSite({ findMoveDestination: async () => undefined });

    const { outcome, flow } = await aRetrieval(site);

    assert.equal((await outcome()).end, 'unknownDestination');
    assert.deepEqual([await flow.state(), site.called('moveInstances')], ['REJECTED', []]);
  });
});
