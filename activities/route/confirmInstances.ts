import { cancellationSignal } from '@temporalio/activity';
import { retryDelayMs } from '../../domain/delivery.ts';
import { resolveStudy } from '../../domain/documents.ts';
import type { ArchiveStore, TenantStore } from '../../stores/ports.ts';
import { askConfirmation, type AskConfirmationDeps } from './askConfirmation.ts';
import { findDestination } from './findDestination.ts';
import { openLedger, type LedgerDeps } from './ledger.ts';
import type { SendInstancesInput, SendInstancesResult } from './sendInstances.ts';

export interface ConfirmInstancesDeps extends LedgerDeps, AskConfirmationDeps {
  readonly archive: ArchiveStore;
  readonly tenants: TenantStore;
  readonly firstRetryMs: number;
}

export interface ConfirmInstancesInput extends SendInstancesInput {
  /** How often it was asked before in this round. */
  readonly checks: number;
  /** What is not there now counts as not delivered: it is to be sent again. */
  readonly isLast: boolean;
  /** Names this asking, for as long as the destination works on it. */
  readonly transactionId?: string;
}

export interface ConfirmInstancesResult extends SendInstancesResult {
  /** Not confirmed, by now. */
  readonly missingCount: number;
  /** When to ask again. */
  readonly pauseMs: number;
  /** It was asked and answers later: this was no check, and the next look is about the same asking. */
  readonly isAwaited?: boolean;
  /** Its answer is final: what is missing is to be sent again, without asking once more. */
  readonly isSettled?: boolean;
  /** Why it could not be asked. */
  readonly problem?: string;
}

/**
 * Asks a destination for what it took by its word, by its confirmation policy, and writes each answer to the delivery ledger.
 * Idempotent: what is confirmed stays so.
 */
export const createConfirmInstances = (deps: ConfirmInstancesDeps) =>
  async function confirmInstances(input: ConfirmInstancesInput): Promise<ConfirmInstancesResult> {
    const destination = await findDestination(deps.tenants, input.tenantId, input.destinationId);
    const by = destination.confirmation ?? 'status';
    const packs = await deps.archive.listIndexes(input.tenantId, input.studyInstanceUID, cancellationSignal());
    const ledger = await openLedger(deps, input, resolveStudy(packs).current, by);
    const { unconfirmed } = ledger;
    const pauseMs = retryDelayMs(deps.firstRetryMs, input.checks + 1);
    // An attempt that died wrote down that these are to be sent again.
    let missingCount = ledger.waiting.length;
    if (unconfirmed.length === 0) return { ...ledger.counts(), missingCount, pauseMs, ...(missingCount > 0 ? { isSettled: true } : {}) };
    const answers = by === 'status' ? undefined : await askConfirmation(deps, input, destination, unconfirmed);
    let problem = answers?.problem;
    if (answers?.lookAgainMs !== undefined) return { ...ledger.counts(), missingCount: missingCount + unconfirmed.length, pauseMs: answers.lookAgainMs, isAwaited: true, ...(problem === undefined ? {} : { problem }) };
    const isSettled = answers?.settled !== undefined;
    for (const { sopInstanceUID } of unconfirmed) {
      const answer = answers?.of(sopInstanceUID) ?? { is: 'there' };
      if (answer.is === 'there') {
        ledger.change(sopInstanceUID, { state: 'delivered', ...(by === 'status' ? {} : { confirmed: { by, at: deps.now().toISOString() } }) });
        continue;
      }
      if (answer.is === 'missing') missingCount++;
      if (answer.is === 'missing' && isSettled) problem = answer.problem;
      const state = answer.is === 'refused' ? 'refused' : isSettled || input.isLast ? 'waiting' : 'sent';
      ledger.change(sopInstanceUID, { state, lastProblem: answer.problem, ...(answer.status === undefined ? {} : { lastStatus: answer.status }) });
    }
    await ledger.write();
    await answers?.settled?.();
    return { ...ledger.counts(), missingCount, pauseMs, ...(isSettled ? { isSettled } : {}), ...(problem === undefined ? {} : { problem }) };
  };
