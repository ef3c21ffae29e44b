import { statusClass } from '../../dicom/status.ts';
import { resolveStudy, type CurrentInstance } from '../../domain/documents.ts';
import type { ArchiveStore, SendResult } from '../../stores/ports.ts';
import { maxNamedFailures, type RetrieveProgress, type RetrieveSelection } from '../../workflows/contracts.ts';

export interface StudyLeft {
  readonly studyInstanceUID: string;
  readonly instances: readonly CurrentInstance[];
}

/** What a retrieval has not got to: the current instances of its selections behind the last that was answered, study by study, in the order of their UIDs. */
export async function* leftOf(archive: ArchiveStore, tenantId: string, selections: readonly RetrieveSelection[], progress: RetrieveProgress, signal: AbortSignal): AsyncGenerator<StudyLeft> {
  const { after } = progress;
  const at = selections.findIndex(({ studyInstanceUID }) => studyInstanceUID === after?.studyInstanceUID);
  for (const { studyInstanceUID, seriesInstanceUIDs, sopInstanceUIDs } of selections.slice(Math.max(at, 0))) {
    const packs = await archive.listIndexes(tenantId, studyInstanceUID, signal);
    const instances = resolveStudy(packs).current
      .filter((instance) => seriesInstanceUIDs?.includes(instance.seriesInstanceUID) ?? true)
      .filter((instance) => sopInstanceUIDs?.includes(instance.sopInstanceUID) ?? true)
      .filter((instance) => after?.studyInstanceUID !== studyInstanceUID || instance.sopInstanceUID > after.sopInstanceUID)
      .toSorted((a, b) => (a.sopInstanceUID < b.sopInstanceUID ? -1 : 1));
    yield { studyInstanceUID, instances };
  }
}

/** One more sub-operation has its answer. What is to be sent again later has failed: the requestor may ask again. */
export function counted(progress: RetrieveProgress, studyInstanceUID: string, { sopInstanceUID, outcome, status = 0 }: SendResult): RetrieveProgress {
  const after = { studyInstanceUID, sopInstanceUID };
  if (outcome === 'delivered') {
    return statusClass(status) === 'warning' ? { ...progress, after, warningCount: progress.warningCount + 1 } : { ...progress, after, completedCount: progress.completedCount + 1 };
  }
  const named = progress.failedSOPInstanceUIDs;
  return { ...progress, after, failedCount: progress.failedCount + 1, failedSOPInstanceUIDs: named.length < maxNamedFailures ? [...named, sopInstanceUID] : named };
}
