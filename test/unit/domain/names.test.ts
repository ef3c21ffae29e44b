import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { auditOfPark, type ParkEvent } from '../../../domain/audit.ts';
import { retryDelayMs } from '../../../domain/delivery.ts';
import { isPermanentFailure, permanentFailures } from '../../../domain/failures.ts';
import { indexedAttributes, isEmpty, numberOf, pickIndexed, textOf } from '../../../domain/indexedAttributes.ts';
import { ingestEvents } from '../../../domain/ingestEvents.ts';
import { auditKey, choiceKey, circuitKey, commitmentKey, deliveryKey, packKey, parseChoiceKey, parsePackKey, parseWarrantKey, tenantPrefix, warrantKey } from '../../../domain/keys.ts';
import { choiceWorkflowId, commitmentWorkflowId, destinationWorkflowId, edgeTaskQueue, ingestWorkflowId, parseWorkflowId, reindexWorkflowId, replayWorkflowId, retrieveWorkflowId, routeWorkflowId, studyWorkflowId, sweepWorkflowId } from '../../../workflows/ids.ts';
import { aPackIndex, dataSet } from '../../support/aStudy.ts';

/** Repeatable pseudo-random values. */
function generator(seed: number) {
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
  const text = (alphabet: string, length: number): string => Array.from({ length }, () => alphabet[random(alphabet.length)]).join('');
  return {
    tenantId: () => `${text('abc09', 1)}${text('abc-09', random(30))}z`,
    uid: () => `${1 + random(2)}.${text('0123456789.', 1 + random(60)).replace(/^\.|\.$|\.+/g, '7')}`,
    packId: () => text('0123456789abcdef', 64),
    key: () => text('aZ09/%?#& "\\.~+=:|é漢', 1 + random(40)),
  };
}

describe('keys and workflow IDs', () => {
  it('are read back as they were made', () => {
    const make = generator(7);
    for (let round = 0; round < 500; round++) {
      const pack = { tenantId: make.tenantId(), studyInstanceUID: make.uid(), seriesInstanceUID: make.uid(), packId: make.packId() };
      for (const part of ['tar', 'headers', 'index'] as const) assert.deepEqual(parsePackKey(packKey(pack, part)), { ...pack, part });
      const warrant = { id: randomUUID(), windowMs: 1000 * (1 + round) };
      assert.deepEqual(parseWarrantKey(warrantKey(pack, warrant)), { pack, warrant });
      assert.equal(parsePackKey(warrantKey(pack, warrant)), undefined);
      const { tenantId, studyInstanceUID } = pack;
      assert.deepEqual(parseWorkflowId(ingestWorkflowId(tenantId, 'gw1', 'a-1')), { kind: 'ingest', tenantId, gatewayId: 'gw1', associationId: 'a-1' });
      assert.deepEqual(parseWorkflowId(studyWorkflowId(tenantId, studyInstanceUID)), { kind: 'study', tenantId, studyInstanceUID });
      assert.deepEqual(parseWorkflowId(replayWorkflowId(tenantId, 'ws1', 'a/b 1')), { kind: 'replay', tenantId, destinationId: 'ws1', jobId: 'a/b 1' });
      assert.deepEqual(parseWorkflowId(destinationWorkflowId(tenantId, 'ws_1.a')), { kind: 'destination', tenantId, destinationId: 'ws_1.a' });
      assert.deepEqual(parseChoiceKey(choiceKey(tenantId, studyInstanceUID, round)), { tenantId, studyInstanceUID, number: round });
      assert.equal(parsePackKey(choiceKey(tenantId, studyInstanceUID, round)), undefined);
      assert.deepEqual(parseWorkflowId(choiceWorkflowId(tenantId, studyInstanceUID, 'r1')), { kind: 'choice', tenantId, studyInstanceUID, requestId: 'r1' });
      assert.deepEqual(parseWorkflowId(commitmentWorkflowId(tenantId, 'gw1', studyInstanceUID)), { kind: 'commitment', tenantId, gatewayId: 'gw1', transactionUID: studyInstanceUID });
      assert.deepEqual(parseWorkflowId(retrieveWorkflowId(tenantId, 'r1')), { kind: 'retrieve', tenantId, requestId: 'r1' });
      assert.deepEqual(parseWorkflowId(sweepWorkflowId(tenantId, 'j1')), { kind: 'sweep', tenantId, jobId: 'j1' });
      assert.deepEqual(parseWorkflowId(reindexWorkflowId(tenantId, 'j1')), { kind: 'reindex', tenantId, jobId: 'j1' });
      const [ruleOrRequest, revision] = [make.key(), make.key()];
      assert.deepEqual(parseWorkflowId(routeWorkflowId(tenantId, studyInstanceUID, ruleOrRequest, revision)), { kind: 'route', tenantId, studyInstanceUID, ruleOrRequest, revision });
    }
  });

  it('are nobody else\'s', () => {
    for (const text of ['', 'demo', 'demo/study', 'demo/study/', 'demo/study/1.2/3', 'demo/ingest/gw1', 'demo/route/1.2/rule', 'demo/other/1.2', '/study/1.2', 'demo/route/1.2/%E0%A4%A/1']) {
      assert.equal(parseWorkflowId(text), undefined, text);
    }
    for (const key of ['', 'tenants/demo/studies/1.2/1.3/abc.tar', `tenants/demo/studies/1.2/1.3/${'a'.repeat(64)}.zip`, `tenants/../studies/1.2/1.3/${'a'.repeat(64)}.tar`]) {
      assert.equal(parsePackKey(key), undefined, key);
    }
    assert.equal(edgeTaskQueue('demo', 'gw1'), 'edge/demo/gw1');
  });

  it('of every kind of object begin with the tenant', () => {
    const pack = aPackIndex({ tenantId: 'demo' });
    const keys = [packKey(pack, 'tar'), auditKey('demo', { at: '2024-05-01T10:00:00.000Z', eventId: 'e' }), deliveryKey('demo', 'web', '1.2'), circuitKey('demo', 'web'), commitmentKey('demo', 'gw1', '1.2')];

    assert.deepEqual(keys.filter((key) => !key.startsWith(tenantPrefix('demo'))), []);
  });
});

