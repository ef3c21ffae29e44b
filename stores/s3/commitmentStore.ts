import type { Commitment } from '../../domain/commitment.ts';
import { commitmentKey } from '../../domain/keys.ts';
import { inContext } from '../errors.ts';
import { VersionConflict, type CommitmentStore } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { readObject, writeObject } from './s3Objects.ts';

/** Transactions of storage commitment, one JSON object each, replaced over the version that was read (If-Match). */
export function createCommitmentStore(bucket: Bucket): CommitmentStore {
  return {
    get({ tenantId, gatewayId, transactionUID }) {
      const at = { tenantId, key: commitmentKey(tenantId, gatewayId, transactionUID) };
      return inContext('Reading a storage commitment', at, async () => {
        const object = await readObject(bucket, at.key);
        return object && { value: JSON.parse(object.body.toString('utf8')) as Commitment, etag: object.etag };
      });
    },
    async put(commitment, etag) {
      const { tenantId, gatewayId, transactionUID } = commitment;
      const at = { tenantId, key: commitmentKey(tenantId, gatewayId, transactionUID) };
      const written = await inContext('Writing a storage commitment', at, () =>
        writeObject(bucket, at.key, Buffer.from(JSON.stringify(commitment)), etag === undefined ? 'new' : { etag }, { contentType: 'application/json' }));
      if (written === undefined) throw new VersionConflict(`Transaction ${transactionUID} of gateway ${gatewayId} (tenant ${tenantId}) was changed since it was read`);
      return written;
    },
  };
}
