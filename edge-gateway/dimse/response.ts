import type { CommandSet, DimseResponse } from '../services/service.ts';
import { noDataSet, responseBit } from './command.ts';

const maxErrorCommentLength = 64;

/**
 * The command set of a response without a data set. What identifies the request is copied from it (PS3.7 9.3, 10.3);
 * a response names the affected instance even where the request names the requested one.
 */
export function responseCommand(request: CommandSet, response: DimseResponse): CommandSet {
  const sopClassUID = request.affectedSOPClassUID ?? request.requestedSOPClassUID;
  const sopInstanceUID = request.affectedSOPInstanceUID ?? request.requestedSOPInstanceUID;
  return {
    ...(sopClassUID !== undefined && { affectedSOPClassUID: sopClassUID }),
    commandField: request.commandField | responseBit,
    ...(request.messageID !== undefined && { messageIDBeingRespondedTo: request.messageID }),
    commandDataSetType: noDataSet,
    status: response.status,
    ...(response.offendingElements && { offendingElement: response.offendingElements }),
    ...(response.errorComment !== undefined && { errorComment: response.errorComment.slice(0, maxErrorCommentLength) }),
    ...(sopInstanceUID !== undefined && { affectedSOPInstanceUID: sopInstanceUID }),
  };
}