describe('audit events', () => {
  it('of parking have an ID of their own, though several happen at the same moment', () => {
    const event: ParkEvent = { kind: 'retry', by: 'Ada', why: 'mended', at: '2024-05-01T10:00:00.000Z', eventId: 'run-2-retry' };

    assert.deepEqual(auditOfPark({ tenantId: 'demo', flowId: 'demo/study/1.2', studyInstanceUID: '1.2' }, event),
      { tenantId: 'demo', flowId: 'demo/study/1.2', studyInstanceUID: '1.2', at: event.at, eventId: 'run-2-retry', actor: 'Ada', action: 'flow.retried', detail: 'mended' });
  });

  it('of a pack\'s ingest have IDs that fit a key and name no patient', () => {
    const pack = aPackIndex({ attributes: { PatientName: 'Secret^Person' }, instances: Array.from({ length: 120 }, () => ({})) });
    const instances = pack.instances.map((instance, at) => ({ ...instance, ...(at % 2 ? { verdict: 'quarantined' as const, reason: 'bad' } : {}) }));

    const events = ingestEvents({ ...pack, instances }, '2024-05-01T11:00:00.000Z');

    assert.equal(events.length, 2 + 50);
    assert.deepEqual(events[1]!.counts, { acceptedCount: 60, quarantinedCount: 60, duplicateCount: 0, conflictCount: 0 });
    for (const { eventId } of events) assert.match(eventId, /^[A-Za-z0-9._-]{1,230}$/);
    assert.ok(!JSON.stringify(events).includes('Secret'));
    assert.equal(new Set(events.map(({ eventId }) => eventId)).size, events.length);
  });
});

describe('small rules', () => {
  it('doubles the pause between attempts, up to an hour, for any attempt', () => {
    assert.deepEqual([1, 2, 3, 8, 31, 10_000].map((attempt) => retryDelayMs(30_000, attempt)), [30_000, 60_000, 120_000, 3_600_000, 3_600_000, 3_600_000]);
  });

  it('knows its own permanent failures alone', () => {
    assert.deepEqual([isPermanentFailure('SpoolMissing'), isPermanentFailure('toString'), isPermanentFailure('Timeout')], [true, false, false]);
    for (const sentence of Object.values(permanentFailures)) assert.match(sentence, /\.$/);
  });

  it('indexes each attribute once, and of a header these alone', () => {
    assert.equal(new Set(indexedAttributes.map(({ tag }) => tag)).size, indexedAttributes.length);
    assert.deepEqual(Object.keys(pickIndexed({ ...dataSet({ Modality: 'CT' }), '00091010': { vr: 'LO', Value: ['x'] } })), ['00080060']);
  });

  it('tells empty values and numbers from others', () => {
    assert.deepEqual([undefined, { vr: 'LO' }, { vr: 'LO', Value: [] }, { vr: 'LO', Value: [''] }, { vr: 'PN', Value: [{}] }, { vr: 'LO', Value: [null] }, { vr: 'IS', Value: [0] }].map(isEmpty),
      [true, true, true, true, true, true, false]);
    assert.deepEqual(['12', ' 7 ', '', 'x', 3].map((value) => numberOf({ '00280010': { vr: 'US', Value: [value] } }, '00280010')), [12, 7, undefined, undefined, 3]);
    assert.equal(textOf({}, '00280010'), undefined);
  });
});
