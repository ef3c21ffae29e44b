import assert from 'node:assert/strict';
import { createArchivePack } from '../../../activities/ingest/archivePack.ts';
import { createAbortUploads } from '../../../activities/sweep/abortUploads.ts';
import { createRemoveOrphans, removePack } from '../../../activities/sweep/removeOrphans.ts';
import { packKey, tenantPrefix } from '../../../domain/keys.ts';
import { marginMs, windowMs, type PackStanding } from '../../../domain/removal.ts';
import { MemoryOrphans } from '../../../stores/memory/memoryOrphans.ts';
import { MemoryArchive, MemoryAuditLog } from '../../../stores/memory/memoryStores.ts';
import type { ArchiveStore, OrphanStore } from '../../../stores/ports.ts';
import { aPack, Crash, everyCrash, run, type APack } from './support.ts';

const dayMs = 86_400_000;
const ageMs = 7 * dayMs;

/** An archive by a clock of its own. */
function aBucket() {
  let at = Date.parse('2024-05-01T12:00:00.000Z');
  const archive = new MemoryArchive({ now: () => new Date(at) });
  const orphans = new MemoryOrphans(archive);
  return { archive, orphans, audit: new MemoryAuditLog(), later: (ms: number) => void (at += ms), now: () => new Date(at) };
}
type Bucket = ReturnType<typeof aBucket>;

async function stage(archive: ArchiveStore, { pack, headers, bytes }: APack): Promise<void> {
  await archive.putPack(pack, { lengthBytes: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length), close: async () => undefined });
  await archive.putHeaders(pack, headers);
}
const isWhole = ({ archive }: Bucket, { pack }: APack): boolean => archive.packs.has(packKey(pack, 'tar')) && archive.headers.has(packKey(pack, 'headers'));
const archivePack = ({ audit, now }: Bucket, archive: ArchiveStore) => createArchivePack({ archive, audit, now });

describe('removeOrphans', () => {
  const remove = ({ archive, orphans, audit }: Bucket, { pack: { tenantId } }: APack, given: { cursor?: string; limit?: number } = {}) =>
    run(createRemoveOrphans({ archive, orphans, audit, settleMs: 0 }), { tenantId, flowId: `${tenantId}/sweep/1`, limit: 1000, ageMs, ...given });

  it('removes what was staged long ago and never committed, and nothing else', async () => {
    const bucket = aBucket();
    const [old, young, committed] = [aPack(), aPack(), aPack()].map((pack, _, [first]) => aPack({ tenantId: first!.pack.tenantId, studyInstanceUID: pack.pack.studyInstanceUID })) as [APack, APack, APack];
    const stranger = aPack();
    for (const pack of [old, committed, stranger]) await stage(bucket.archive, pack);
    await run(archivePack(bucket, bucket.archive), committed.pack, committed.origin);
    bucket.later(ageMs);
    await stage(bucket.archive, young);

    const removed = await remove(bucket, old);
    const again = await remove(bucket, old);

    assert.deepEqual(removed, { removedCount: 1, removedBytes: old.bytes.length + old.headers.length });
    assert.deepEqual(again, { removedCount: 0, removedBytes: 0 });
    assert.deepEqual([old, young, committed, stranger].map((pack) => isWhole(bucket, pack)), [false, true, true, true]);
    assert.deepEqual([...bucket.audit.events.values()].filter(({ action }) => action === 'pack.removed').map(({ packId }) => packId), [old.pack.packId]);
  });

  it('removes a pack of nothing but duplicates', async () => {
    const bucket = aBucket();
    const first = aPack({ instances: [{}, {}] });
    const { tenantId, studyInstanceUID, seriesInstanceUID } = first.pack;
    const half = aPack({ tenantId, studyInstanceUID, seriesInstanceUID, instances: [{ sopInstanceUID: first.instances[0]!.sopInstanceUID, bytes: first.bytes.subarray(0, 1_000) }] });
    for (const pack of [first, half]) {
      await stage(bucket.archive, pack);
      await run(archivePack(bucket, bucket.archive), pack.pack, pack.origin);
    }
    bucket.later(ageMs);

    assert.equal((await remove(bucket, half)).removedCount, 1);
    assert.deepEqual([first, half].map((pack) => isWhole(bucket, pack)), [true, false]);
  });

  it('finds every orphan page by page, and takes its warrants away when they are over', async () => {
    const bucket = aBucket();
    const { pack: { tenantId } } = aPack();
    const packs = Array.from({ length: 5 }, () => aPack({ tenantId }));
    for (const pack of packs) await stage(bucket.archive, pack);
    bucket.later(ageMs);

    let cursor: string | undefined;
    do ({ next: cursor } = { next: undefined, ...await remove(bucket, packs[0]!, { limit: 3, ...(cursor ? { cursor } : {}) }) });
    while (cursor);
    const left = bucket.archive.warrants.size;
    bucket.later(windowMs + marginMs + 1);
    await remove(bucket, packs[0]!);

    assert.deepEqual([bucket.archive.packs.size, bucket.archive.headers.size, bucket.archive.warrants.size], [0, 0, 0]);
    assert.ok(left >= 5);
  });

  it('ends alike wherever it is interrupted', async () => {
    const given = aPack();
    const worlds = () => {
      const bucket = aBucket();
      let isStaged: Promise<void> | undefined;
      return {
        run: async (crash: { wrap<T extends object>(store: T): T }) => {
          await (isStaged ??= stage(bucket.archive, given).then(() => bucket.later(ageMs)));
          await run(createRemoveOrphans({ archive: crash.wrap<ArchiveStore>(bucket.archive), orphans: crash.wrap<OrphanStore>(bucket.orphans), audit: crash.wrap(bucket.audit), settleMs: 0 }),
            { tenantId: given.pack.tenantId, flowId: 'f', limit: 10, ageMs });
        },
        end: () => [bucket.archive.packs.size, bucket.archive.headers.size],
      };
    };

    assert.equal(await everyCrash(worlds, (end, whole, at) => assert.deepEqual(end, whole, at)), 6);
  });
});

