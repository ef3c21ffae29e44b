import type { GivenUp, PackOutcome } from '../domain/pack.ts';
import type { AssociationEnded, IngestCarried, IngestOutcome, PackWork, ParkedPack } from './contracts.ts';

/** Pack IDs remembered against a signal that comes twice. */
const maxSeen = 1000;

/** What an association's flow has been told, and how far each pack is. Goes over continue-as-new. */
export interface PackQueue {
  /** Takes each pack once; what is no pack is left out. */
  add(work: PackWork): void;
  /** The first end counts. */
  end(end: AssociationEnded): void;
  /** The next pack to work on; `done`, `abandoned` or `park` follows. */
  take(): PackWork | undefined;
  done(outcome: PackOutcome): void;
  /** A pack that was given up is set aside. */
  abandoned(): void;
  park(parked: ParkedPack): void;
  /** A person decided about a parked pack: it is tried again, or set aside. */
  unpark(packId: string, givenUp?: GivenUp): void;
  /** The gateway is given up: what was not told by now never comes. */
  lose(at: string): void;
  readonly hasWaiting: boolean;
  /** The association has ended and no pack of it waits; some may be in work. */
  readonly allTaken: boolean;
  readonly finished: boolean;
  readonly ended: AssociationEnded | undefined;
  readonly outcome: IngestOutcome;
  readonly openCount: number;
  carry(): IngestCarried;
}

export function openPackQueue(carried: IngestCarried | undefined): PackQueue {
  const waiting: PackWork[] = [...(carried?.waiting ?? [])];
  const parked = new Map<string, ParkedPack>((carried?.parked ?? []).map((pack) => [pack.work.pack.packId, pack]));
  const seen = new Set(carried?.seenPackIds ?? []);
  let seenCount = carried?.seenCount ?? 0;
  let outcome: IngestOutcome = carried?.outcome ?? noOutcome;
  let ended: AssociationEnded | undefined = carried?.end;
  let working = 0;

  return {
    add(work) {
      if (!isPackWork(work) || seen.has(work.pack.packId)) return;
      seen.add(work.pack.packId);
      seenCount++;
      waiting.push(work);
    },
    end(end) {
      if (Number.isInteger(end?.packCount)) ended ??= end;
    },
    take() {
      const work = waiting.shift();
      if (work) working++;
      return work;
    },
    done(pack) {
      working--;
      outcome = add(outcome, pack);
    },
    abandoned() {
      working--;
      outcome = { ...outcome, packCount: outcome.packCount + 1, abandonedPackCount: outcome.abandonedPackCount + 1 };
    },
    park(pack) {
      working--;
      parked.set(pack.work.pack.packId, pack);
    },
    unpark(packId, givenUp) {
      const pack = parked.get(packId);
      if (!pack) return;
      parked.delete(packId);
      waiting.push(givenUp ? { ...pack.work, givenUp } : pack.work);
    },
    lose(at) {
      const instanceCount = outcome.acceptedCount + outcome.quarantinedCount + outcome.duplicateCount + outcome.conflictCount;
      if (seenCount < (ended?.packCount ?? Infinity)) ended = { how: 'lost', packCount: seenCount, instanceCount, at };
    },
    get hasWaiting() {
      return waiting.length > 0;
    },
    get allTaken() {
      return ended !== undefined && seenCount >= ended.packCount && waiting.length === 0 && parked.size === 0;
    },
    get finished() {
      return this.allTaken && working === 0;
    },
    get ended() {
      return ended;
    },
    get outcome() {
      return outcome;
    },
    get openCount() {
      return waiting.length + parked.size + working;
    },
    carry: () => ({ waiting, parked: [...parked.values()], seenPackIds: [...seen].slice(-maxSeen), seenCount, outcome, ...(ended ? { end: ended } : {}) }),
  };
}

/** A signal comes from outside: one that is malformed must not stop the flow. */
function isPackWork(work: unknown): work is PackWork {
  const { kind, pack } = (work ?? {}) as { readonly kind?: unknown; readonly pack?: Partial<Record<string, unknown>> };
  return (kind === 'spooled' || kind === 'staged') && ['tenantId', 'studyInstanceUID', 'seriesInstanceUID', 'packId', 'gatewayId'].every((name) => typeof pack?.[name] === 'string');
}

const noOutcome: IngestOutcome = { packCount: 0, acceptedCount: 0, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0, abandonedPackCount: 0 };

const add = (sum: IngestOutcome, pack: PackOutcome): IngestOutcome => ({
  packCount: sum.packCount + 1,
  acceptedCount: sum.acceptedCount + pack.acceptedCount,
  quarantinedCount: sum.quarantinedCount + pack.quarantinedCount,
  duplicateCount: sum.duplicateCount + pack.duplicateCount,
  conflictCount: sum.conflictCount + pack.conflictCount,
  abandonedPackCount: sum.abandonedPackCount,
});
