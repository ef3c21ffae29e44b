import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { retryDelayMs } from '../../domain/delivery.ts';
import { resolveStudy, type CurrentInstance } from '../../domain/documents.ts';
import type { Destination } from '../../domain/tenant.ts';
import type { ArchiveStore, DeliveryStore, InstanceToSend, Sender, TenantStore } from '../../stores/ports.ts';
import { permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { openLedger, type OpenLedger } from './ledger.ts';

export interface SendInstancesDeps {
  readonly archive: ArchiveStore;
  readonly tenants: TenantStore;
  readonly deliveries: DeliveryStore;
  readonly senders: { readonly [Kind in Destination['kind']]?: Sender<Extract<Destination, { kind: Kind }>> };
  readonly firstRetryMs: number;
  readonly now: () => Date;
}

export interface SendInstancesInput {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly destinationId: string;
  readonly flowId: string;
  /** Sends what another flow delivered before, too: somebody asked for it. */
  readonly resend: boolean;
  /** Tries again what the destination refused: a person decided so. */
  readonly retryRefused: boolean;
}

export interface SendInstancesResult {
  readonly deliveredCount: number;
  readonly refusedCount: number;
  readonly alreadyThereCount: number;
}

/**
 * Sends the current instances of a study to one destination and writes each answer to the delivery ledger. Idempotent by the ledger:
 * a second attempt sends what the first did not deliver; what was sent but not yet written down is sent again.
 *
 * @throws `UnknownDestination` for good. A destination that is away or busy throws with the time of the next attempt.
 */
export const createSendInstances = (deps: SendInstancesDeps) =>
  async function sendInstances(input: SendInstancesInput): Promise<SendInstancesResult> {
    const destination = await findDestination(deps, input);
    const packs = await deps.archive.listIndexes(input.tenantId, input.studyInstanceUID, cancellationSignal());
    const ledger = await openLedger(deps, input, resolveStudy(packs).current);
    const waiting = new Set(ledger.toSend.map(({ sopInstanceUID }) => sopInstanceUID));
    let problem: unknown;
    try {
      await withHeartbeat(() => sendAll(deps, input, destination, ledger, waiting));
    } catch (error) {
      problem = error;
    }
    const nextDelayMs = retryDelayMs(deps.firstRetryMs, activityInfo().attempt);
    await ledger.close([...waiting], problem, new Date(deps.now().getTime() + nextDelayMs));
    if (waiting.size === 0) return ledger.counts();
    if (problem && cancellationSignal().aborted) throw problem;
    throw later(input, waiting.size, problem, nextDelayMs);
  };

async function sendAll(deps: SendInstancesDeps, input: SendInstancesInput, destination: Destination, ledger: OpenLedger, waiting: Set<string>): Promise<void> {
  if (ledger.toSend.length === 0) return;
  const sender = deps.senders[destination.kind] as Sender | undefined;
  if (!sender) throw new Error(`This worker does not send to ${destination.kind} destinations; give it another role`);
  const instances = ledger.toSend.map((instance) => toSend(deps.archive, input, instance));
  for await (const result of sender.send(destination, instances, cancellationSignal())) {
    if (result.outcome !== 'later') waiting.delete(result.sopInstanceUID);
    await ledger.note(result);
  }
}

function toSend(archive: ArchiveStore, { tenantId, studyInstanceUID }: SendInstancesInput, instance: CurrentInstance): InstanceToSend {
  const { sopInstanceUID, sopClassUID, transferSyntaxUID, lengthBytes, offsetBytes, seriesInstanceUID, packId } = instance;
  const pack = { tenantId, studyInstanceUID, seriesInstanceUID, packId };
  return { sopInstanceUID, sopClassUID, transferSyntaxUID, lengthBytes,
    open: () => archive.readRange(pack, offsetBytes, lengthBytes, cancellationSignal()) };
}

async function findDestination(deps: SendInstancesDeps, { tenantId, destinationId }: SendInstancesInput): Promise<Destination> {
  const config = (await deps.tenants.get(tenantId))?.value;
  const destination = config?.destinations.find((candidate) => candidate.destinationId === destinationId);
  if (!destination) throw permanent('UnknownDestination', `Destination ${destinationId} of tenant ${tenantId}`);
  return destination;
}

/** Retryable: the destination did not take everything yet. Carries when to try again. */
const later = (input: SendInstancesInput, count: number, cause: unknown, nextDelayMs: number): ApplicationFailure =>
  ApplicationFailure.create({
    type: 'DestinationAway', nextRetryDelay: nextDelayMs, ...(cause instanceof Error ? { cause } : {}),
    message: `Destination ${input.destinationId} has not taken ${count} instances of study ${input.studyInstanceUID} yet`
      + `${cause instanceof Error ? `: ${cause.message}` : ''}. The next attempt is in ${Math.round(nextDelayMs / 1000)} s.`,
  });
