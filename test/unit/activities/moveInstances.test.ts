import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createFailUnsent } from '../../../activities/route/failUnsent.ts';
import { createFindMoveDestination } from '../../../activities/route/findMoveDestination.ts';
import { createMoveInstances, type MoveInstancesInput } from '../../../activities/route/moveInstances.ts';
import { createPlaces } from '../../../activities/route/places.ts';
import type { DicomDestination } from '../../../domain/tenant.ts';
import { MemoryArchive, MemoryCircuitStore, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { DestinationUnavailable, type Sender } from '../../../stores/ports.ts';
import type { RetrieveProgress } from '../../../workflows/contracts.ts';
import { aPackIndex, aTenant } from '../../support/aStudy.ts';
import { run, runAs } from './support.ts';

const destination: DicomDestination = { kind: 'dicom', destinationId: 'ws1', gatewayId: 'gw1', host: '127.0.0.1', port: 104, calledAETitle: 'WS1', maxAssociations: 1 };

/** A study of four in the archive; `answer` gives the status of each C-STORE, or what breaks instead. */
async function aMove(answer: (at: number) => number | Error = () => 0) {
  const tenantId = aTenant();
  const pack = aPackIndex({ tenantId, instances: [{}, {}, {}, {}] });
  const archive = new MemoryArchive();
  await archive.commitIndex(pack);
  const tenants = new MemoryTenantStore();
  await tenants.put({ tenantId, gateways: [{ gatewayId: 'gw1', aeTitle: 'PACS' }], rules: [], destinations: [destination] }, undefined);
  const uids = pack.instances.map(({ sopInstanceUID }) => sopInstanceUID).toSorted();
  const sent: string[] = [];
  const originators: unknown[] = [];
  const sender: Sender<DicomDestination> = { async *send(_, instances, signal, originator) {
    originators.push(originator);
    for (const { sopInstanceUID } of instances) {
      signal.throwIfAborted();
      const status = answer(uids.indexOf(sopInstanceUID));
      if (status instanceof Error) throw status;
      sent.push(sopInstanceUID);
      yield { sopInstanceUID, status, outcome: status === 0 || status === 0xb000 ? 'delivered' : 'refused' };
    }
  } };
  const input: MoveInstancesInput = { tenantId, destinationId: 'ws1', originator: { aeTitle: 'ASKER', messageID: 5 }, selections: [{ studyInstanceUID: pack.studyInstanceUID }] };
  const [circuits, places] = [new MemoryCircuitStore(), createPlaces()];
  return { tenants, tenantId, uids, sent, originators, input, circuits, places, failUnsent: createFailUnsent({ archive }),
    activity: createMoveInstances({ archive, tenants, circuits, sender, places, now: () => new Date() }) };
}

const counts = ({ completedCount, warningCount, failedCount }: RetrieveProgress) => [completedCount, warningCount, failedCount];

describe('moveInstances', () => {
  it('counts successes, warnings and failures, names the failed, and says who asked', async () => {
    const { activity, input, uids, originators } = await aMove((at) => [0, 0xb000, 0xa900, 0][at]!);

    const progress = await run(activity, input);

    assert.deepEqual([counts(progress), progress.failedSOPInstanceUIDs], [[2, 1, 1], [uids[2]]]);
    assert.deepEqual(originators, [{ aeTitle: 'ASKER', messageID: 5 }]);
  });

  it('sends the named instances alone', async () => {
    const { activity, input, uids, sent } = await aMove();

    await run(activity, { ...input, selections: [{ ...input.selections[0]!, sopInstanceUIDs: [uids[1]!] }] });

    assert.deepEqual(sent, [uids[1]]);
  });

  it('goes on behind the instance that its heartbeat named', async () => {
    const { activity, input, uids, sent } = await aMove();
    const heartbeatDetails: RetrieveProgress = { completedCount: 1, warningCount: 0, failedCount: 1, failedSOPInstanceUIDs: [uids[0]!],
      after: { studyInstanceUID: input.selections[0]!.studyInstanceUID, sopInstanceUID: uids[1]! } };

    const progress = await runAs({ heartbeatDetails }, activity, input);

    assert.deepEqual([sent, counts(progress)], [uids.slice(2), [3, 0, 1]]);
  });

  it('goes on behind what earlier calls did', async () => {
    const { activity, input, uids, sent } = await aMove();
    const before: RetrieveProgress = { completedCount: 1, warningCount: 1, failedCount: 0, failedSOPInstanceUIDs: [], after: { studyInstanceUID: input.selections[0]!.studyInstanceUID, sopInstanceUID: uids[1]! } };

    const progress = await run(activity, { ...input, progress: before });

    assert.deepEqual([sent, counts(progress)], [uids.slice(2), [3, 1, 0]]);
  });

  it('holds what a destination that goes away was not sent', async () => {
    const { activity, input } = await aMove((at) => (at < 2 ? 0 : new DestinationUnavailable('it is away', {})));

    const { held, ...progress } = await run(activity, input);

    assert.deepEqual([counts(progress), held], [[2, 0, 0], { why: 'failed', progressed: true, problem: 'it is away' }]);
  });

  it('sends nothing to a destination whose circuit is open, unless it is its turn', async () => {
    const { activity, input, tenantId, circuits, sent } = await aMove();
    await circuits.set(tenantId, 'ws1', { since: '2024-05-01T10:00:00.000Z', failures: 3, problem: 'nobody answers', nextTryAt: '2024-05-01T10:00:00.000Z' });

    const { held } = await run(activity, input);
    const atTurn = await run(activity, { ...input, turn: true });

    assert.deepEqual([held, counts(atTurn), sent.length], [{ why: 'open', progressed: false, problem: 'nobody answers' }, [4, 0, 0], 4]);
  });

  it('waits for a place when the destination has as many associations as it takes, and gives its own back', async () => {
    const { activity, input, tenantId, places } = await aMove();
    const leave = places.enter(`${tenantId}/ws1`, 1)!;

    const busy = await run(activity, input);
    leave();
    const done = await run(activity, input);

    assert.deepEqual([busy.held, done.held, counts(done)], [{ why: 'busy', progressed: false }, undefined, [4, 0, 0]]);
    assert.ok(places.enter(`${tenantId}/ws1`, 1));
  });

  it('throws what fails on our side with what was done, to be tried again', async () => {
    const { activity, input } = await aMove((at) => (at < 2 ? 0 : new Error('the archive does not answer')));

    await assert.rejects(run(activity, input), (error: ApplicationFailure) => {
      assert.deepEqual([error.message, error.nonRetryable, counts(error.details![0] as RetrieveProgress)], ['the archive does not answer', false, [2, 0, 0]]);
      return true;
    });
  });

  it('ends the sub-operation under way when it is cancelled, and returns what was done', async () => {
    const environment = new MockActivityEnvironment();
    const { activity, input, uids, sent } = await aMove((at) => {
      if (at === 1) environment.cancel('CANCELLED');
      return 0;
    });

    const progress = await environment.run(activity, input) as RetrieveProgress;

    assert.deepEqual([sent, counts(progress)], [uids.slice(0, 2), [2, 0, 0]]);
  });
});

describe('failUnsent', () => {
  it('counts as failed, and names, what a retrieval did not get to', async () => {
    const { failUnsent, input, uids } = await aMove();
    const progress: RetrieveProgress = { completedCount: 1, warningCount: 0, failedCount: 1, failedSOPInstanceUIDs: [uids[0]!],
      after: { studyInstanceUID: input.selections[0]!.studyInstanceUID, sopInstanceUID: uids[1]! } };

    const ended = await run(failUnsent, { tenantId: input.tenantId, selections: input.selections, progress });

    assert.deepEqual([counts(ended), ended.failedSOPInstanceUIDs], [[1, 0, 3], [uids[0], uids[2], uids[3]]]);
  });
});

describe('findMoveDestination', () => {
  it('finds a DICOM destination by its called AE title, exactly', async () => {
    const { tenants, tenantId } = await aMove();
    const find = createFindMoveDestination({ tenants });

    assert.deepEqual([await find({ tenantId, aeTitle: 'WS1' }), await find({ tenantId, aeTitle: 'ws1' }), await find({ tenantId: aTenant(), aeTitle: 'WS1' })],
      [{ destinationId: 'ws1', gatewayId: 'gw1' }, undefined, undefined]);
  });
});
