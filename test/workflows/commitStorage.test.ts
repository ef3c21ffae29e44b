import assert from 'node:assert/strict';
import { startCommitment } from '../../edge-gateway/commitment/client.ts';
import type { commitStorage } from '../../workflows/index.ts';
import { commitmentWorkflowId } from '../../workflows/ids.ts';
import { aUID } from '../support/aStudy.ts';
import { flowOf } from './flows.ts';
import { aSite, until, type Site } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

const all = { committedCount: 2, failedCount: 0, openCount: 0 };

describe('commitStorage', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });

  /** Starts it as a gateway does. */
  const aCommitment = async (site: Site, { waitMs = 60_000, openGateway = true } = {}) => {
    if (openGateway) await server.openGateway(site.tenantId, 'gw1');
    const transactionUID = aUID();
    const start = () => startCommitment(server.client, { tenantId: site.tenantId, gatewayId: 'gw1', transactionUID, callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: '2024-05-01T10:00:00.000Z', referenceCount: 2, waitMs });
    await start();
    return { start, ...flowOf(server.client.workflow.getHandle<typeof commitStorage>(commitmentWorkflowId(site.tenantId, 'gw1', transactionUID))) };
  };
  const names = (site: Site) => site.calls.map(({ name }) => name);

  it('takes the request, judges it, tells the requestor, writes history, and lets the gateway forget it', async () => {
    const site = aSite();

    const flow = await aCommitment(site);
    await flow.start();

    assert.deepEqual(await flow.result(), { committedCount: 2, failedCount: 0, told: 'newAssociation' });
    assert.deepEqual(names(site), ['takeCommitment', 'judgeCommitment', 'reportCommitment', 'recordCommitment', 'releaseCommitment']);
    assert.equal(await flow.state(), 'DONE');
  });

  it('looks again until the archive has everything', async () => {
    let looks = 0;
    const site = aSite({ judgeCommitment: async () => (++looks < 2 ? { committedCount: 1, failedCount: 0, openCount: 1 } : all) });

    const flow = await aCommitment(site);
    const said = await until('it says what it waits for', async () => {
      const { sentence } = await flow.status();
      return /Waits until .* for 1 of 2 instances/.test(sentence);
    });

    assert.deepEqual([said, (await flow.result()).committedCount, looks], [true, 2, 2]);
  });

  it('looks once more at the end of its time, and tells what is missing', async () => {
    const asked: boolean[] = [];
    const site = aSite({ judgeCommitment: async ({ isLast }) => {
      asked.push(isLast);
      return isLast ? { committedCount: 1, failedCount: 1, openCount: 0 } : { committedCount: 1, failedCount: 0, openCount: 1 };
    } });

    const flow = await aCommitment(site, { waitMs: 100 });

    assert.deepEqual([await flow.result(), asked], [{ committedCount: 1, failedCount: 1, told: 'newAssociation' }, [false, true]]);
  });

  it('waits beyond its time for what the gateway itself still holds', async () => {
    let spooledCount = 1;
    const site = aSite({ findSpooled: async () => ({ spooledCount: spooledCount-- > 0 ? 1 : 0 }),
      judgeCommitment: async ({ isLast }) => (isLast ? all : { committedCount: 1, failedCount: 0, openCount: 1 }) });

    const flow = await aCommitment(site, { waitMs: 100 });

    assert.equal((await flow.result()).committedCount, 2);
    assert.equal(site.called('findSpooled').length, 3, 'once more after the disk was rid of it, and then what is indexed late has had its time');
  });

  it('waits for a requestor that is away, says so, and tells it when it is back', async () => {
    let isAway = true;
    const site = aSite({ reportCommitment: async ({ attempt }) => (isAway ? { problem: `CT1 is away, attempt ${attempt}.`, pauseMs: 50 } : { told: 'newAssociation', pauseMs: 50 }) });

    const flow = await aCommitment(site);
    await flow.reaches('DESTINATION_AWAY');
    const { sentence } = await flow.status();
    isAway = false;

    assert.match(sentence, /CT1 is away, attempt \d+\. The next attempt is at 20/);
    assert.deepEqual([(await flow.result()).told, await flow.state()], ['newAssociation', 'DONE']);
  });

  it('asks a person about a requestor that nobody can reach; retry tells it', async () => {
    let isKnown = false;
    const site = aSite({ reportCommitment: async () => (isKnown ? { told: 'newAssociation', pauseMs: 50 } : { needsPerson: true, problem: 'Nobody knows where CT1 is.', pauseMs: 50 }) });

    const flow = await aCommitment(site);
    await flow.reaches('ATTENTION');
    const [errorType, { sentence }] = [await flow.errorType(), await flow.status()];
    isKnown = true;
    await flow.decide('retry');

    assert.deepEqual([errorType, (await flow.result()).told], ['RequestorAway', 'newAssociation']);
    assert.match(sentence, /^Nobody knows where CT1 is\. Then retry, or skip/);
    assert.deepEqual(site.audit.map(({ action }) => action), ['flow.parked', 'flow.retried']);
  });

  it('ends without telling when a person skips, also while it only waits; the gateway forgets the request', async () => {
    const site = aSite({ reportCommitment: async () => ({ problem: 'CT1 is away.', pauseMs: 60_000 }) });

    const flow = await aCommitment(site);
    await flow.reaches('DESTINATION_AWAY');
    await flow.decide('skip');

    assert.equal((await flow.result()).told, 'never');
    assert.deepEqual(names(site).slice(-2), ['recordCommitment', 'releaseCommitment']);
  });

  it('waits for its gateway and goes on when it is back', async () => {
    const site = aSite();

    const flow = await aCommitment(site, { openGateway: false });
    await flow.reaches('EDGE_OFFLINE');
    await server.openGateway(site.tenantId, 'gw1');

    assert.equal((await flow.result()).told, 'newAssociation');
  });
});
