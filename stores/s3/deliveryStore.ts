import type { DeliveryLedger } from '../../domain/delivery.ts';
import { deliveryKey, deliveryPrefix, studyOfDeliveryKey } from '../../domain/keys.ts';
import { inContext } from '../errors.ts';
import { VersionConflict, type DeliveryStore } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { listKeyPage, readObject, writeObject } from './s3Objects.ts';

export const emptyLedger = (tenantId: string, destinationId: string, studyInstanceUID: string): DeliveryLedger =>
  ({ tenantId, destinationId, studyInstanceUID, updatedAt: '', instances: [] });

/**
 * Delivery ledgers, one JSON object per study and destination, replaced over the version that was read (If-Match). A write
 * whose answer was lost and that is repeated meets itself and is a VersionConflict: reading again shows the entries there.
 */
export function createDeliveryStore(bucket: Bucket): DeliveryStore {
  return {
    get(tenantId, destinationId, studyInstanceUID) {
      const at = { tenantId, key: deliveryKey(tenantId, destinationId, studyInstanceUID) };
      return inContext('Reading a delivery ledger', at, async () => {
        const object = await readObject(bucket, at.key);
        if (!object) return { value: emptyLedger(tenantId, destinationId, studyInstanceUID), etag: undefined };
        return { value: JSON.parse(object.body.toString('utf8')) as DeliveryLedger, etag: object.etag };
      });
    },
    list(tenantId, destinationId, page, signal) {
      const prefix = deliveryPrefix(tenantId, destinationId);
      return inContext('Listing delivery ledgers', { tenantId, key: prefix }, async () => {
        const { keys, next } = await listKeyPage(bucket, prefix, page, signal);
        return { studyInstanceUIDs: keys.flatMap((key) => studyOfDeliveryKey(prefix, key) ?? []), next };
      }, signal);
    },
    async put(ledger, etag) {
      const { tenantId, destinationId, studyInstanceUID } = ledger;
      const at = { tenantId, key: deliveryKey(tenantId, destinationId, studyInstanceUID) };
      const written = await inContext('Writing a delivery ledger', at, () =>
        writeObject(bucket, at.key, Buffer.from(JSON.stringify(ledger)), etag === undefined ? 'new' : { etag }, { contentType: 'application/json' }));
      if (written === undefined) throw new VersionConflict(`The ledger of study ${studyInstanceUID} at ${destinationId} (tenant ${tenantId}) was changed since it was read`);
      return written;
    },
  };
}
