import type { CommitmentName } from '../../domain/commitment.ts';
import type { CommitmentDesk, CommitmentStore } from '../../stores/ports.ts';
import { permanent } from '../failure.ts';

export interface TakeCommitmentDeps {
  readonly desk: Pick<CommitmentDesk, 'read'>;
  readonly commitments: CommitmentStore;
}

/**
 * Puts a request from the gateway's disk into the archive. Idempotent: a request that lies there keeps what was judged of it; one of an earlier
 * use of its Transaction UID makes way.
 *
 * @throws `CommitmentMissing` when neither has it
 */
export const createTakeCommitment = ({ desk, commitments }: TakeCommitmentDeps) =>
  async function takeCommitment(name: CommitmentName): Promise<void> {
    const request = await desk.read(name.transactionUID);
    const stored = await commitments.get(name);
    if (!request && !stored) throw permanent('CommitmentMissing', `Transaction ${name.transactionUID} of gateway ${name.gatewayId} (tenant ${name.tenantId})`);
    if (request && request.requestId !== stored?.value.requestId) await commitments.put(request, stored?.etag);
  };
