import assert from 'node:assert/strict';
import type { Commitment } from '../../domain/commitment.ts';
import { VersionConflict, type CommitmentStore } from '../../stores/ports.ts';
import { aTenant, aUID } from '../support/aStudy.ts';

const aCommitment = (): Commitment => ({
  tenantId: aTenant(), gatewayId: 'gw1', transactionUID: aUID(), requestId: 'r1', callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: '2024-05-01T10:00:00.000Z',
  references: [{ sopClassUID: '1.2', sopInstanceUID: '1.3', status: 0, studyInstanceUID: '1.4' }, { sopClassUID: '1.2', sopInstanceUID: '1.5' }],
});

/** What every CommitmentStore does. */
export function commitmentStoreSuite(name: string, make: (context: Mocha.Context) => Promise<CommitmentStore>): void {
  describe(`CommitmentStore: ${name}`, () => {
    let commitments: CommitmentStore;
    before(async function start() { commitments = await make(this); });

    it('has nothing where nothing was asked, and tells gateways apart', async () => {
      const commitment = aCommitment();
      await commitments.put(commitment, undefined);

      assert.equal(await commitments.get({ ...commitment, gatewayId: 'gw2' }), undefined);
      assert.deepEqual((await commitments.get(commitment))?.value, commitment);
    });

    it('replaces one only over the version that was read', async () => {
      const commitment = aCommitment();

      const first = await commitments.put(commitment, undefined);
      const second = await commitments.put({ ...commitment, requestId: 'r2' }, first);

      await assert.rejects(commitments.put(commitment, first), VersionConflict);
      await assert.rejects(commitments.put(commitment, undefined), VersionConflict);
      assert.deepEqual(await commitments.get(commitment), { value: { ...commitment, requestId: 'r2' }, etag: second });
    });
  });
}
