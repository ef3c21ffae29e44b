import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createJudgeCommitment } from '../../../activities/commitment/judgeCommitment.ts';
import { createRecordCommitment } from '../../../activities/commitment/recordCommitment.ts';
import { createReportCommitment } from '../../../activities/commitment/reportCommitment.ts';
import { createTakeCommitment } from '../../../activities/commitment/takeCommitment.ts';
import type { CommitmentReport } from '../../../dicom/storageCommitment.ts';
import type { Commitment, TakenCommitment } from '../../../domain/commitment.ts';
import { buildStudyDocuments } from '../../../domain/documents.ts';
import { packKey } from '../../../domain/keys.ts';
import type { PackIndex } from '../../../domain/pack.ts';
import type { DicomDestination } from '../../../domain/tenant.ts';
import { MemoryArchive, MemoryAuditLog, MemoryCommitmentStore, MemoryTenantStore } from '../../../stores/memory/memoryStores.ts';
import { MemoryStudyIndex } from '../../../stores/memory/memoryStudyIndex.ts';
import { DestinationUnavailable } from '../../../stores/ports.ts';
import { aPackIndex, aTenant, aUID } from '../../support/aStudy.ts';
import { everyCrash, run, type CrashPoint } from './support.ts';

const ctClass = '1.2.840.10008.5.1.4.1.1.2';
const now = () => new Date('2025-01-01T00:00:00.000Z');

/** A committed and indexed study of so many instances, with bytes of theirs in its tar. */
async function aWorld(count = 3) {
  const tenantId = aTenant();
  const [archive, index, audit, commitments] = [new MemoryArchive(), new MemoryStudyIndex(), new MemoryAuditLog(), new MemoryCommitmentStore()];
  const plain = aPackIndex({ tenantId, instances: Array.from({ length: count }, () => ({})) });
  const bytes = plain.instances.map(() => randomBytes(1_000));
  const pack: PackIndex = { ...plain, lengthBytes: count * 1_000, instances: plain.instances.map((instance, at) => ({ ...instance, offsetBytes: at * 1_000, sha256: createHash('sha256').update(bytes[at]!).digest('hex') })) };
  archive.packs.set(packKey(pack, 'tar'), Buffer.concat(bytes));
  const addStudy = async () => {
    await archive.commitIndex(pack);
    await index.write(buildStudyDocuments([pack]), 1);
  };
  const request: TakenCommitment = { tenantId, gatewayId: 'gw1', transactionUID: aUID(), requestId: 'r1', callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: '2024-12-31T00:00:00.000Z',
    references: pack.instances.map(({ sopInstanceUID, sopClassUID }) => ({ sopInstanceUID, sopClassUID })) };
  const name = { tenantId, gatewayId: 'gw1', transactionUID: request.transactionUID };
  const judge = (isLast = false, deps: Partial<Parameters<typeof createJudgeCommitment>[0]> = {}) => run(createJudgeCommitment({ archive, index, audit, commitments, now, ...deps }), { ...name, isLast });
  const statuses = async () => (await commitments.get(name))!.value.references.map(({ status }) => status);
  return { tenantId, archive, index, audit, commitments, pack, addStudy, request, name, judge, statuses };
}

describe('takeCommitment', () => {
  it('puts the request into the archive once, and lets an earlier use of its Transaction UID make way', async () => {
    const { commitments, request, name } = await aWorld();
    const take = (found: TakenCommitment | undefined) => run(createTakeCommitment({ commitments, desk: { read: async () => found } }), name);
    const judged: Commitment = { ...request, references: request.references.map((reference) => ({ ...reference, status: 0 })) };

    await take(request);
    await commitments.put(judged, (await commitments.get(name))!.etag);
    await take(request);
    const again = (await commitments.get(name))!.value;
    await take({ ...request, requestId: 'r2' });

    assert.deepEqual(again, judged, 'what was judged stays');
    assert.deepEqual((await commitments.get(name))!.value, { ...request, requestId: 'r2' });
  });

  it('fails for good when neither disk nor archive has the request', async () => {
    const { commitments, name } = await aWorld();

    await assert.rejects(run(createTakeCommitment({ commitments, desk: { read: async () => undefined } }), name), (error: Error & { type?: string }) => error.type === 'CommitmentMissing');
  });
});

