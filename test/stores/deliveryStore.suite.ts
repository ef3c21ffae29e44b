import assert from 'node:assert/strict';
import type { DeliveryLedger } from '../../domain/delivery.ts';
import { VersionConflict, type DeliveryStore } from '../../stores/ports.ts';
import { aTenant, aUID } from '../support/aStudy.ts';

const aLedger = (): DeliveryLedger => ({
  tenantId: aTenant(), destinationId: 'ws1', studyInstanceUID: aUID(), updatedAt: '2024-05-01T10:00:00.000Z',
  instances: [{ sopInstanceUID: '1.2', sha256: 'ab', state: 'waiting', attempts: 1, lastProblem: 'busy' }],
});

/** What every DeliveryStore does. */
export function deliveryStoreSuite(name: string, make: (context: Mocha.Context) => Promise<DeliveryStore>): void {
  describe(`DeliveryStore: ${name}`, () => {
    let deliveries: DeliveryStore;
    before(async function start() { deliveries = await make(this); });

    it('has an empty ledger where nothing was ever sent', async () => {
      const { tenantId, destinationId, studyInstanceUID } = aLedger();

      const { value, etag } = await deliveries.get(tenantId, destinationId, studyInstanceUID);

      assert.deepEqual({ ...value, etag }, { tenantId, destinationId, studyInstanceUID, updatedAt: '', instances: [], etag: undefined });
    });

    it('replaces a ledger only over the version that was read', async () => {
      const ledger = aLedger();

      const first = await deliveries.put(ledger, undefined);
      const second = await deliveries.put({ ...ledger, instances: [] }, first);

      await assert.rejects(deliveries.put(ledger, first), VersionConflict);
      await assert.rejects(deliveries.put(ledger, undefined), VersionConflict);
      assert.deepEqual(await deliveries.get(ledger.tenantId, 'ws1', ledger.studyInstanceUID), { value: { ...ledger, instances: [] }, etag: second });
    });

    it('lists the studies that have a ledger at a destination, page by page', async () => {
      const { tenantId } = aLedger();
      const studies = Array.from({ length: 5 }, aUID).toSorted();
      for (const studyInstanceUID of studies) await deliveries.put({ ...aLedger(), tenantId, studyInstanceUID }, undefined);
      await deliveries.put({ ...aLedger(), tenantId, destinationId: 'ws10' }, undefined);
      const found: string[] = [];

      for (let cursor: string | undefined, more = true; more;) {
        const page = await deliveries.list(tenantId, 'ws1', { cursor, limit: 2 });
        assert.ok(page.studyInstanceUIDs.length <= 2);
        found.push(...page.studyInstanceUIDs);
        cursor = page.next;
        more = cursor !== undefined;
      }

      assert.deepEqual(found.toSorted(), studies);
      assert.deepEqual(await deliveries.list(aLedger().tenantId, 'ws1', { limit: 2 }), { studyInstanceUIDs: [], next: undefined });
    });

    it('lets one of several writers at once win', async () => {
      const ledger = aLedger();
      const etag = await deliveries.put(ledger, undefined);

      const results = await Promise.allSettled(Array.from({ length: 8 }, (_, number) => deliveries.put({ ...ledger, updatedAt: `${number}` }, etag)));

      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.ok(results.every((result) => result.status === 'fulfilled' || result.reason instanceof VersionConflict));
    });
  });
}
