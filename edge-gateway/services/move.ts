import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { classesOf, queryRetrieveClass, type QueryRetrieveLevel } from '../../dicom/queryRetrieve.ts';
import { status } from '../../dicom/status.ts';
import type { RetrieveOutcome, RetrieveProgress, RetrieveSelection } from '../../workflows/contracts.ts';
import { CloudAway, type CloudArchive } from '../cloudArchive.ts';
import { commandFields } from '../dimse/command.ts';
import type { Logger } from '../logger.ts';
import type { Retrieval, RetrievalClient } from '../retrievalClient.ts';
import { readIdentifier } from './identifier.ts';
import { queryFailure } from './queryFailure.ts';
import { readRetrieval, type Query } from './queryKeys.ts';
import { AssociationOver, DataSetInterrupted, type AssociationInfo, type AssociationLink, type DimseRequest, type DimseResponse, type Operation, type SuboperationCounts } from './service.ts';
import type { DimseService } from './session.ts';
import { cancelledResponse, finalResponse } from './suboperations.ts';

export interface MoveDeps {
  readonly archive: CloudArchive;
  readonly retrievals: Pick<RetrievalClient, 'start'>;
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly log: Logger;
  /** Between two looks at the flow, each followed by a pending response. The first come sooner: most retrievals are short. */
  readonly pollMs?: number;
  /** For how long the cloud may be away before the requestor is told so. */
  readonly patienceMs?: number;
}

/** One retrieval names at most so many studies, series or instances: it is one flow's input. */
export const maxSelected = 1_000;

/** C-MOVE as SCP (PS3.4 C.4.2): a flow in the cloud sends, this service tells how far it is. */
export const openMove = (deps: MoveDeps) => (info: AssociationInfo, link: AssociationLink): DimseService => ({
  operations: [commandFields.cMoveRequest],
  abstractSyntaxUIDs: classesOf('move').map(({ uid }) => uid),
  handle: async (request, operation) => {
    try {
      return await move(deps, info, link, request, operation);
    } catch (error) {
      if (error instanceof DataSetInterrupted || error instanceof AssociationOver) throw error;
      if (operation.isCancelled) return { status: status.cancelled };
      return queryFailure(error, deps.log, info);
    }
  },
});

async function move(deps: MoveDeps, info: AssociationInfo, link: AssociationLink, { abstractSyntaxUID, transferSyntaxUID, command, dataSet }: DimseRequest, operation: Operation): Promise<DimseResponse> {
  if (!dataSet) return { status: status.mistypedArgument, errorComment: 'C-MOVE-RQ without an identifier' };
  const relational = link.extensions.get(abstractSyntaxUID)?.[0] === 1;
  const query = readRetrieval(await readIdentifier(dataSet, transferSyntaxUID), queryRetrieveClass(abstractSyntaxUID)!, relational);
  const destinationAETitle = command.moveDestination?.trim() ?? '';
  if (destinationAETitle === '') return { status: status.moveDestinationUnknown, errorComment: 'C-MOVE-RQ without a Move Destination' };
  const { selections, instanceCount } = await select(deps.archive, query, operation.signal);
  if (sizeOf(selections) > maxSelected) return { status: status.unableToPerformSuboperations, errorComment: `More than ${maxSelected} studies, series or instances at once` };
  const { tenantId, gatewayId } = deps;
  const originator = { aeTitle: info.callingAETitle, messageID: command.messageID ?? 0 };
  const retrieval = await deps.retrievals.start({ tenantId, gatewayId, destinationAETitle, originator, selections }, randomUUID())
    .catch((cause: unknown) => { throw new CloudAway('The retrieval could not be started', { cause }); });
  return answer(await follow(deps, retrieval, instanceCount, operation), instanceCount, transferSyntaxUID);
}