describe('judgeCommitment', () => {
  it('commits what the archive has, by its bytes', async () => {
    const { commitments, request, addStudy, judge, statuses, name, pack } = await aWorld();
    await addStudy();
    await commitments.put(request, undefined);

    assert.deepEqual(await judge(), { committedCount: 3, failedCount: 0, openCount: 0 });
    assert.deepEqual(await statuses(), [0, 0, 0]);
    assert.deepEqual([...new Set((await commitments.get(name))!.value.references.map(({ studyInstanceUID }) => studyInstanceUID))], [pack.studyInstanceUID]);
  });

  it('leaves open what is not there yet, and answers 0112 for it at the last look', async () => {
    const { commitments, request, addStudy, judge, statuses } = await aWorld();
    const missing = { sopClassUID: ctClass, sopInstanceUID: aUID() };
    await commitments.put({ ...request, references: [...request.references, missing] }, undefined);

    const early = await judge();
    await addStudy();
    const later = await judge();
    const last = await judge(true);

    assert.deepEqual([early.openCount, later.openCount, last], [4, 1, { committedCount: 3, failedCount: 1, openCount: 0 }]);
    assert.deepEqual(await statuses(), [0, 0, 0, 0x0112]);
  });

  it('answers 0119 for another class, and 0110 for bytes that changed or are gone, which history tells', async () => {
    const { commitments, request, addStudy, judge, statuses, archive, audit, pack, tenantId } = await aWorld();
    await addStudy();
    await commitments.put({ ...request, references: request.references.map((reference, at) => (at === 0 ? { ...reference, sopClassUID: '1.2.840.10008.5.1.4.1.1.4' } : reference)) }, undefined);
    const tar = archive.packs.get(packKey(pack, 'tar'))!;
    tar[1_500]! ^= 1;
    archive.packs.set(packKey(pack, 'tar'), tar.subarray(0, 2_500));

    assert.deepEqual(await judge(), { committedCount: 0, failedCount: 3, openCount: 0 });

    assert.deepEqual(await statuses(), [0x0119, 0x0110, 0x0110]);
    const { events } = await audit.history(tenantId, pack.studyInstanceUID, { limit: 10, offset: 0 });
    assert.deepEqual(events.map(({ action, sopInstanceUID }) => [action, sopInstanceUID]).toSorted(), pack.instances.slice(1).map(({ sopInstanceUID }) => ['pack.damaged', sopInstanceUID]).toSorted());
  });

  it('does not believe the index: a study that does not hold the instance commits nothing', async () => {
    const { commitments, request, judge, pack } = await aWorld();
    await commitments.put(request, undefined);
    const lying = { findHolders: async () => pack.instances.map(({ sopInstanceUID }) => ({ sopInstanceUID, studyInstanceUID: pack.studyInstanceUID, packId: pack.packId, committedAt: '' })) };

    assert.deepEqual(await judge(false, { index: lying }), { committedCount: 0, failedCount: 0, openCount: 3 });
  });

  it('comes to the same end wherever it dies', async () => {
    const { commitments: _, request, archive, index, audit, addStudy, name } = await aWorld(600);
    await addStudy();
    const step = () => {
      const store = new MemoryCommitmentStore();
      const put = store.put(request, undefined);
      let end: readonly (number | undefined)[] = [];
      return { end: () => end, run: async (crash: CrashPoint) => {
        await put;
        await run(createJudgeCommitment({ archive, index, audit, commitments: crash.wrap(store), now }), { ...name, isLast: false });
        end = (await store.get(name))!.value.references.map(({ status }) => status);
      } };
    };

    assert.equal(await everyCrash(step, (end, whole, at) => assert.deepEqual(end, whole, at)), 3, 'two pages are written, each when it is judged');
  });
});

