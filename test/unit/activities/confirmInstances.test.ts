import assert from 'node:assert/strict';
import { createConfirmInstances, type ConfirmInstancesInput } from '../../../activities/route/confirmInstances.ts';
import { createPlaces } from '../../../activities/route/places.ts';
import { createSendInstances, type SendInstancesInput } from '../../../activities/route/sendInstances.ts';
import { createSkipInstances } from '../../../activities/route/skipInstances.ts';
import { MemoryArchive, MemoryCircuitStore, MemoryDeliveryStore, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { DestinationUnavailable, type CommitmentAsker, type ReadBack, type Sender, type SendResult } from '../../../stores/ports.ts';
import type { CommitmentReport, CommitmentRequest } from '../../../dicom/storageCommitment.ts';
import type { Destination } from '../../../domain/tenant.ts';
import { aPackIndex, aTenant } from '../../support/aStudy.ts';
import { run } from './support.ts';

const now = () => new Date('2024-05-01T12:00:00.000Z');

const web: Destination = { kind: 'dicomweb', destinationId: 'web', url: 'http://127.0.0.1/dicom-web', confirmation: 'readBack' };
const dicom: Destination = { kind: 'dicom', destinationId: 'web', gatewayId: 'gw1', host: '127.0.0.1', port: 104, calledAETitle: 'WS1', confirmation: 'commitment' };

/** A study at a destination that is asked afterwards what it holds. */
async function aDelivery({ outcome = 'delivered' as SendResult['outcome'], lists = (uids: readonly string[]): readonly string[] => uids, config = web as Destination } = {}) {
  const tenantId = aTenant();
  const pack = aPackIndex({ tenantId, instances: [{}, {}, {}] });
  const archive = new MemoryArchive();
  await archive.commitIndex(pack);
  const tenants = new MemoryTenantStore();
  await tenants.put({ tenantId, gateways: [], rules: [], destinations: [config] }, undefined);
  const deliveries = new MemoryDeliveryStore();
  const uids = pack.instances.map(({ sopInstanceUID }) => sopInstanceUID);
  const destination = { outcome, lists, sent: 0, asked: [] as string[], sentAs: undefined as string | undefined };
  const sender: Sender = { async *send(_destination, instances) {
    for (const { sopInstanceUID } of instances) {
      destination.sent++;
      yield { sopInstanceUID, outcome: destination.outcome, status: destination.outcome === 'delivered' ? 0 : 0xa900, ...(destination.sentAs === undefined ? {} : { sentAs: destination.sentAs }) };
    }
  } };
  const readBack: ReadBack = async (_destination, { seriesInstanceUIDs }) => {
    destination.asked.push(...seriesInstanceUIDs);
    return new Set(destination.lists(uids));
  };
  const commitment = { asked: [] as CommitmentRequest[], forgotten: [] as string[], askedAt: now().toISOString(), report: undefined as ((request: CommitmentRequest) => CommitmentReport) | undefined };
  const asker: CommitmentAsker = {
    ask: async (_destination, request) => {
      commitment.asked.push(request);
      return { askedAt: commitment.askedAt, ...(commitment.report && { report: commitment.report(request) }) };
    },
    forget: async (transactionUID) => void commitment.forgotten.push(transactionUID),
  };
  const deps = { archive, tenants, deliveries, firstRetryMs: 1_000, now };
  const input = (more: Partial<SendInstancesInput> = {}): SendInstancesInput =>
    ({ tenantId, studyInstanceUID: pack.studyInstanceUID, destinationId: 'web', flowId: 'flow-1', resend: false, retryRefused: false, ...more });
  return {
    destination, pack, commitment,
    send: (more?: Partial<SendInstancesInput>) => run(createSendInstances({ ...deps, circuits: new MemoryCircuitStore(), places: createPlaces(), senders: { dicomweb: sender, dicom: sender } }), input(more)),
    confirm: (more: Partial<ConfirmInstancesInput> = {}) => run(createConfirmInstances({ ...deps, readBacks: { dicomweb: readBack }, asker, commitmentTimeoutMs: 60_000 }), { ...input(), checks: 0, isLast: false, ...more }),
    skip: () => run(createSkipInstances(deps), { ...input(), by: 'Ada' }),
    entries: async () => (await deliveries.get(tenantId, 'web', pack.studyInstanceUID)).value.instances,
  };
}

describe('confirmInstances', () => {
  it('counts as delivered only what the destination lists', async () => {
    const delivery = await aDelivery({ lists: (uids) => uids.slice(1) });

    const sent = await delivery.send();
    const states = (await delivery.entries()).map(({ state }) => state);
    const confirmed = await delivery.confirm();
    const entries = await delivery.entries();

    assert.deepEqual(sent, { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0, sentCount: 3 });
    assert.deepEqual(states, ['sent', 'sent', 'sent']);
    assert.deepEqual(confirmed, { deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0, sentCount: 1, missingCount: 1, pauseMs: 1_000 });
    assert.deepEqual(entries.map(({ state, confirmed: by }) => [state, by]), [['sent', undefined], ...Array(2).fill(['delivered', { by: 'readBack', at: now().toISOString() }])]);
    assert.deepEqual(delivery.destination.asked, [delivery.pack.seriesInstanceUID]);
  });

  it('confirms what was sent transcoded like the rest, and the ledger goes on saying so beside the digest of what is stored', async () => {
    const delivery = await aDelivery({ lists: (uids) => uids });
    delivery.destination.sentAs = '1.2.840.10008.1.2.1';
    await delivery.send();

    await delivery.confirm();
    const again = await delivery.send();

    assert.deepEqual((await delivery.entries()).map(({ state, sentAs, sha256 }) => [state, sentAs, sha256]),
      delivery.pack.instances.map(({ sha256 }) => ['delivered', '1.2.840.10008.1.2.1', sha256]));
    assert.deepEqual([again.deliveredCount, delivery.destination.sent], [3, 3]);
  });

  it('has what is missing at last sent again, and nothing else', async () => {
    const delivery = await aDelivery({ lists: (uids) => uids.slice(1) });
    await delivery.send();

    await delivery.confirm({ checks: 2, isLast: true });
    const [missing] = await delivery.entries();
    await delivery.send();
    delivery.destination.lists = (uids) => uids;
    const confirmed = await delivery.confirm();

    assert.deepEqual([missing!.state, missing!.lastProblem], ['waiting', 'The destination answered success, but does not list the instance.']);
    assert.equal(delivery.destination.sent, 4);
    assert.deepEqual([confirmed.deliveredCount, confirmed.missingCount], [3, 0]);
  });

  it('knows nothing when the destination cannot be asked, and says why', async () => {
    const delivery = await aDelivery();
    await delivery.send();
    delivery.destination.lists = () => { throw new DestinationUnavailable('HTTP 503', {}); };

    const answer = await delivery.confirm();

    assert.deepEqual([answer.missingCount, answer.problem], [3, 'It could not be asked whether it holds the instance: HTTP 503']);
    assert.ok((await delivery.entries()).every(({ state }) => state === 'sent'));
  });

  it('changes nothing when it runs twice', async () => {
    const delivery = await aDelivery();
    await delivery.send();

    const first = await delivery.confirm();
    const entries = await delivery.entries();
    delivery.destination.lists = () => [];
    const second = await delivery.confirm();

    assert.deepEqual([first.deliveredCount, second.deliveredCount, second.missingCount], [3, 3, 0]);
    assert.deepEqual(await delivery.entries(), entries);
  });
});

describe('skipInstances', () => {
  it('remembers what a person gave up: a later rule neither sends nor asks, a request sends', async () => {
    const delivery = await aDelivery({ outcome: 'refused' });
    const refused = await delivery.send();
    await delivery.skip();

    const later = await delivery.send({ flowId: 'rule/2' });
    const sentByRules = delivery.destination.sent;
    const requested = await delivery.send({ flowId: 'request', resend: true });

    assert.deepEqual([refused.refusedCount, later.refusedCount, sentByRules], [3, 0, 3]);
    assert.deepEqual([requested.refusedCount, delivery.destination.sent], [3, 6]);
    assert.deepEqual((await delivery.entries()).map(({ skippedBy }) => skippedBy), Array(3).fill(undefined), 'a new answer replaces the decision');
  });
});

describe('confirmInstances by storage commitment', () => {
  const failing = (...reasons: readonly (number | undefined)[]) => ({ transactionUID, references }: CommitmentRequest): CommitmentReport => ({ transactionUID,
    committed: references.filter((_, at) => reasons[at] === 0), failed: references.flatMap((reference, at) => (reasons[at] ? [{ ...reference, failureReason: reasons[at] }] : [])) });

  it('asks about what was taken, and counts as delivered what the destination commits itself to', async () => {
    const delivery = await aDelivery({ config: dicom });
    await delivery.send();
    delivery.commitment.report = failing(0, 0, 0);

    const confirmed = await delivery.confirm({ transactionId: 'a' });

    const [asked] = delivery.commitment.asked;
    assert.deepEqual(asked!.references, delivery.pack.instances.map(({ sopClassUID, sopInstanceUID }) => ({ sopClassUID, sopInstanceUID })));
    assert.deepEqual([confirmed.deliveredCount, confirmed.missingCount, confirmed.isAwaited, delivery.commitment.forgotten], [3, 0, undefined, [asked!.transactionUID]]);
    assert.deepEqual((await delivery.entries()).map(({ confirmed: by }) => by), Array(3).fill({ by: 'commitment', at: now().toISOString() }));
  });

  it('waits for a report under the same Transaction UID, and takes another one to ask again', async () => {
    const delivery = await aDelivery({ config: dicom });
    await delivery.send();

    const first = await delivery.confirm({ transactionId: 'a' });
    const second = await delivery.confirm({ transactionId: 'a', isLast: true });
    delivery.commitment.askedAt = new Date(now().getTime() - 60_000).toISOString();
    const over = await delivery.confirm({ transactionId: 'a' });
    await delivery.confirm({ transactionId: 'b' });

    const uids = delivery.commitment.asked.map(({ transactionUID }) => transactionUID);
    assert.deepEqual([first, second, over].map(({ isAwaited, missingCount }) => [isAwaited, missingCount]), [[true, 3], [true, 3], [undefined, 3]]);
    assert.match(over.problem!, /has not reported/);
    assert.deepEqual([uids[0] === uids[1], uids[0] === uids[2], uids[0] === uids[3]], [true, true, false]);
    assert.ok(uids.every((uid) => /^2\.25\.\d{1,39}$/.test(uid)));
    assert.ok((await delivery.entries()).every(({ state }) => state === 'sent'), 'nothing is sent again while a report is awaited');
  });

  it('does what a failure asks for: what is not there is sent again, another class is refused', async () => {
    const delivery = await aDelivery({ config: dicom });
    await delivery.send();
    delivery.commitment.report = failing(0, 0x0112, 0x0119);

    const confirmed = await delivery.confirm();
    const entries = await delivery.entries();
    await delivery.send();

    assert.deepEqual([confirmed.deliveredCount, confirmed.missingCount, confirmed.refusedCount, confirmed.isSettled], [1, 1, 1, true]);
    assert.deepEqual(entries.map(({ state, lastStatus }) => [state, lastStatus]), [['delivered', 0], ['waiting', 0x0112], ['refused', 0x0119]]);
    assert.equal(delivery.destination.sent, 4);
  });

  it('still has what was lost sent again when it died after writing that down', async () => {
    const delivery = await aDelivery({ config: dicom });
    await delivery.send();
    delivery.commitment.report = failing(0, 0x0112, 0);

    await delivery.confirm();
    const repeated = await delivery.confirm();

    assert.deepEqual([repeated.missingCount, repeated.isSettled, delivery.commitment.asked.length], [1, true, 1]);
  });

  it('counts as missing what the report does not name', async () => {
    const delivery = await aDelivery({ config: dicom });
    await delivery.send();
    delivery.commitment.report = failing(0, undefined, 0);

    assert.deepEqual([(await delivery.confirm()).missingCount, (await delivery.entries())[1]!.lastProblem], [1, 'The storage commitment report of the destination does not name the instance.']);
  });
});
