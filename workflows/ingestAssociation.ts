import { ActivityFailure, ApplicationFailure, allHandlersFinished, condition, continueAsNew, defineSignal, proxyActivities, setHandler, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { IngestActivities } from '../activities/index.ts';
import { auditOfPark } from '../domain/audit.ts';
import { permanentFailures, type PermanentFailure } from '../domain/failures.ts';
import type { ArchivedPack, GivenUp, PackOutcome, StagedPack } from '../domain/pack.ts';
import type { Priority } from '../domain/tenant.ts';
import { associationEndedSignal, packReadySignal, taskQueues, type AssociationEnded, type IngestAssociationInput, type IngestOutcome, type PackWork, type ParkedPack } from './contracts.ts';
import { openEdge, type CallEdge } from './edge.ts';
import { keys, openFlowBoard } from './flowState.ts';
import { openPackQueue, type PackQueue } from './packQueue.ts';
import { GivenUpWaiting, openParkingLot, parkedFailure, type ParkedFailure } from './park.ts';
import { openUrgency } from './urgency.ts';

/** Packs of one association in work at once; a parked pack is in none. */
const lanes = 4;
const maxHistoryEvents = 3000;
/** Of one pack, one after the other; a person is asked then. */
const maxStagings = 3;
/** After a day of failures a person should know; a gateway that is away is no failure. */
const stageOptions = { startToCloseTimeout: '30 minutes', heartbeatTimeout: '30 seconds', scheduleToCloseTimeout: '24 hours' } as const;
const releaseOptions = { startToCloseTimeout: '1 minute', scheduleToCloseTimeout: '24 hours' } as const;

const retryLonger = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { validatePack, archivePack } = proxyActivities<IngestActivities>({
  taskQueue: taskQueues.ingest, startToCloseTimeout: '10 minutes', heartbeatTimeout: '30 seconds', scheduleToCloseTimeout: '24 hours', retry: retryLonger,
});
const { registerPack, recordAudit } = proxyActivities<IngestActivities>({
  taskQueue: taskQueues.ingest, startToCloseTimeout: '30 seconds', retry: retryLonger,
});

/**
 * Takes every pack of one association from the gateway's disk into the archive and hands it to its study. Ends when the association has
 * ended and each of its packs is registered and released, or given up by a person and set aside. A pack that waits for a person holds up no other.
 * History: 25 to 35 events and 6 KB a pack of up to 500 instances; continues as new between packs.
 */
export async function ingestAssociation(input: IngestAssociationInput): Promise<IngestOutcome> {
  const packs = openPackQueue(input.carried);
  const board = openFlowBoard(() => ({ ...packs.outcome, waiting: packs.openCount }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark(flowOf(input), event)]));
  const atEdge = openEdge({ tenantId: input.tenantId, gatewayId: input.origin.gatewayId }, board, parking);
  const urgency = openUrgency(input.tenantId, input.priority, input.carried?.priority, parking);
  const noteStudy = openStudyNotes();
  const tell = () => board.say(sentenceOf(input, packs));
  const park = (parked: ParkedPack, again?: boolean) => parking.park(parked.work.pack.packId, parked, ({ kind, by, why }) => {
    packs.unpark(parked.work.pack.packId, kind === 'retry' ? undefined : { kind, by, why, at: new Date().toISOString() });
    tell();
  }, again);
  setHandler(defineSignal<[PackWork]>(packReadySignal), (work) => packs.add(work));
  setHandler(defineSignal<[AssociationEnded]>(associationEndedSignal), (end) => packs.end(end));
  for (const parked of input.carried?.parked ?? []) park(parked, true);

  const full = () => workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents;
  const lane = async (): Promise<void> => {
    for (;;) {
      await condition(() => full() || packs.hasWaiting || packs.allTaken);
      const work = full() ? undefined : packs.take();
      if (!work) return;
      noteStudy(work.pack.studyInstanceUID);
      const { givenUp, ...toIngest } = work;
      const result = givenUp ? await giveUpPack(input, toIngest, givenUp, atEdge) : await ingestPack(input, toIngest, atEdge, () => urgency.priority);
      if ('gatewayGivenUp' in result) packs.lose(new Date().toISOString());
      if ('outcome' in result) packs.done(result.outcome);
      else if ('abandoned' in result) packs.abandoned();
      else {
        const parked = { work: toIngest, ...result.failure };
        packs.park(parked);
        park(parked);
      }
      tell();
    }
  };
  while (!packs.finished) {
    tell();
    await Promise.all(Array.from({ length: lanes }, lane));
    await parking.settled();
    if (full() && !packs.finished) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof ingestAssociation>({ ...input, carried: { ...packs.carry(), ...(urgency.chosen ? { priority: urgency.chosen } : {}) } });
    }
  }
  await condition(allHandlersFinished);
  await parking.settled();
  upsertSearchAttributes([{ key: keys.instanceCount, value: packs.ended?.instanceCount ?? 0 }]);
  board.close('DONE', sentenceOf(input, packs));
  return packs.outcome;
}

