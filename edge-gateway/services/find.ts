import { Unwritable } from '../../dicom/part10/dataSetWriter.ts';
import { classesOf, queryRetrieveClass } from '../../dicom/queryRetrieve.ts';
import { status } from '../../dicom/status.ts';
import type { CloudArchive } from '../cloudArchive.ts';
import { commandFields } from '../dimse/command.ts';
import type { Logger } from '../logger.ts';
import { characterSetOf, encodeIdentifier, readIdentifier } from './identifier.ts';
import { answerOf, queryOptions, readQuery } from './queryKeys.ts';
import { queryFailure } from './queryFailure.ts';
import { DataSetInterrupted, type AssociationInfo, type AssociationLink, type DimseRequest, type DimseResponse, type Operation } from './service.ts';
import type { DimseService } from './session.ts';

export interface FindDeps {
  readonly archive: Pick<CloudArchive, 'query'>;
  readonly retrieveAETitle: string;
  /** Matches of one query that are answered; beyond them B001. */
  readonly maxMatches: number;
  readonly log: Logger;
}

/** C-FIND of the Query/Retrieve Service Class as SCP (PS3.4 C.4.1): answered from the cloud's index, match by match. */
export const openFind = (deps: FindDeps) => (info: AssociationInfo, link: AssociationLink): DimseService => ({
  operations: [commandFields.cFindRequest],
  abstractSyntaxUIDs: classesOf('find').map(({ uid }) => uid),
  handle: async (request, operation) => {
    try {
      return await find(deps, link, request, operation);
    } catch (error) {
      if (error instanceof DataSetInterrupted) throw error;
      if (operation.isCancelled) return { status: status.cancelled };
      if (operation.signal.aborted) return { status: status.processingFailure };
      return queryFailure(error, deps.log, info);
    }
  },
});

async function find(deps: FindDeps, link: AssociationLink, request: DimseRequest, operation: Operation): Promise<DimseResponse> {
  const { abstractSyntaxUID, transferSyntaxUID, dataSet } = request;
  if (!dataSet) return { status: status.mistypedArgument, errorComment: 'C-FIND-RQ without an identifier' };
  const identifier = await readIdentifier(dataSet, transferSyntaxUID);
  const agreed = link.extensions.get(abstractSyntaxUID);
  const query = readQuery(identifier, queryRetrieveClass(abstractSyntaxUID)!, agreed?.[0] === 1);
  const terms = characterSetOf(identifier);
  const { unmatched, matches } = await deps.archive.query({ ...query, options: queryOptions(agreed), limit: deps.maxMatches + 1 }, operation.signal);
  const pending = unmatched.length > 0 ? status.pendingWithWarnings : status.pending;
  let count = 0;
  for await (const match of matches) {
    if (count++ === deps.maxMatches) return { status: status.responseLimit, errorComment: `More than ${deps.maxMatches} matches` };
    const answer = answerOf(identifier, match, query.level, deps.retrieveAETitle);
    await operation.respond({ status: pending, dataSet: encodeAnswer(answer, transferSyntaxUID, terms) });
    if (operation.isCancelled) return { status: status.cancelled };
  }
  return { status: operation.isCancelled ? status.cancelled : status.success };
}

/** A value that its sender wrote against its VR is left out: the rest of the match is still an answer. */
function encodeAnswer(answer: Parameters<typeof encodeIdentifier>[0], transferSyntaxUID: string, terms: readonly string[]): Buffer {
  try {
    return encodeIdentifier(answer, transferSyntaxUID, terms);
  } catch (error) {
    if (!(error instanceof Unwritable)) throw error;
    const writable = Object.entries(answer).map(([tag, attribute]) => [tag, isWritable(tag, attribute) ? attribute : { vr: attribute.vr }] as const);
    return encodeIdentifier(Object.fromEntries(writable), transferSyntaxUID, terms);
  }
}

function isWritable(tag: string, attribute: Parameters<typeof encodeIdentifier>[0][string]): boolean {
  try {
    encodeIdentifier({ [tag]: attribute }, '1.2.840.10008.1.2.1', ['ISO_IR 192']);
    return true;
  } catch {
    return false;
  }
}