describe('abortUploads', () => {
  it('aborts a tenant\'s uploads of long ago, once', async () => {
    const { orphans } = aBucket();
    const upload = (tenantId: string, uploadId: string, age: number) => orphans.uploads.push({ key: `${tenantPrefix(tenantId)}studies/1/2/a.tar`, uploadId, ageMs: age, lengthBytes: 7 });
    upload('a', '1', ageMs);
    upload('a', '2', ageMs - 1);
    upload('b', '3', ageMs);
    const abortUploads = createAbortUploads({ orphans });

    const results = [await run(abortUploads, { tenantId: 'a', ageMs }), await run(abortUploads, { tenantId: 'a', ageMs })];

    assert.deepEqual(results, [{ abortedCount: 1, abortedBytes: 7 }, { abortedCount: 0, abortedBytes: 0 }]);
    assert.deepEqual(orphans.uploads.map(({ uploadId }) => uploadId), ['2', '3']);
  });
});

/** Lets processes take turns at each of their store calls, in an order that is chosen from outside. */
class Turns {
  readonly #waiting = new Map<string, () => void>();
  readonly #open = new Set<string>();
  #crash: { readonly name: string; calls: number; readonly when: 'before' | 'after' } | undefined;

  /** The process dies, once, before or after its call of this number takes effect. */
  crashAt(name: string, calls: number, when: 'before' | 'after'): void {
    this.#crash = { name, calls, when };
  }

  start(name: string, process: () => Promise<void>): Promise<void> {
    this.#open.add(name);
    return process().finally(() => this.#open.delete(name));
  }

  turn(name: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(name, resolve));
  }

  wrap<T extends object>(name: string, store: T): T {
    return new Proxy(store, { get: (target, member) => {
      const found = Reflect.get(target, member, target) as unknown;
      if (typeof found !== 'function') return found;
      return async (...args: unknown[]): Promise<unknown> => {
        await this.turn(name);
        const dies = this.#crash?.name === name && this.#crash.calls-- === 0 ? this.#crash.when : undefined;
        if (dies === 'before') throw new Crash(String(member));
        const result = await (found as (...values: unknown[]) => Promise<unknown>).apply(target, args);
        if (dies === 'after') throw new Crash(String(member));
        return result;
      };
    } });
  }

