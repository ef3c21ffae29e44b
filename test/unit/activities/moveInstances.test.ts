import assert from 'node:assert/strict';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createFindMoveDestination } from '../../../activities/route/findMoveDestination.ts';
import { createMoveInstances, type MoveInstancesInput } from '../../../activities/route/moveInstances.ts';
import type { DicomDestination } from '../../../domain/tenant.ts';
import { MemoryArchive, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { DestinationUnavailable, type Sender } from '../../../stores/ports.ts';
import type { RetrieveProgress } from '../../../workflows/contracts.ts';
import { aPackIndex, aTenant } from '../../support/aStudy.ts';
import { run, runAs } from './support.ts';

const destination: DicomDestination = { kind: 'dicom', destinationId: 'ws1', gatewayId: 'gw1', host: '127.0.0.1', port: 104, calledAETitle: 'WS1' };

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
  return { tenants, tenantId, uids, sent, originators, input, activity: createMoveInstances({ archive, tenants, sender }) };
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

  it('counts as failed what a destination that goes away was not sent', async () => {
    const { activity, input, uids } = await aMove((at) => (at < 2 ? 0 : new DestinationUnavailable('it is away', {})));

    const progress = await run(activity, input);

    assert.deepEqual([counts(progress), progress.failedSOPInstanceUIDs], [[2, 0, 2], uids.slice(2)]);
  });

  it('throws what fails on our side, to be tried again', async () => {
    const { activity, input } = await aMove(() => new Error('the archive does not answer'));

    await assert.rejects(run(activity, input), /the archive does not answer/);
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

describe('findMoveDestination', () => {
  it('finds a DICOM destination by its called AE title, exactly', async () => {
    const { tenants, tenantId } = await aMove();
    const find = createFindMoveDestination({ tenants });

    assert.deepEqual([await find({ tenantId, aeTitle: 'WS1' }), await find({ tenantId, aeTitle: 'ws1' }), await find({ tenantId: aTenant(), aeTitle: 'WS1' })],
      [{ destinationId: 'ws1', gatewayId: 'gw1' }, undefined, undefined]);
  });
});
