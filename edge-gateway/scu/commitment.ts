import {
  commitmentReportInformation, commitmentRequestInformation, eventOf, requestCommitment as requestAction, storageCommitmentClassUID, storageCommitmentInstanceUID, type CommitmentReport,
  type CommitmentRequest,
} from '../../dicom/storageCommitment.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { commandFields } from '../dimse/command.ts';
import { encodeIdentifier } from '../services/identifier.ts';
import { openAssociation, type AssociationProposal, type ContextProposal, type ScuOptions } from './association.ts';
import { describePeer, type Peer } from './errors.ts';

/** The peer does not take the Storage Commitment Push Model SOP Class in the role that is asked of it. */
export class CommitmentNotAccepted extends Error {
  override readonly name = 'CommitmentNotAccepted';
}

const contexts: readonly ContextProposal[] = [{ abstractSyntaxUID: storageCommitmentClassUID, transferSyntaxUIDs: [implicitVRLittleEndian, explicitVRLittleEndian] }];

/**
 * Storage commitment report of an SCP that opens the association itself: it takes the SCP role, and the SCU role no more (PS3.4 J.3.3.1.3, PS3.7
 * D.3.3.4). A peer that accepts the context and says nothing of roles is told all the same: not to be told at all helps nobody.
 *
 * @returns the status that the peer answered
 * @throws as `openAssociation`; `CommitmentNotAccepted`
 */
export async function reportCommitment(peer: Peer, report: CommitmentReport, options: ScuOptions = {}): Promise<number> {
  const association = await openAssociation({ ...peer, ...options, contexts, roleSelections: [{ sopClassUID: storageCommitmentClassUID, scuRole: 0, scpRole: 1 }] });
  try {
    const [context] = association.contexts;
    if (!context) throw new CommitmentNotAccepted(`${describePeer(peer)} does not accept the Storage Commitment Push Model SOP Class`);
    if (association.roleOf(storageCommitmentClassUID)?.scpRole === 0) throw new CommitmentNotAccepted(`${describePeer(peer)} does not accept us as SCP of storage commitment (PS3.7 D.3.3.4)`);
    const { status = 0 } = await association.request({
      name: 'N-EVENT-REPORT-RQ', context, dataSet: [encodeIdentifier(commitmentReportInformation(report), context.transferSyntaxUID, [])],
      command: { commandField: commandFields.nEventReportRequest, affectedSOPClassUID: storageCommitmentClassUID, affectedSOPInstanceUID: storageCommitmentInstanceUID, eventTypeID: eventOf(report) },
    });
    return status;
  } finally {
    await association.release().catch(() => association.abort());
  }
}

export interface CommitmentOptions extends ScuOptions {
  /** Answers a report that comes on this association. */
  readonly onRequest: NonNullable<AssociationProposal['onRequest']>;
  /** Gets the status of N-ACTION-RSP. */
  readonly onAnswer: (status: number) => Promise<void>;
  /** Resolves when a report is waited for here no longer: it came elsewhere, or later than it should. The signal ends the waiting. */
  readonly grace: (signal: AbortSignal) => Promise<void>;
}

/**
 * Asks for storage commitment (PS3.4 J.3.2), and keeps the association open for a while, as long as the peer does, for the report.
 *
 * @throws as `openAssociation`; `CommitmentNotAccepted`; what `onAnswer` throws
 */
export async function requestCommitment(peer: Peer, request: CommitmentRequest, { onRequest, onAnswer, grace, ...options }: CommitmentOptions): Promise<void> {
  const reported = Promise.withResolvers<void>();
  const association = await openAssociation({ ...peer, ...options, contexts, onRequest: async (event) => {
    const response = await onRequest(event);
    reported.resolve();
    return response;
  } });
  const graceIsOver = new AbortController();
  try {
    const [context] = association.contexts;
    if (!context) throw new CommitmentNotAccepted(`${describePeer(peer)} does not accept the Storage Commitment Push Model SOP Class`);
    const { status = 0 } = await association.request({
      name: 'N-ACTION-RQ', context, dataSet: [encodeIdentifier(commitmentRequestInformation(request), context.transferSyntaxUID, [])],
      command: { commandField: commandFields.nActionRequest, requestedSOPClassUID: storageCommitmentClassUID, requestedSOPInstanceUID: storageCommitmentInstanceUID, actionTypeID: requestAction },
    });
    await onAnswer(status);
    await Promise.race([reported.promise, association.over, grace(graceIsOver.signal)]);
  } finally {
    graceIsOver.abort();
    await association.release().catch(() => association.abort());
  }
}
