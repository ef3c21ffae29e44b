import { commitmentReportInformation, eventOf, storageCommitmentClassUID, storageCommitmentInstanceUID, type CommitmentReport } from '../../dicom/storageCommitment.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { commandFields } from '../dimse/command.ts';
import { encodeIdentifier } from '../services/identifier.ts';
import { openAssociation, type ContextProposal, type ScuOptions } from './association.ts';
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
