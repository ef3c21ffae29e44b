import { cancellationSignal } from '@temporalio/activity';
import type { StudyIdentity } from '../../workflows/contracts.ts';
import { settleHolders, type SettleHoldersDeps } from './settleHolders.ts';

/**
 * Looks once more, when a study has been quiet and before anything of it is sent, whether another study holds one of its instances: both may
 * have been indexed at the same moment, each before it could see the other. Whoever looks last sees both. Safe to repeat.
 *
 * @returns how many instances this study gave up: its documents are to be written again
 */
export const createSettleStudy = (deps: SettleHoldersDeps) =>
  async function settleStudy({ tenantId, studyInstanceUID }: StudyIdentity): Promise<{ readonly yieldedCount: number }> {
    const signal = cancellationSignal();
    const packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
    const { own } = await settleHolders(deps, { tenantId, studyInstanceUID }, { packs, sees: 'everything', by: 'flow' }, signal);
    return { yieldedCount: own };
  };
