import { isSelected, keptOf, type DeliveryLedger, type InstanceDelivery } from '../../domain/delivery.ts';
import type { Confirmation } from '../../domain/tenant.ts';
import type { CurrentInstance } from '../../domain/documents.ts';
import type { SendResult } from '../../stores/ports.ts';
import type { SendInstancesDeps, SendInstancesInput, SendInstancesResult } from './sendInstances.ts';

/** A delivery ledger while an attempt runs: what to send, and a place to note each answer. */
export interface OpenLedger {
  readonly toSend: readonly CurrentInstance[];
  /** What the destination took and has not confirmed yet. */
  readonly unconfirmed: readonly CurrentInstance[];
  /** What is to be sent, again or for the first time, and was noted so. */
  readonly waiting: readonly CurrentInstance[];
  /** What is neither delivered nor given up. */
  readonly open: readonly CurrentInstance[];
  /** Changes one entry; written at the end. */
  change(sopInstanceUID: string, change: Partial<InstanceDelivery>): void;
  write(): Promise<void>;
  /** Notes one answer; writes the ledger now and then. */
  note(result: SendResult): Promise<void>;
  /** Marks what the destination has not taken and writes the ledger. */
  close(waiting: readonly string[], problem: unknown, nextAttemptAt: Date): Promise<void>;
  counts(): SendInstancesResult;
}

/** Answers that may be noted before they are written: what a crash would send again. */
const unwrittenLimit = 50;

export type LedgerDeps = Pick<SendInstancesDeps, 'deliveries' | 'now'>;
type LedgerInput = Pick<SendInstancesInput, 'tenantId' | 'studyInstanceUID' | 'destinationId' | 'flowId' | 'resend' | 'retryRefused' | 'again'>;

/** Reads the ledger and decides, instance by instance, what this flow still has to send. */
export async function openLedger(deps: LedgerDeps, input: LedgerInput, current: readonly CurrentInstance[], confirmation: Confirmation): Promise<OpenLedger> {
  const stored = await deps.deliveries.get(input.tenantId, input.destinationId, input.studyInstanceUID);
  const before = new Map(stored.value.instances.map((entry) => [entry.sopInstanceUID, entry]));
  const toSend = current.filter((instance) => mustSend(instance, before.get(instance.sopInstanceUID), input));
  const digests = new Map(current.map(({ sopInstanceUID, sha256 }) => [sopInstanceUID, sha256]));
  const alreadyThereCount = current.filter((instance) => {
    const entry = before.get(instance.sopInstanceUID);
    return deliveredElsewhere(entry, input) && !mustSend(instance, entry, input);
  }).length;
  const touched = new Map<string, InstanceDelivery>();

  const touch = (sopInstanceUID: string, change: Partial<InstanceDelivery>) => {
    const earlier = touched.get(sopInstanceUID) ?? before.get(sopInstanceUID);
    const base: InstanceDelivery = { sopInstanceUID, sha256: digests.get(sopInstanceUID) ?? '', state: 'waiting', attempts: earlier?.attempts ?? 0 };
    touched.set(sopInstanceUID, { ...base, ...keptBefore(earlier, input), lastAttemptAt: deps.now().toISOString(), ...change });
  };
  const write = () => merge(deps, input, touched);
  let unwritten = 0;

  const inState = (...states: readonly InstanceDelivery['state'][]) => current.filter(({ sopInstanceUID, sha256 }) => {
    const entry = before.get(sopInstanceUID);
    return entry?.sha256 === sha256 && states.includes(entry.state) && (!input.again || entry.replayedBy === input.flowId);
  });
  return {
    toSend, unconfirmed: inState('sent'), waiting: inState('waiting'), open: inState('waiting', 'sent', 'refused'), write,
    change(sopInstanceUID, change) {
      touched.set(sopInstanceUID, { ...(touched.get(sopInstanceUID) ?? before.get(sopInstanceUID)!), ...change });
    },
    async note({ sopInstanceUID, outcome, status, problem, sentAs }) {
      const attempts = (before.get(sopInstanceUID)?.attempts ?? 0) + 1;
      touch(sopInstanceUID, {
        state: outcome === 'later' ? 'waiting' : outcome === 'delivered' && confirmation !== 'status' ? 'sent' : outcome, attempts,
        ...(status === undefined ? {} : { lastStatus: status }), ...(problem === undefined ? {} : { lastProblem: problem }),
        ...(sentAs === undefined ? {} : { sentAs }), ...(outcome === 'later' ? {} : { deliveredBy: input.flowId }),
      });
      if (++unwritten >= unwrittenLimit) {
        await write();
        unwritten = 0;
      }
    },
    async close(waiting, problem, nextAttemptAt) {
      for (const sopInstanceUID of waiting) {
        const tried = touched.get(sopInstanceUID);
        touch(sopInstanceUID, {
          ...tried, state: 'waiting', attempts: tried?.attempts ?? (before.get(sopInstanceUID)?.attempts ?? 0) + 1, nextAttemptAt: nextAttemptAt.toISOString(),
          ...(problem instanceof Error ? { lastProblem: problem.message } : {}),
        });
      }
      if (touched.size > 0) await write();
    },
    counts() {
      const states = current.map(({ sopInstanceUID }) => touched.get(sopInstanceUID) ?? before.get(sopInstanceUID));
      const mine = states.filter((entry) => entry?.deliveredBy === input.flowId);
      const sentCount = states.filter((entry) => entry?.state === 'sent').length;
      return { ...(sentCount > 0 ? { sentCount } : {}), deliveredCount: mine.filter((entry) => entry?.state === 'delivered').length,
        refusedCount: states.filter((entry) => entry?.state === 'refused').length, alreadyThereCount };
    },
  };
}

