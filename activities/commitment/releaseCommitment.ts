import type { CommitmentName } from '../../domain/commitment.ts';
import type { CommitmentDesk } from '../../stores/ports.ts';

/** Lets the gateway's disk forget a request: its requestor was told, or a person gave that up. Idempotent. */
export const createReleaseCommitment = ({ desk }: { readonly desk: Pick<CommitmentDesk, 'remove'> }) =>
  async function releaseCommitment({ transactionUID }: CommitmentName): Promise<void> {
    await desk.remove(transactionUID);
  };
