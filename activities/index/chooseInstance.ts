import { cancellationSignal } from '@temporalio/activity';
import type { ArchiveStore, AuditLog, StudyIndex } from '../../stores/ports.ts';
import type { ChooseCurrentInput } from '../../workflows/contracts.ts';

export interface ChooseInstanceDeps {
  readonly archive: Pick<ArchiveStore, 'addChoice'>;
  readonly index: Pick<StudyIndex, 'findHolders'>;
  readonly audit: Pick<AuditLog, 'record'>;
}

/**
 * Writes a person's choice into the archive: first that the other studies hold the SOP Instance UID no more, then that this
 * one does. Safe to repeat: an equal decision is not written again.
 *
 * @returns the studies whose documents are to be written again
 */
export const createChooseInstance = (deps: ChooseInstanceDeps) =>
  async function chooseInstance({ tenantId, studyInstanceUID, sopInstanceUID, packId, sha256, by, why, at, flowId }: ChooseCurrentInput): Promise<readonly string[]> {
    const signal = cancellationSignal();
    const base = { tenantId, sopInstanceUID, by, why, at };
    const holders = await deps.index.findHolders(tenantId, [sopInstanceUID], 'everything');
    const others = new Set(holders.map((holder) => holder.studyInstanceUID).filter((other) => other !== studyInstanceUID));
    for (const other of others) await deps.archive.addChoice({ ...base, studyInstanceUID: other, decision: { heldBy: studyInstanceUID } }, signal);
    const choice = await deps.archive.addChoice({ ...base, studyInstanceUID, decision: { packId, sha256 } }, signal);
    const studies = [...others, studyInstanceUID];
    await deps.audit.record(studies.map((study) => ({ tenantId, studyInstanceUID: study, sopInstanceUID, packId, flowId, at, actor: by, detail: why,
      eventId: `${flowId}-${choice.number}-${study}`, action: 'conflict.decided' as const })));
    return studies;
  };
