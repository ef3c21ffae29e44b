import { cancellationSignal } from '@temporalio/activity';
import { statusClass } from '../../dicom/status.ts';
import { resolveStudy, type CurrentInstance } from '../../domain/documents.ts';
import type { DicomDestination } from '../../domain/tenant.ts';
import type { ArchiveStore, Sender, SendResult, TenantStore } from '../../stores/ports.ts';
import { maxNamedFailures, type MoveOriginator, type RetrieveProgress, type RetrieveSelection } from '../../workflows/contracts.ts';
import { permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { findDestination } from './findDestination.ts';
import { instanceToSend } from './instanceToSend.ts';

export interface MoveInstancesDeps {
  readonly archive: ArchiveStore;
  readonly tenants: TenantStore;
  readonly sender: Sender<DicomDestination>;
}

export interface MoveInstancesInput {
  readonly tenantId: string;
  readonly destinationId: string;
  readonly originator: MoveOriginator;
  readonly selections: readonly RetrieveSelection[];
}

/**
 * Sends the current instances of a C-MOVE's selections, in the order of their UIDs. Heartbeat: what was answered, behind which the next
 * attempt goes on; an answer that was not yet told of is asked for again. A destination that goes away fails what is left. A cancel
 * lets the sub-operation under way end and returns what was done.
 *
 * @throws what fails on our side, to be tried again
 */
export const createMoveInstances = (deps: MoveInstancesDeps) =>
  async function moveInstances(input: MoveInstancesInput): Promise<RetrieveProgress> {
    const destination = await findDestination(deps.tenants, input.tenantId, input.destinationId);
    if (destination.kind !== 'dicom') throw permanent('UnknownDestination', `DICOM destination ${input.destinationId} of tenant ${input.tenantId}`);
    return withHeartbeat<RetrieveProgress, RetrieveProgress>(async (resume, beat) => {
      let progress = resume ?? { completedCount: 0, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] };
      const stopping = stopSignal();
      const at = input.selections.findIndex(({ studyInstanceUID }) => studyInstanceUID === progress.after?.studyInstanceUID);
      for (const selection of input.selections.slice(Math.max(at, 0))) {
        if (isCancelled()) return progress;
        const left = await instancesOf(deps.archive, input.tenantId, selection, progress.after);
        for await (const result of resultsOf(deps, destination, input, selection, left, stopping)) {
          progress = counted(progress, selection.studyInstanceUID, result);
          beat(progress);
          if (isCancelled()) return progress;
        }
      }
      return progress;
    });
  };

const isCancelled = (): boolean => cancellationSignal().aborted && (cancellationSignal().reason as Error | undefined)?.message === 'CANCELLED';

/** Aborted when this process or this attempt ends, not by a cancel: a message is not left unfinished. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => { if (!isCancelled()) controller.abort(cancellationSignal().reason); };
  cancellationSignal().addEventListener('abort', stop);
  if (cancellationSignal().aborted) stop();
  return controller.signal;
}

async function instancesOf(archive: ArchiveStore, tenantId: string, { studyInstanceUID, seriesInstanceUIDs, sopInstanceUIDs }: RetrieveSelection, after: RetrieveProgress['after']): Promise<readonly CurrentInstance[]> {
  const packs = await archive.listIndexes(tenantId, studyInstanceUID, cancellationSignal());
  return resolveStudy(packs).current
    .filter((instance) => seriesInstanceUIDs?.includes(instance.seriesInstanceUID) ?? true)
    .filter((instance) => sopInstanceUIDs?.includes(instance.sopInstanceUID) ?? true)
    .filter((instance) => after?.studyInstanceUID !== studyInstanceUID || instance.sopInstanceUID > after.sopInstanceUID)
    .toSorted((a, b) => (a.sopInstanceUID < b.sopInstanceUID ? -1 : 1));
}

async function* resultsOf({ archive, sender }: MoveInstancesDeps, destination: DicomDestination, { tenantId, originator }: MoveInstancesInput, { studyInstanceUID }: RetrieveSelection,
  instances: readonly CurrentInstance[], signal: AbortSignal): AsyncGenerator<SendResult> {
  const toSend = instances.map((instance) => instanceToSend(archive, { tenantId, studyInstanceUID }, instance, signal));
  let answered = 0;
  try {
    for await (const result of sender.send(destination, toSend, signal, originator)) {
      answered++;
      yield result;
    }
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DestinationUnavailable') throw error;
    for (const { sopInstanceUID } of instances.slice(answered)) yield { sopInstanceUID, outcome: 'refused' };
  }
}

function counted(progress: RetrieveProgress, studyInstanceUID: string, { sopInstanceUID, outcome, status = 0 }: SendResult): RetrieveProgress {
  const after = { studyInstanceUID, sopInstanceUID };
  if (outcome === 'delivered') {
    return statusClass(status) === 'warning' ? { ...progress, after, warningCount: progress.warningCount + 1 } : { ...progress, after, completedCount: progress.completedCount + 1 };
  }
  const named = progress.failedSOPInstanceUIDs;
  return { ...progress, after, failedCount: progress.failedCount + 1, failedSOPInstanceUIDs: named.length < maxNamedFailures ? [...named, sopInstanceUID] : named };
}
