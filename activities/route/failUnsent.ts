import { cancellationSignal } from '@temporalio/activity';
import type { ArchiveStore } from '../../stores/ports.ts';
import type { RetrieveProgress, RetrieveSelection } from '../../workflows/contracts.ts';
import { counted, leftOf } from './retrieval.ts';

export interface FailUnsentInput {
  readonly tenantId: string;
  readonly selections: readonly RetrieveSelection[];
  readonly progress: RetrieveProgress;
}

/** Counts as failed, and names, what a retrieval that is given up did not get to. @returns how it ended */
export const createFailUnsent = ({ archive }: { readonly archive: ArchiveStore }) =>
  async function failUnsent({ tenantId, selections, progress }: FailUnsentInput): Promise<RetrieveProgress> {
    let ended = progress;
    for await (const { studyInstanceUID, instances } of leftOf(archive, tenantId, selections, progress, cancellationSignal())) {
      for (const { sopInstanceUID } of instances) ended = counted(ended, studyInstanceUID, { sopInstanceUID, outcome: 'refused' });
    }
    return ended;
  };