type PackResult =
  | { readonly outcome: PackOutcome; readonly gatewayGivenUp?: true }
  | { readonly abandoned: true; readonly gatewayGivenUp?: true }
  | { readonly failure: ParkedFailure };

/** Takes one pack into the archive: stage, validate, archive, register, release. What no retry cures is a result. */
async function ingestPack(input: IngestAssociationInput, work: PackWork, atEdge: CallEdge, priority: () => Priority): Promise<PackResult> {
  const what = nameOf(work);
  if (!belongsTo(input, work)) return { failure: { errorType: 'StudyMismatch', sentence: `${what} stopped. ${permanentFailures.StudyMismatch}` } };
  let outcome: PackOutcome | undefined;
  try {
    const archived = await stageAndArchive(input, work, atEdge);
    const { tenantId, studyInstanceUID, seriesInstanceUID, packId } = archived;
    if (archived.committed) await registerPack({ tenantId, studyInstanceUID, seriesInstanceUID, packId, origin: input.origin }, priority());
    ({ outcome } = archived);
    if (work.kind === 'spooled') await atEdge(releaseOptions, (edge) => edge.releasePack(work.pack));
    return { outcome };
  } catch (error) {
    if (error instanceof GivenUpWaiting) return outcome ? { outcome, gatewayGivenUp: true } : { abandoned: true, gatewayGivenUp: true };
    return { failure: parkedFailure(what, error) };
  }
}

/** A gateway stages a pack again that a sweep removed after it had been staged: of those the disk still has the bytes. */
async function stageAndArchive({ origin }: IngestAssociationInput, work: PackWork, atEdge: CallEdge): Promise<ArchivedPack> {
  for (let attempt = 1; ; attempt++) {
    const staged: StagedPack = work.kind === 'staged' ? work.pack : await atEdge(stageOptions, (edge) => edge.stagePack(work.pack));
    try {
      await validatePack(staged);
      return await archivePack(staged, origin);
    } catch (error) {
      if (work.kind === 'staged' || !isUnstaged(error) || attempt >= maxStagings) throw error;
    }
  }
}

const isUnstaged = (error: unknown): boolean =>
  error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.type === ('PackUnstaged' satisfies PermanentFailure);

/**
 * A person gave the pack up: its gateway puts it where it is not told any more, and keeps it. What never was this gateway's,
 * or lies in the archive alone, is left as it is. When the gateway cannot, a person is asked once more.
 */
async function giveUpPack(input: IngestAssociationInput, work: PackWork, givenUp: GivenUp, atEdge: CallEdge): Promise<PackResult> {
  if (work.kind === 'staged' || !belongsTo(input, work)) return { abandoned: true };
  try {
    await atEdge(releaseOptions, (edge) => edge.setAsidePack(work.pack, givenUp));
    return { abandoned: true };
  } catch (error) {
    if (error instanceof GivenUpWaiting) return { abandoned: true, gatewayGivenUp: true };
    return { failure: parkedFailure(`${nameOf(work)}, to be set aside,`, error) };
  }
}

const nameOf = ({ pack }: PackWork): string => `Pack ${pack.packId.slice(0, 12)} of study ${pack.studyInstanceUID}`;

/** A gateway tells of its own packs: whatever a signal says, another tenant's keys are out of its reach. */
const belongsTo = ({ tenantId, origin }: IngestAssociationInput, { kind, pack }: PackWork): boolean =>
  pack.tenantId === tenantId && (kind === 'staged' || pack.gatewayId === origin.gatewayId);

/** The studies of an association become searchable, up to what a search attribute holds (2 KB). */
function openStudyNotes(): (studyInstanceUID: string) => void {
  const studies = new Set(workflowInfo().typedSearchAttributes.get(keys.studyInstanceUIDs) ?? []);
  return (studyInstanceUID) => {
    if (studies.has(studyInstanceUID) || studies.size >= maxSearchableStudies) return;
    studies.add(studyInstanceUID);
    upsertSearchAttributes([{ key: keys.studyInstanceUIDs, value: [...studies] }]);
  };
}
const maxSearchableStudies = 20;

const flowOf = (input: IngestAssociationInput) => ({ tenantId: input.tenantId, flowId: workflowInfo().workflowId, gatewayId: input.origin.gatewayId });

function sentenceOf({ origin }: IngestAssociationInput, { outcome, ended }: PackQueue): string {
  const from = origin.kind === 'stow' ? 'An upload (STOW-RS)' : `The association of ${origin.callingAETitle} with gateway ${origin.gatewayId}`;
  const state = ended ? `has ended (${ended.how}, ${ended.instanceCount} instances in ${ended.packCount} packs)` : 'is still open';
  const { packCount, acceptedCount, quarantinedCount, duplicateCount, conflictCount, abandonedPackCount } = outcome;
  const givenUp = abandonedPackCount > 0 ? ` ${abandonedPackCount} packs were given up.` : '';
  return `${from} ${state}. ${packCount} packs done: ${acceptedCount} accepted, ${quarantinedCount} quarantined, ${duplicateCount} duplicates, ${conflictCount} conflicts.${givenUp}`;
}
