import { allHandlersFinished, condition, continueAsNew, defineSignal, proxyActivities, setHandler, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { IngestActivities } from '../activities/index.ts';
import { auditOfPark } from '../domain/audit.ts';
import type { PackOutcome, StagedPack } from '../domain/pack.ts';
import { associationEndedSignal, packReadySignal, taskQueues, type AssociationEnded, type IngestAssociationInput, type IngestOutcome, type PackWork } from './contracts.ts';
import { atEdge } from './edge.ts';
import { keys, openFlowBoard, type FlowBoard } from './flowState.ts';
import { openParkingLot, type ParkingLot } from './park.ts';

/** Packs of one association in work at once. */
const lanes = 4;
const maxHistoryEvents = 3000;
const stageOptions = { startToCloseTimeout: '30 minutes', heartbeatTimeout: '30 seconds' } as const;
const releaseOptions = { startToCloseTimeout: '1 minute' } as const;

const retryLonger = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { validatePack, archivePack } = proxyActivities<IngestActivities>({
  taskQueue: taskQueues.ingest, startToCloseTimeout: '10 minutes', scheduleToCloseTimeout: '24 hours', retry: retryLonger,
});
const { registerPack, recordAudit } = proxyActivities<IngestActivities>({
  taskQueue: taskQueues.ingest, startToCloseTimeout: '30 seconds', retry: retryLonger,
});

/**
 * Takes every pack of one association from the gateway's disk into the archive and hands it to its study. Ends when the association has
 * ended and each of its packs is registered and released.
 * History: about 30 events a pack of up to 500 instances; continues as new between packs.
 */
export async function ingestAssociation(input: IngestAssociationInput): Promise<IngestOutcome> {
  const waiting: PackWork[] = [...(input.carried?.waiting ?? [])];
  const seen = new Set(input.carried?.seenPackIds ?? []);
  const studies = new Set(input.carried?.studyInstanceUIDs ?? []);
  let outcome: IngestOutcome = input.carried?.outcome ?? noOutcome;
  let end: AssociationEnded | undefined = input.carried?.end;
  let working = 0;
  const board = openFlowBoard(() => ({ ...outcome, waiting: waiting.length + working }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark(flowOf(input), event)]));

  setHandler(defineSignal<[PackWork]>(packReadySignal), (work) => {
    if (seen.has(work.pack.packId)) return;
    seen.add(work.pack.packId);
    waiting.push(work);
  });
  setHandler(defineSignal<[AssociationEnded]>(associationEndedSignal), (given) => {
    end ??= given;
  });
  const finished = () => end !== undefined && seen.size >= end.packCount && waiting.length === 0 && working === 0;
  const full = () => workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > maxHistoryEvents;
  const take = async (work: PackWork) => {
    working++;
    noteStudy(studies, work);
    const done = await ingestPack(input, work, board, parking);
    outcome = add(outcome, done);
    working--;
    if (board.state === 'RUNNING') board.show('RUNNING', sentenceOf(input, outcome, end));
  };

  while (!finished()) {
    if (board.state === 'RUNNING') board.show('RUNNING', sentenceOf(input, outcome, end));
    await condition(() => finished() || (full() ? working === 0 : waiting.length > 0 && working < lanes));
    if (finished()) break;
    if (full()) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof ingestAssociation>({ ...input, carried: { waiting, seenPackIds: [...seen], studyInstanceUIDs: [...studies], outcome, ...(end ? { end } : {}) } });
    }
    void take(waiting.shift()!);
  }
  await parking.settled();
  upsertSearchAttributes([{ key: keys.instanceCount, value: end?.instanceCount ?? 0 }]);
  board.show('DONE', sentenceOf(input, outcome, end));
  return outcome;
}

/**
 * Takes one pack into the archive: stage, validate, archive, register, release. A person may skip or reject a step
 * that fails for good; the pack then stays on the gateway's disk.
 */
async function ingestPack(input: IngestAssociationInput, work: PackWork, board: FlowBoard, parking: ParkingLot): Promise<PackOutcome | undefined> {
  const result = await parking.run(`Pack ${work.pack.packId.slice(0, 12)} of study ${work.pack.studyInstanceUID}`, async () => {
    const staged: StagedPack = work.kind === 'staged' ? work.pack
      : await atEdge(work.pack, board, stageOptions, (edge) => edge.stagePack(work.pack));
    await validatePack(staged);
    const archived = await archivePack(staged, input.origin);
    const { tenantId, studyInstanceUID, seriesInstanceUID, packId } = archived;
    if (archived.committed) await registerPack({ tenantId, studyInstanceUID, seriesInstanceUID, packId, origin: input.origin }, input.priority);
    if (work.kind === 'spooled') await atEdge(work.pack, board, releaseOptions, (edge) => edge.releasePack(work.pack));
    return archived.outcome;
  });
  return result.done ? result.value : undefined;
}

const noOutcome: IngestOutcome = { packCount: 0, acceptedCount: 0, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0, abandonedPackCount: 0 };

/** @param done undefined when a person gave the pack up */
const add = (sum: IngestOutcome, done: PackOutcome | undefined): IngestOutcome => ({
  packCount: sum.packCount + 1,
  acceptedCount: sum.acceptedCount + (done?.acceptedCount ?? 0),
  quarantinedCount: sum.quarantinedCount + (done?.quarantinedCount ?? 0),
  duplicateCount: sum.duplicateCount + (done?.duplicateCount ?? 0),
  conflictCount: sum.conflictCount + (done?.conflictCount ?? 0),
  abandonedPackCount: sum.abandonedPackCount + (done ? 0 : 1),
});

/** The studies of an association become searchable, up to what a search attribute holds (2 KB). */
function noteStudy(studies: Set<string>, { pack }: PackWork): void {
  if (studies.has(pack.studyInstanceUID) || studies.size >= 20) return;
  studies.add(pack.studyInstanceUID);
  upsertSearchAttributes([{ key: keys.studyInstanceUIDs, value: [...studies] }]);
}

const flowOf = (input: IngestAssociationInput) => ({ tenantId: input.tenantId, flowId: workflowInfo().workflowId, at: new Date(), gatewayId: input.origin.gatewayId });

function sentenceOf(input: IngestAssociationInput, outcome: IngestOutcome, end: AssociationEnded | undefined): string {
  const { origin } = input;
  const from = origin.kind === 'stow' ? 'An upload (STOW-RS)' : `The association of ${origin.callingAETitle} with gateway ${origin.gatewayId}`;
  const state = end ? `has ended (${end.how}, ${end.instanceCount} instances in ${end.packCount} packs)` : 'is still open';
  const { packCount, acceptedCount, quarantinedCount, duplicateCount, conflictCount } = outcome;
  return `${from} ${state}. ${packCount} packs done: ${acceptedCount} accepted, ${quarantinedCount} quarantined, ${duplicateCount} duplicates, ${conflictCount} conflicts.`;
}