/** A ledger is no log, but what a replay replaces stays with the entry. */
function keptBefore(before: InstanceDelivery | undefined, { again, flowId }: LedgerInput): Pick<InstanceDelivery, 'replayedBy' | 'earlier'> {
  if (again && before) return keptOf(before, flowId);
  return before?.earlier ? { earlier: before.earlier } : {};
}

function mustSend(instance: CurrentInstance, entry: InstanceDelivery | undefined, input: LedgerInput): boolean {
  if (input.again) {
    if (!entry) return false;
    if (entry.replayedBy !== input.flowId) return isSelected(entry, input.again);
    return entry.state === 'waiting' || (entry.state === 'refused' && input.retryRefused);
  }
  if (!entry || entry.sha256 !== instance.sha256 || entry.state === 'waiting') return true;
  const mine = entry.deliveredBy === input.flowId;
  if (entry.state === 'refused' || entry.state === 'skipped') return input.retryRefused || (input.resend && !mine);
  return input.resend && !mine;
}

const deliveredElsewhere = (entry: InstanceDelivery | undefined, { flowId }: LedgerInput): boolean =>
  entry?.state === 'delivered' && entry.deliveredBy !== flowId;

/** Puts our entries into the ledger as it is now: another flow may write to the same destination and study. */
async function merge(deps: LedgerDeps, input: LedgerInput, touched: ReadonlyMap<string, InstanceDelivery>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { value, etag } = await deps.deliveries.get(input.tenantId, input.destinationId, input.studyInstanceUID);
    const entries = new Map(value.instances.map((entry) => [entry.sopInstanceUID, entry]));
    for (const [sopInstanceUID, entry] of touched) entries.set(sopInstanceUID, entry);
    const ledger: DeliveryLedger = { ...value, updatedAt: deps.now().toISOString(), instances: [...entries.values()] };
    try {
      await deps.deliveries.put(ledger, etag);
      return;
    } catch (error) {
      if (attempt >= 10 || !isVersionConflict(error)) throw error;
    }
  }
}

const isVersionConflict = (error: unknown): boolean => error instanceof Error && error.name === 'VersionConflict';
