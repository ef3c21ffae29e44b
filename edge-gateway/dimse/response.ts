import type { CommandSet, DimseResponse, SuboperationCounts } from '../services/service.ts';
import { noDataSet, responseBit, withDataSet } from './command.ts';

const maxErrorCommentLength = 64;

/**
 * The command set of a response. What identifies the request is copied from it (PS3.7 9.3, 10.3); a response names the
 * affected instance even where the request names the requested one.
 */
export function responseCommand(request: CommandSet, response: DimseResponse): CommandSet {
  const sopClassUID = request.affectedSOPClassUID ?? request.requestedSOPClassUID;
  const sopInstanceUID = request.affectedSOPInstanceUID ?? request.requestedSOPInstanceUID;
  return {
    ...(sopClassUID !== undefined && { affectedSOPClassUID: sopClassUID }),
    commandField: request.commandField | responseBit,
    ...(request.messageID !== undefined && { messageIDBeingRespondedTo: request.messageID }),
    commandDataSetType: response.dataSet === undefined ? noDataSet : withDataSet,
    status: response.status,
    ...(response.offendingElements && { offendingElement: response.offendingElements }),
    ...(response.errorComment !== undefined && { errorComment: response.errorComment.slice(0, maxErrorCommentLength) }),
    ...(sopInstanceUID !== undefined && { affectedSOPInstanceUID: sopInstanceUID }),
    ...(response.suboperations && counters(response.suboperations)),
  };
}

/** The counters are 16 bits wide; a study may have more instances. */
const maxCount = 0xffff;

const counters = ({ remaining, completed, failed, warning }: SuboperationCounts): Partial<CommandSet> => ({
  ...(remaining !== undefined && { numberOfRemainingSuboperations: Math.min(remaining, maxCount) }),
  numberOfCompletedSuboperations: Math.min(completed, maxCount),
  numberOfFailedSuboperations: Math.min(failed, maxCount),
  numberOfWarningSuboperations: Math.min(warning, maxCount),
});