describe('reportCommitment', () => {
  const ct1: DicomDestination = { kind: 'dicom', destinationId: 'ct1', gatewayId: 'gw1', host: '10.0.0.1', port: 104, calledAETitle: 'CT1' };

  const aReport = async ({ onItsOwn, answer = 0, destinations = [ct1] }: { readonly onItsOwn?: number; readonly answer?: number | Error; readonly destinations?: readonly DicomDestination[] }) => {
    const { tenantId, commitments, request, name } = await aWorld();
    await commitments.put({ ...request, references: request.references.map((reference, at) => ({ ...reference, status: at === 0 ? 0x0112 : 0 })) }, undefined);
    const tenants = new MemoryTenantStore();
    await tenants.put({ tenantId, gateways: [{ gatewayId: 'gw1', aeTitle: 'PACS' }, { gatewayId: 'gw2', aeTitle: 'PACS' }], rules: [], destinations }, undefined);
    const told: { readonly to: DicomDestination; readonly report: CommitmentReport }[] = [];
    const result = await run(createReportCommitment({ commitments, tenants, firstRetryMs: 1_000, desk: { tellOnItsAssociation: async () => onItsOwn }, report: async (to, report) => {
      told.push({ to, report });
      if (answer instanceof Error) throw answer;
      return answer;
    } }), { ...name, attempt: 3 });
    return { result, told };
  };

  it('tells on the association that asked, and then on no other', async () => {
    const { result, told } = await aReport({ onItsOwn: 0 });

    assert.deepEqual([result, told.length], [{ told: 'sameAssociation', pauseMs: 4_000 }, 0]);
  });

  it('else tells the destination of the requestor\'s AE title at its gateway, by the title it called', async () => {
    const { result, told } = await aReport({ destinations: [{ ...ct1, destinationId: 'other', gatewayId: 'gw2', host: '10.0.0.2' }, { ...ct1, callingAETitle: 'ROUTER' }] });

    assert.equal(result.told, 'newAssociation');
    assert.deepEqual(told.map(({ to, report }) => [to.host, to.callingAETitle, report.committed.length, report.failed.map(({ failureReason }) => failureReason)]), [['10.0.0.1', 'PACS', 2, [0x0112]]]);
  });

  it('asks for a person when nobody knows where the requestor is, or it refuses for good; else for another attempt', async () => {
    const results = await Promise.all([{ destinations: [] }, { answer: 0x0211 }, { answer: 0x0110 }, { answer: new DestinationUnavailable('CT1 is away', {}) }].map(aReport));

    assert.deepEqual(results.map(({ result: { told, needsPerson } }) => [told, needsPerson ?? false]), [[undefined, true], [undefined, true], [undefined, false], [undefined, false]]);
    assert.match(results[0]!.result.problem!, /^CT1 asked for storage commitment, .* Add it to the tenant's destinations\.$/);
    assert.match(results[3]!.result.problem!, /CT1 is away/);
  });
});

describe('recordCommitment', () => {
  it('writes one event a study, and one for what is in none', async () => {
    const { tenantId, commitments, request, name, audit, pack } = await aWorld();
    const references = request.references.map((reference, at) => (at === 0 ? { ...reference, status: 0x0112 } : { ...reference, status: 0, studyInstanceUID: pack.studyInstanceUID }));
    await commitments.put({ ...request, references }, undefined);
    const record = createRecordCommitment({ commitments, audit });
    const input = { ...name, flowId: 'f', eventId: 'e', at: '2025-01-01T00:00:00.000Z', told: 'newAssociation' } as const;

    await run(record, input);
    await run(record, input);

    const { events } = await audit.history(tenantId, pack.studyInstanceUID, { limit: 10, offset: 0 });
    assert.deepEqual(events.map(({ action, actor, counts }) => ({ action, actor, counts })), [{ action: 'commitment.reported', actor: 'CT1@gw1', counts: { committed: 2, failed: 0 } }]);
  });
});