  /** @returns who waits for a turn, when all do that have not ended */
  async ready(): Promise<readonly string[]> {
    while (this.#waiting.size < this.#open.size) await new Promise(setImmediate);
    return [...this.#waiting.keys()].toSorted();
  }

  give(name: string): void {
    const go = this.#waiting.get(name)!;
    this.#waiting.delete(name);
    go();
  }
}

const typeOf = (error: unknown): string | undefined => (error as { readonly type?: string }).type;

/** An ingest as its flow runs it: stages, archives, waits or stages again as it is told; what dies is tried again. */
async function ingest(bucket: Bucket, archive: ArchiveStore, given: APack, turns: Turns): Promise<void> {
  for (let isStaged = false; ;) {
    try {
      if (!isStaged) await stage(archive, given);
      isStaged = true;
      return void await run(archivePack(bucket, archive), given.pack, given.origin);
    } catch (error) {
      if (typeOf(error) === 'PackUnstaged') isStaged = false;
      else if (typeOf(error) === 'PackBeingRemoved') {
        await turns.turn('ingest');
        bucket.later((error as { readonly nextRetryDelay?: number }).nextRetryDelay ?? windowMs + marginMs);
      } else if (!(error instanceof Crash)) throw error;
    }
  }
}

async function sweep(archive: ArchiveStore, orphans: OrphanStore, { pack }: APack, id: string): Promise<void> {
  const warrant = { id, windowMs };
  try {
    await orphans.putWarrant(pack, warrant);
    await removePack({ archive, orphans }, pack as unknown as PackStanding, warrant, ageMs, new AbortController().signal);
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
}

interface Plan {
  /** One of so many that may go on. */
  choose(count: number): number;
  readonly crash?: readonly [name: string, calls: number, when: 'before' | 'after'];
  readonly sweeps?: number;
  /** At some moment more time passes than a warrant lasts, whoever is in the middle of what. */
  readonly hangs?: boolean;
  /** Takes the ingest's look away: the test must notice. */
  readonly isBlind?: boolean;
}

/** Runs an ingest beside sweeps of the same pack, which was staged long ago. @returns whether what was committed is there at the end */
async function race(plan: Plan): Promise<{ readonly isThere: boolean; readonly order: string }> {
  const bucket = aBucket();
  const given = aPack({ instances: [{ bytes: Buffer.alloc(8, 1) }] });
  await stage(bucket.archive, given);
  bucket.later(ageMs);
  const turns = new Turns();
  if (plan.crash) turns.crashAt(...plan.crash);
  const seen = turns.wrap<ArchiveStore>('ingest', bucket.archive);
  const blind = new Proxy(seen, { get: (target, name) => (name !== 'look' ? Reflect.get(target, name) as unknown
    : async (): Promise<PackStanding> => ({ ...given.pack, at: bucket.now(), warrants: [], tar: { lengthBytes: given.bytes.length, writtenAt: bucket.now() }, headers: { lengthBytes: 1, writtenAt: bucket.now() } })) });
  const done = Promise.all([
    turns.start('ingest', () => ingest(bucket, plan.isBlind ? blind : seen, given, turns)),
    ...Array.from({ length: plan.sweeps ?? 1 }, (_, number) => turns.start(`sweep${number}`, () =>
      sweep(turns.wrap<ArchiveStore>(`sweep${number}`, bucket.archive), turns.wrap<OrphanStore>(`sweep${number}`, bucket.orphans), given, `00000000-0000-4000-8000-00000000000${number}`))),
  ]);
  const order: string[] = [];
  for (let hasJumped = !plan.hangs, ready = await turns.ready(); ready.length > 0; ready = await turns.ready()) {
    const options: readonly string[] = hasJumped ? ready : [...ready, 'later'];
    const chosen: string = options[plan.choose(options.length)]!;
    order.push(chosen);
    if (chosen === 'later') bucket.later(windowMs + marginMs + 2_000);
    else turns.give(chosen);
    hasJumped ||= chosen === 'later';
  }
  await done;
  return { isThere: bucket.archive.indexes.has(packKey(given.pack, 'index')) && isWhole(bucket, given), order: order.join(' ') };
}

/** Every order, by the choices that were not taken yet. */
async function everyOrder(visit: (choose: Plan['choose']) => Promise<boolean>): Promise<number> {
  let prefix: number[] = [];
  for (let count = 1; ; count++) {
    const taken: number[] = [];
    const options: number[] = [];
    const goesOn = await visit((of) => {
      options.push(of);
      taken.push(prefix[taken.length] ?? 0);
      return taken.at(-1)!;
    });
    let at = taken.length - 1;
    while (at >= 0 && taken[at]! + 1 >= options[at]!) at--;
    if (!goesOn || at < 0) return count;
    prefix = [...taken.slice(0, at), taken[at]! + 1];
  }
}

describe('an ingest and a sweep of the same pack', function () {
  this.timeout(120_000);

  it('leave it whole when it is committed, in every order of their steps', async () => {
    const count = await everyOrder(async (choose) => {
      const { isThere, order } = await race({ choose });
      assert.ok(isThere, order);
      return true;
    });

    assert.ok(count > 300, `${count} orders`);
  });

  it('leave it whole wherever one of them dies or hangs for longer than a warrant lasts, and with two sweeps at once', async () => {
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
    for (let round = 0; round < 2_000; round++) {
      const crash = [['ingest', 'sweep0', 'sweep1'][random(3)]!, random(9), random(2) ? 'before' : 'after'] as const;

      const { isThere, order } = await race({ choose: random, hangs: true, sweeps: 1 + random(2), crash });

      assert.ok(isThere, `${crash.join(' ')}: ${order}`);
    }
  });

  it('would lose it if the ingest did not look', async () => {
    let isLost = false;
    await everyOrder(async (choose) => {
      isLost = !(await race({ choose, isBlind: true })).isThere;
      return !isLost;
    });

    assert.ok(isLost);
  });
});
