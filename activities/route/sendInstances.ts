import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { defaultMaxAssociations } from '../../domain/circuit.ts';
import { retryDelayMs, type ReplaySelection } from '../../domain/delivery.ts';
import { resolveStudy } from '../../domain/documents.ts';
import type { Destination } from '../../domain/tenant.ts';
import type { ArchiveStore, CircuitStore, DeliveryStore, Sender, TenantStore } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { findDestination } from './findDestination.ts';
import { instanceToSend } from './instanceToSend.ts';
import { openLedger, type OpenLedger } from './ledger.ts';
import type { Places } from './places.ts';

export interface SendInstancesDeps {
  readonly archive: ArchiveStore;
  readonly tenants: TenantStore;
  readonly deliveries: DeliveryStore;
  readonly circuits: CircuitStore;
  readonly senders: { readonly [Kind in Destination['kind']]?: Sender<Extract<Destination, { kind: Kind }>> };
  readonly places: Places;
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
  /** A replay: sends these deliveries again and nothing else. */
  readonly again?: ReplaySelection;
  /** The destination's flow said that it is this delivery's turn: an open circuit does not hold it. */
  readonly turn?: boolean;
}

export interface SendInstancesResult {
  readonly deliveredCount: number;
  readonly refusedCount: number;
  readonly alreadyThereCount: number;
  /** Set when the destination took instances that it is yet to confirm. */
  readonly sentCount?: number;
  /** Set when instances wait. */
  readonly held?: Held;
}

/** Why instances wait that were to be sent. */
export interface Held {
  /**
   * `open`: the destination's circuit is open, nothing was tried. `busy`: as many deliveries as it takes are under way.
   * `failed`: it is away, or asked to send again. `more`: the time of one run is over, the next goes on.
   */
  readonly why: 'open' | 'busy' | 'failed' | 'more';
  readonly waitingCount: number;
  /** Instances that it took or refused before it failed. */
  readonly progressed: boolean;
  readonly problem?: string;
  /** When it said so itself. */
  readonly retryAfterMs?: number;
}

/** A run ends after this and the next goes on, well before the activity's own limit. */
export const runMs = 10 * 60 * 1000;

/**
 * Sends the current instances of a study to one destination and writes each answer to the delivery ledger. Idempotent by the ledger:
 * a second attempt sends what the first did not deliver; what was sent but not yet written down is sent again. A destination that is
 * away, busy or short of room is a result, not a failure: its flow says when to try again.
 *
 * @throws `UnknownDestination` for good. What fails on our side is thrown with the time of the next attempt.
 */
export const createSendInstances = (deps: SendInstancesDeps) =>
  async function sendInstances(input: SendInstancesInput): Promise<SendInstancesResult> {
    const destination = await findDestination(deps.tenants, input.tenantId, input.destinationId);
    const packs = await deps.archive.listIndexes(input.tenantId, input.studyInstanceUID, cancellationSignal());
    const ledger = await openLedger(deps, input, resolveStudy(packs).current, destination.confirmation ?? 'status');
    const waitingCount = ledger.toSend.length;
    if (waitingCount === 0) return ledger.counts();
    const open = input.turn ? undefined : await deps.circuits.get(input.tenantId, input.destinationId);
    if (open) return { ...ledger.counts(), held: { why: 'open', waitingCount, progressed: false, problem: open.problem } };
    const leave = deps.places.enter(`${input.tenantId}/${input.destinationId}`, destination.maxAssociations ?? defaultMaxAssociations);
    if (!leave) return { ...ledger.counts(), held: { why: 'busy', waitingCount, progressed: false } };
    try {
      return await sendAndNote(deps, input, destination, ledger);
    } finally {
      leave();
    }
  };

async function sendAndNote(deps: SendInstancesDeps, input: SendInstancesInput, destination: Destination, ledger: OpenLedger): Promise<SendInstancesResult> {
  const waiting = new Set(ledger.toSend.map(({ sopInstanceUID }) => sopInstanceUID));
  const allCount = waiting.size;
  let failure: unknown;
  let asked: string | undefined;
  try {
    await withHeartbeat(async () => { asked = await sendAll(deps, input, destination, ledger, waiting); });
  } catch (error) {
    failure = error;
  }
  const nextDelayMs = retryDelayMs(deps.firstRetryMs, activityInfo().attempt);
  await ledger.close([...waiting], failure, new Date(deps.now().getTime() + nextDelayMs));
  if (waiting.size === 0) return ledger.counts();
  if (failure !== undefined && cancellationSignal().aborted) throw failure;
  if (failure !== undefined && !isAboutDestination(failure)) throw later(input, waiting.size, failure, nextDelayMs);
  return { ...ledger.counts(), held: heldOf({ failure, asked, waitingCount: waiting.size, progressed: waiting.size < allCount }) };
}

/** @returns what the destination said when it asked to send an instance again */
async function sendAll(deps: SendInstancesDeps, input: SendInstancesInput, destination: Destination, ledger: OpenLedger, waiting: Set<string>): Promise<string | undefined> {
  const sender = deps.senders[destination.kind] as Sender | undefined;
  if (!sender) throw new Error(`This worker does not send to ${destination.kind} destinations; give it another role`);
  const endsAt = deps.now().getTime() + runMs;
  let asked: string | undefined;
  for await (const result of sender.send(destination, ledger.toSend.map((instance) => instanceToSend(deps.archive, input, instance, cancellationSignal())), cancellationSignal())) {
    if (result.outcome === 'later') asked = result.problem ?? 'The destination asked to send again';
    else waiting.delete(result.sopInstanceUID);
    await ledger.note(result);
    if (deps.now().getTime() > endsAt) break;
  }
  return asked;
}

function heldOf({ failure, asked, waitingCount, progressed }: { readonly failure: unknown; readonly asked: string | undefined; readonly waitingCount: number; readonly progressed: boolean }): Held {
  const problem = failure instanceof Error ? failure.message : asked;
  if (problem === undefined) return { why: 'more', waitingCount, progressed };
  const { retryAfterMs } = (failure ?? {}) as { readonly retryAfterMs?: number };
  return { why: 'failed', waitingCount, progressed, problem, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** A sender throws it when the destination, and not our side, is why the sending stopped (`stores/ports.ts`). */
export const isAboutDestination = (error: unknown): error is Error => error instanceof Error && error.name === 'DestinationUnavailable';

/** Retryable: our side could not read or write. Carries when to try again. */
const later = (input: SendInstancesInput, count: number, cause: unknown, nextDelayMs: number): ApplicationFailure =>
  ApplicationFailure.create({
    type: 'DeliveryInterrupted', nextRetryDelay: nextDelayMs, ...(cause instanceof Error ? { cause } : {}),
    message: `${count} instances of study ${input.studyInstanceUID} are not yet sent to ${input.destinationId}`
      + `${cause instanceof Error ? `: ${cause.message}` : ''}. The next attempt is in ${Math.round(nextDelayMs / 1000)} s.`,
  });
