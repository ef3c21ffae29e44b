import type { AuditEvent } from '../../domain/audit.ts';
import { type Commitment, type CommitmentName } from '../../domain/commitment.ts';
import type { AuditLog, CommitmentStore } from '../../stores/ports.ts';
import type { CommitStorageOutcome } from '../../workflows/contracts.ts';

export interface RecordCommitmentInput extends CommitmentName {
  readonly flowId: string;
  readonly eventId: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly told: CommitStorageOutcome['told'];
}

/**
 * Writes into the history of each study what its requestor was told of it; what was found in no study becomes one event without a study.
 * Idempotent: event IDs follow from the flow.
 */
export const createRecordCommitment = ({ commitments, audit }: { readonly commitments: CommitmentStore; readonly audit: Pick<AuditLog, 'record'> }) =>
  async function recordCommitment(input: RecordCommitmentInput): Promise<void> {
    const commitment = (await commitments.get(input))?.value;
    if (commitment) await audit.record(eventsOf(commitment, input));
  };

function eventsOf({ references, callingAETitle, receivedAt, transactionUID }: Commitment, { tenantId, gatewayId, flowId, eventId, at, told }: RecordCommitmentInput): readonly AuditEvent[] {
  const studies = Map.groupBy(references, ({ studyInstanceUID }) => studyInstanceUID);
  return [...studies].map(([studyInstanceUID, here]) => {
    const committed = here.filter(({ status }) => status === 0).length;
    return { tenantId, gatewayId, flowId, at, eventId: studyInstanceUID === undefined ? eventId : `${eventId}-${studyInstanceUID}`, ...(studyInstanceUID !== undefined && { studyInstanceUID }),
      actor: `${callingAETitle}@${gatewayId}`, action: told === 'never' ? 'commitment.unreported' : 'commitment.reported', counts: { committed, failed: here.length - committed },
      detail: `Storage commitment asked at ${receivedAt}, Transaction UID ${transactionUID}.` };
  });
}
