import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { retrievalsOf } from '../../edge-gateway/retrievalClient.ts';
import type { RetrieveOutcome } from '../../workflows/contracts.ts';
import { aUID } from '../support/aStudy.ts';
import { ctInstances, sendUntilItBreaks } from '../support/sender.ts';
import { eventually } from '../support/stack.ts';
import { faultSuite } from './harness/suite.ts';

describe('a C-MOVE whose sending process is killed', function () {
  this.timeout(240_000);
  const suite = faultSuite();
  const count = 24;
  let study: string;

  before('a study is archived and nothing is delivered by rule', async function () {
    this.timeout(120_000);
    const { site } = suite();
    await site.api.configure((config) => ({ ...config, rules: [] }));
    study = aUID();
    const sent = await sendUntilItBreaks({ host: '127.0.0.1', port: site.links.dicom.port, aeTitle: 'PACS', tls: false }, ctInstances({ study, count, pixelBytes: 60_000 }));
    assert.equal(sent.length, count);
    await eventually('all is archived', () => site.api.isFound(study, count), 90_000);
  });

  /** Starts it as the gateway does, the link to the destination so slow that it takes some seconds. */
  const move = async () => {
    const { site } = suite();
    site.links.delivery.slow(250_000);
    const retrieval = await retrievalsOf(site.temporal).start({ tenantId: site.tenantId, gatewayId: 'gw1', destinationAETitle: 'SECOND',
      originator: { aeTitle: 'ASKER', messageID: 5 }, selections: [{ studyInstanceUID: study }] }, randomUUID());
    return { site, retrieval };
  };
  const received = (): readonly number[] => [...suite().site.destination.received.values()];

  it('goes on in the next process: the counters are right, and what was told of is not sent again', async () => {
    const { site, retrieval } = await move();
    const told = await eventually('a third is sent and told of', async () => {
      const { completedCount } = await retrieval.look();
      return completedCount >= count / 3 && completedCount;
    });
    await site.kill('edgeWorker');
    const arrivedBefore = received().length;
    await site.restart('edgeWorker');
    site.links.delivery.slow(undefined);

    const outcome = await eventually('the C-MOVE is over', async () => {
      const now = await retrieval.look();
      return 'end' in now && now as RetrieveOutcome;
    }, 120_000);

    assert.deepEqual([outcome.end, outcome.completedCount, outcome.failedCount], ['sent', count, 0]);
    assert.equal(received().length, count);
    assert.ok(arrivedBefore < count, `${arrivedBefore} had arrived before the kill`);
    // One more may be in the slow link when its sender dies: instances go one after the other.
    const untold = arrivedBefore - told + 1;
    const twice = received().filter((times) => times > 1).length;
    assert.ok(twice <= untold, `${twice} were sent twice, where at most ${untold} were not told of`);
    assert.ok(received().every((times) => times <= 2));
  });

  it('goes on after the gateway that was asked is killed', async () => {
    const { site, retrieval } = await move();
    await eventually('it has begun', async () => (await retrieval.look()).completedCount > 0);
    await site.kill('gateway');
    site.links.delivery.slow(undefined);

    const outcome = await eventually('the C-MOVE is over', async () => {
      const now = await retrieval.look();
      return 'end' in now && now as RetrieveOutcome;
    }, 60_000);
    await site.restart('gateway');

    assert.deepEqual([outcome.end, outcome.completedCount, outcome.failedCount], ['sent', count, 0]);
  });
});
