import { cancellationSignal } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { defaultMaxAssociations } from '../../domain/circuit.ts';
import type { DicomDestination } from '../../domain/tenant.ts';
import type { ArchiveStore, CircuitStore, Sender, TenantStore } from '../../stores/ports.ts';
import type { MoveOriginator, RetrieveProgress, RetrieveSelection } from '../../workflows/contracts.ts';
import { permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { findDestination } from './findDestination.ts';
import { instanceToSend } from './instanceToSend.ts';
import type { Places } from './places.ts';
import { counted, leftOf, type StudyLeft } from './retrieval.ts';
import { isAboutDestination, runMs, type Held } from './sendInstances.ts';

export interface MoveInstancesDeps {
  readonly archive: ArchiveStore;
  readonly tenants: TenantStore;
  readonly circuits: CircuitStore;
  readonly sender: Sender<DicomDestination>;
  /** Those of the deliveries: both keep to the destination's `maxAssociations` together. */
  readonly places: Places;
  readonly now: () => Date;
}

export interface MoveInstancesInput {
  readonly tenantId: string;
  readonly destinationId: string;
  readonly originator: MoveOriginator;
  readonly selections: readonly RetrieveSelection[];
  /** What earlier calls did. */
  readonly progress?: RetrieveProgress;
  /** The destination's flow said that it is this retrieval's turn: an open circuit does not hold it. */
  readonly turn?: boolean;
}

export interface MoveInstancesResult extends RetrieveProgress {
  /** Set when something is left that was to be sent. */
  readonly held?: Omit<Held, 'waitingCount'>;
}

const nothing: RetrieveProgress = { completedCount: 0, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] };

/**
 * Sends the current instances of a C-MOVE's selections, in the order of their UIDs. Heartbeat: what was answered, behind which the next
 * attempt goes on; an answer that was not yet told of is asked for again. When the destination goes away, is known to be, or has as many
 * associations as it takes, what is left is held. A cancel lets the sub-operation under way end and returns what was done.
 *
 * @throws what fails on our side, to be tried again; its details are the progress
 */
export const createMoveInstances = (deps: MoveInstancesDeps) =>
  async function moveInstances(input: MoveInstancesInput): Promise<MoveInstancesResult> {
    const { tenantId, destinationId } = input;
    const destination = await findDestination(deps.tenants, tenantId, destinationId);
    if (destination.kind !== 'dicom') throw permanent('UnknownDestination', `DICOM destination ${destinationId} of tenant ${tenantId}`);
    return withHeartbeat<RetrieveProgress, MoveInstancesResult>(async (resume, beat) => {
      const before = resume ?? input.progress ?? nothing;
      beat(before);
      const open = input.turn ? undefined : await deps.circuits.get(tenantId, destinationId);
      if (open) return { ...before, held: { why: 'open', progressed: false, problem: open.problem } };
      const leave = deps.places.enter(`${tenantId}/${destinationId}`, destination.maxAssociations ?? defaultMaxAssociations);
      if (!leave) return { ...before, held: { why: 'busy', progressed: false } };
      try {
        return await sendLeft(deps, input, destination, before, beat);
      } finally {
        leave();
      }
    });
  };

async function sendLeft(deps: MoveInstancesDeps, input: MoveInstancesInput, destination: DicomDestination, before: RetrieveProgress, beat: (progress: RetrieveProgress) => void): Promise<MoveInstancesResult> {
  const { tenantId, selections } = input;
  const stopping = stopSignal();
  const endsAt = deps.now().getTime() + runMs;
  let progress = before;
  const note = (next: RetrieveProgress): void => {
    progress = next;
    beat(next);
  };
  try {
    for await (const study of leftOf(deps.archive, tenantId, selections, before, stopping)) {
      if (isCancelled()) return progress;
      for await (const next of sendStudy(deps, input, destination, study, progress, stopping)) {
        note(next);
        if (isCancelled()) return progress;
        if (deps.now().getTime() > endsAt) return { ...progress, held: { why: 'more', progressed: true } };
      }
    }
    return progress;
  } catch (error) {
    if (cancellationSignal().aborted) throw error;
    if (isAboutDestination(error)) return { ...progress, held: { why: 'failed', progressed: progress !== before, problem: error.message } };
    throw ApplicationFailure.fromError(error, { details: [progress] });
  }
}

async function* sendStudy({ archive, sender }: MoveInstancesDeps, { tenantId, originator }: MoveInstancesInput, destination: DicomDestination,
  { studyInstanceUID, instances }: StudyLeft, before: RetrieveProgress, signal: AbortSignal): AsyncGenerator<RetrieveProgress> {
  const toSend = instances.map((instance) => instanceToSend(archive, { tenantId, studyInstanceUID }, instance, signal));
  let progress = before;
  for await (const result of sender.send(destination, toSend, signal, originator)) yield progress = counted(progress, studyInstanceUID, result);
}

const isCancelled = (): boolean => cancellationSignal().aborted && (cancellationSignal().reason as Error | undefined)?.message === 'CANCELLED';

/** Aborted when this process or this attempt ends, not by a cancel: a message is not left unfinished. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => { if (!isCancelled()) controller.abort(cancellationSignal().reason); };
  cancellationSignal().addEventListener('abort', stop);
  if (cancellationSignal().aborted) stop();
  return controller.signal;
}
