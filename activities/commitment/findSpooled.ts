import type { CommitmentName } from '../../domain/commitment.ts';
import type { CommitmentDesk, CommitmentStore } from '../../stores/ports.ts';

/** How many of the references that nothing is known of yet the gateway's own disk still holds: they are on their way. */
export const createFindSpooled = ({ desk, commitments }: { readonly desk: Pick<CommitmentDesk, 'findWaiting'>; readonly commitments: CommitmentStore }) =>
  async function findSpooled(name: CommitmentName): Promise<{ readonly spooledCount: number }> {
    const references = (await commitments.get(name))?.value.references ?? [];
    const open = new Set(references.flatMap(({ status, sopInstanceUID }) => (status === undefined ? [sopInstanceUID] : [])));
    return { spooledCount: open.size === 0 ? 0 : (await desk.findWaiting(open)).size };
  };
