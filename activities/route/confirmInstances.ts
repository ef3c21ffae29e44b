import { cancellationSignal } from '@temporalio/activity';
import { retryDelayMs } from '../../domain/delivery.ts';
import { resolveStudy } from '../../domain/documents.ts';
import type { Destination } from '../../domain/tenant.ts';
import type { ArchiveStore, ReadBack, TenantStore } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { findDestination } from './findDestination.ts';
import { openLedger, type LedgerDeps } from './ledger.ts';
import type { SendInstancesInput, SendInstancesResult } from './sendInstances.ts';

export interface ConfirmInstancesDeps extends LedgerDeps {
  readonly archive: ArchiveStore;
  readonly tenants: TenantStore;
  readonly readBacks: { readonly [Kind in Destination['kind']]?: ReadBack<Extract<Destination, { kind: Kind }>> };
  readonly firstRetryMs: number;
}

export interface ConfirmInstancesInput extends SendInstancesInput {
  /** How often it was asked before in this round. */
  readonly checks: number;
  /** What is not there now counts as not delivered: it is to be sent again. */
  readonly isLast: boolean;
}

export interface ConfirmInstancesResult extends SendInstancesResult {
  /** Not confirmed, by now. */
  readonly missingCount: number;
  /** When to ask again. */
  readonly pauseMs: number;
  /** Why it could not be asked. */
  readonly problem?: string;
}

const notThere = 'The destination answered success, but does not list the instance.';

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
    const pauseMs = retryDelayMs(deps.firstRetryMs, input.checks + 1);
    const seriesInstanceUIDs = [...new Set(ledger.unconfirmed.map(({ seriesInstanceUID }) => seriesInstanceUID))];
    const asked = by === 'status' ? { there: undefined } : await ask(deps, input, destination, seriesInstanceUIDs);
    let missingCount = 0;
    for (const { sopInstanceUID } of ledger.unconfirmed) {
      if (by === 'status' || asked.there?.has(sopInstanceUID)) {
        ledger.change(sopInstanceUID, { state: 'delivered', ...(by === 'status' ? {} : { confirmed: { by, at: deps.now().toISOString() } }) });
        continue;
      }
      missingCount++;
      ledger.change(sopInstanceUID, { lastProblem: asked.problem ?? notThere, ...(input.isLast ? { state: 'waiting' } : {}) });
    }
    if (ledger.unconfirmed.length > 0) await ledger.write();
    return { ...ledger.counts(), missingCount, pauseMs, ...(asked.problem === undefined ? {} : { problem: asked.problem }) };
  };

async function ask({ readBacks }: ConfirmInstancesDeps, { studyInstanceUID }: ConfirmInstancesInput, destination: Destination, seriesInstanceUIDs: readonly string[]):
Promise<{ readonly there: ReadonlySet<string> | undefined; readonly problem?: string }> {
  const readBack = readBacks[destination.kind] as ReadBack | undefined;
  if (!readBack) throw new Error(`This worker does not reach ${destination.kind} destinations; give it another role`);
  try {
    return { there: await withHeartbeat(() => readBack(destination, { studyInstanceUID, seriesInstanceUIDs }, cancellationSignal())) };
  } catch (error) {
    cancellationSignal().throwIfAborted();
    if (!(error instanceof Error) || error.name !== 'DestinationUnavailable') throw error;
    return { there: undefined, problem: `It could not be asked whether it holds the instance: ${error.message}` };
  }
}
