import { status } from '../../dicom/status.ts';
import { CommitmentFault, commitmentEvents, readCommitmentReport, storageCommitmentClassUID, storageCommitmentInstanceUID } from '../../dicom/storageCommitment.ts';
import { UnreadableIdentifier, readIdentifier } from '../services/identifier.ts';
import type { DimseRequest, DimseResponse } from '../services/service.ts';
import type { AskedFolder } from './asked.ts';

const maxReportBytes = 4 * 1024 * 1024;
/** PS3.7 C.5. */
export const faultStatus = { missing: status.missingAttribute, empty: status.missingAttributeValue, invalid: status.invalidAttributeValue } as const;

/** N-EVENT-REPORT of storage commitment as SCU (PS3.4 J.3.3): answered 0000 once the report is on the disk, synced. */
export async function takeReport(asked: Pick<AskedFolder, 'saveReport'>, { command, dataSet, transferSyntaxUID }: DimseRequest): Promise<DimseResponse> {
  if (command.affectedSOPClassUID !== storageCommitmentClassUID) return { status: status.noSuchClass };
  if (command.affectedSOPInstanceUID !== storageCommitmentInstanceUID) return { status: status.noSuchInstance };
  if (command.eventTypeID !== commitmentEvents.successful && command.eventTypeID !== commitmentEvents.failuresExist) return { status: status.noSuchEventType };
  if (!dataSet) return { status: status.mistypedArgument, errorComment: 'N-EVENT-REPORT-RQ without a data set' };
  try {
    const report = readCommitmentReport(await readIdentifier(dataSet, transferSyntaxUID, maxReportBytes));
    return await asked.saveReport(report) ? { status: status.success } : { status: status.invalidArgumentValue, errorComment: 'The Transaction UID is none that was asked here' };
  } catch (error) {
    if (error instanceof CommitmentFault) return { status: faultStatus[error.kind], errorComment: error.message };
    if (error instanceof UnreadableIdentifier) return { status: status.invalidArgumentValue, errorComment: error.message };
    throw error;
  }
}