/** Finds what the keys name; Patient IDs stay here, the flow gets UIDs alone. */
async function select(archive: CloudArchive, { level, keys }: Query, signal: AbortSignal): Promise<{ readonly selections: readonly RetrieveSelection[]; readonly instanceCount: number }> {
  const { matches } = await archive.query({ level: 'IMAGE', keys }, signal);
  const studies = new Map<string, Set<string>>();
  let instanceCount = 0;
  for await (const match of matches) {
    const uid = (tag: string): string => String(match[tag]?.Value?.[0] ?? '');
    const parts = studies.get(uid('0020000D')) ?? new Set();
    studies.set(uid('0020000D'), parts);
    if (level === 'SERIES') parts.add(uid('0020000E'));
    if (level === 'IMAGE') parts.add(uid('00080018'));
    instanceCount++;
  }
  return { instanceCount, selections: [...studies].map(([studyInstanceUID, parts]) => ({ studyInstanceUID, ...partsOf(level, [...parts]) })) };
}

const partsOf = (level: QueryRetrieveLevel, uids: readonly string[]): Omit<RetrieveSelection, 'studyInstanceUID'> =>
  (level === 'SERIES' ? { seriesInstanceUIDs: uids } : level === 'IMAGE' ? { sopInstanceUIDs: uids } : {});

const sizeOf = (selections: readonly RetrieveSelection[]): number =>
  selections.reduce((count, { seriesInstanceUIDs, sopInstanceUIDs }) => count + (seriesInstanceUIDs ?? sopInstanceUIDs ?? ['']).length, 0);

const firstLookMs = 50;

/** Looks until the flow is over. When the association ends the flow goes on without it. */
async function follow({ log, pollMs = 1_000, patienceMs = 60_000 }: MoveDeps, retrieval: Retrieval, instanceCount: number, operation: Operation): Promise<RetrieveOutcome> {
  let progress: RetrieveProgress = { completedCount: 0, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] };
  let cancelTold = false;
  for (let heardAt = Date.now(), waitMs = Math.min(firstLookMs, pollMs); ; waitMs = Math.min(2 * waitMs, pollMs)) {
    await sleep(waitMs, undefined, { signal: cancelTold ? undefined : operation.signal }).catch(() => undefined);
    if (operation.signal.aborted && !operation.isCancelled) throw new AssociationOver('The association ended; the retrieval goes on');
    try {
      if (operation.isCancelled && !cancelTold) {
        await retrieval.cancel();
        cancelTold = true;
      }
      progress = await retrieval.look();
      heardAt = Date.now();
      if ('end' in progress) return progress as RetrieveOutcome;
    } catch (error) {
      if (Date.now() - heardAt > patienceMs) throw new CloudAway('The cloud does not say how far the retrieval is', { cause: error });
      log.warn({ err: error }, 'The cloud does not say how far a retrieval is; it is asked again');
      if (operation.isCancelled) await sleep(pollMs);
    }
    if (!operation.isCancelled) await operation.respond({ status: status.pending, suboperations: countsOf(progress, instanceCount) });
  }
}

function countsOf({ completedCount: completed, failedCount: failed, warningCount: warning }: RetrieveProgress, instanceCount: number): SuboperationCounts & { readonly remaining: number } {
  return { completed, failed, warning, remaining: Math.max(0, instanceCount - completed - failed - warning) };
}

/** What was found and neither sent nor refused counts as failed: never 0000 with something missing. */
function answer(outcome: RetrieveOutcome, instanceCount: number, transferSyntaxUID: string): DimseResponse {
  if (outcome.end === 'unknownDestination') return { status: status.moveDestinationUnknown };
  const { remaining, ...counts } = countsOf(outcome, instanceCount);
  const failedUIDs = outcome.failedSOPInstanceUIDs;
  if (outcome.end === 'cancelled') return cancelledResponse({ ...counts, remaining, failedUIDs }, transferSyntaxUID);
  return finalResponse({ ...counts, failed: counts.failed + remaining, failedUIDs }, transferSyntaxUID);
}
