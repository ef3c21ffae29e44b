import { cancellationSignal } from '@temporalio/activity';
import { resolveStudy } from '../../domain/documents.ts';
import type { ArchiveStore } from '../../stores/ports.ts';
import { openLedger, type LedgerDeps } from './ledger.ts';
import type { SendInstancesInput } from './sendInstances.ts';

/**
 * Notes in the delivery ledger what a person gave up, so that no later flow of a rule asks about the same bytes. A request sends
 * them again. Idempotent.
 */
export const createSkipInstances = (deps: LedgerDeps & { readonly archive: ArchiveStore }) =>
  async function skipInstances({ by, ...input }: SendInstancesInput & { readonly by: string }): Promise<void> {
    const packs = await deps.archive.listIndexes(input.tenantId, input.studyInstanceUID, cancellationSignal());
    const ledger = await openLedger(deps, input, resolveStudy(packs).current, 'status');
    for (const { sopInstanceUID } of ledger.open) ledger.change(sopInstanceUID, { state: 'skipped', deliveredBy: input.flowId, skippedBy: by });
    if (ledger.open.length > 0) await ledger.write();
  };
