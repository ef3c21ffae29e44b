import { status } from '../../dicom/status.ts';
import { CloudAway, CloudRefusal } from '../cloudArchive.ts';
import type { Logger } from '../logger.ts';
import { UnreadableIdentifier } from './identifier.ts';
import { BadIdentifier } from './queryKeys.ts';
import type { AssociationInfo, DimseResponse } from './service.ts';

/**
 * What the requestor is told when a query or retrieval cannot be done (PS3.4 Tables C.4-1 to C.4-3): A900 for an identifier that
 * is none, A700 while the cloud is away, C001 when the cloud does not take the gateway's word.
 */
export function queryFailure(error: unknown, log: Logger, { associationId, callingAETitle }: AssociationInfo): DimseResponse {
  const response = responseTo(error);
  const fields = { associationId, callingAETitle, status: response.status };
  if (error instanceof BadIdentifier || error instanceof UnreadableIdentifier) log.warn(fields, `Query refused: ${error.message}`);
  else log.error({ ...fields, err: error }, 'Query failed');
  return response;
}

function responseTo(error: unknown): DimseResponse {
  if (error instanceof BadIdentifier) return { status: status.dataSetMismatch, errorComment: error.message, offendingElements: [Number.parseInt(error.tag, 16)] };
  if (error instanceof UnreadableIdentifier) return { status: status.dataSetMismatch, errorComment: error.message };
  if (error instanceof CloudRefusal && error.isAboutTheRequest) return { status: status.dataSetMismatch, errorComment: 'A key has a value that cannot be matched' };
  if (error instanceof CloudRefusal) return { status: status.unableToProcess, errorComment: 'The archive does not let this gateway ask' };
  if (error instanceof CloudAway) return { status: status.outOfResources, errorComment: 'The archive cannot be reached' };
  return { status: status.unableToProcess, errorComment: 'The request could not be processed' };
}
