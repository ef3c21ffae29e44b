import type { PackOrigin } from '../domain/pack.ts';
import type { Priority } from '../domain/tenant.ts';
import type { AssociationRecord } from './spool/record.ts';
import { endForWorkflow, waitingPacks } from './spool/record.ts';
import type { Clock } from './spool/clock.ts';
import type { FlowClient, FlowMessage } from './flowClient.ts';
import type { Logger } from './logger.ts';

/** What the starter asks of the spool. */
export interface StarterSpool {
  refresh(record: AssociationRecord): Promise<void>;
  markEndTold(record: AssociationRecord): Promise<void>;
  markReopened(record: AssociationRecord): Promise<void>;
}

export interface StarterDeps {
  readonly client: FlowClient;
  readonly spool: StarterSpool;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a failure concerns one association's message alone. */
  readonly isAboutTheMessage: (error: unknown) => boolean;
  /** Of what an association brought: the urgent is told first. */
  readonly priorityOf: (origin: PackOrigin) => Priority;
  /** 0 … 1, for jitter. */
  readonly random: () => number;
}

export interface StarterState {
  /** Associations with something to tell. */
  readonly behind: number;
  /** When the cloud last took something, ISO 8601 UTC. */
  readonly lastToldAt: string | undefined;
  /** What the cloud's absence looks like, undefined when it answers. */
  readonly problem: string | undefined;
}

/** Calls to the cloud at once. */
export const lanes = 8;
/** How long `stop` waits for calls under way. */
const lastCallsMs = 2_000;
const firstDelayMs = 500;
const maxDelayMs = 30_000;
const maxOwnDelayMs = 300_000;
/** A workflow that is over again and again though packs wait is started again ever more rarely. */
const firstReopenDelayMs = 60_000;
const maxReopenDelayMs = 6 * 3_600_000;
/** A pack that the cloud has not released for this long is signalled again: its flow may have been terminated. */
export const tellAgainAfterMs = 6 * 3_600_000;

interface Conversation {
  record: AssociationRecord;
  /** packId → when it was told, in this process. */
  readonly told: Map<string, number>;
  reopen: boolean;
  reopenCount: number;
  ownFailures: number;
  state: 'queued' | 'running' | 'waiting' | 'quiet';
}

/**
 * Tells the cloud what the spool holds: each association's packs in order, then its end. It blocks nobody: what cannot
 * be told now is told later, for as long as it takes.
 *
 * Nothing is lost, because the spool is the memory: a pack is told until its tar is released, whatever became of the
 * calls, and after a restart everything that waits is told again. Nothing is doubled, because the workflow takes each
 * pack and the end once, and a second start joins the first. When the workflow is over: with every pack released it did
 * its work, and the end counts as told. With packs still here (it was terminated, or is past its retention) it is
 * started again under the same ID, for these packs alone; their keys follow from their content, so whatever the first
 * run did to them is found done.
 *
 * What is more urgent is told first: after an outage everything that waits of it, before anything else.
 * While the cloud is away one call at a time finds out whether it is back.
 */
export class Starter {
  readonly #deps: StarterDeps;
  readonly #conversations = new Map<string, Conversation>();
  /** One queue for each priority, 1 first. */
  readonly #queues: readonly Conversation[][] = [[], [], [], [], []];
  #running = 0;
  #failuresInRow = 0;
  #pausedUntil = 0;
  #cancelResume: (() => void) | undefined;
  #stopped = false;
  #idle: (() => void) | undefined;
  #lastToldAt: string | undefined;
  #problem: string | undefined;

  constructor(deps: StarterDeps) {
    this.#deps = deps;
  }

  /**
   * There may be something new to tell about this association. Cheap; never throws.
   *
   * @param tellAgain packs that were told before, and are to be told once more
   */
  notice(record: AssociationRecord, tellAgain: readonly string[] = []): void {
    const known = this.#conversations.get(record.associationId);
    const conversation = known ?? { record, told: new Map<string, number>(), reopen: false, reopenCount: 0, ownFailures: 0, state: 'quiet' as const };
    conversation.record = record;
    for (const packId of tellAgain) conversation.told.delete(packId);
    this.#conversations.set(record.associationId, conversation);
    if (conversation.state === 'quiet') this.#enqueue(conversation);
  }

  /** Called now and then: forgets associations that are gone, and tells old packs again. */
  review(records: Iterable<AssociationRecord>): void {
    const present = new Map([...records].map((record) => [record.associationId, record]));
    const before = this.#deps.clock.now() - tellAgainAfterMs;
    for (const [id, conversation] of this.#conversations) {
      if (!present.has(id) && conversation.state === 'quiet') this.#conversations.delete(id);
      for (const [packId, toldAt] of conversation.told) if (toldAt <= before) conversation.told.delete(packId);
    }
    for (const record of present.values()) this.notice(record);
  }

  get state(): StarterState {
    const behind = [...this.#conversations.values()].filter((conversation) => conversation.state !== 'quiet').length;
    return { behind, lastToldAt: this.#lastToldAt, problem: this.#problem };
  }

  /** Makes no more calls. Those under way get a moment; what becomes of them later, the next process finds out. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelResume?.();
    if (this.#running > 0) await new Promise<void>((resolve) => {
      this.#idle = resolve;
      this.#deps.clock.after(lastCallsMs, resolve);
    });
    await this.#deps.client.close();
  }

  #enqueue(conversation: Conversation): void {
    this.#queue(conversation);
    this.#pump();
  }

  #queue(conversation: Conversation): void {
    conversation.state = 'queued';
    this.#queues[this.#deps.priorityOf(conversation.record.origin) - 1]!.push(conversation);
  }

  #takeFirst(): Conversation | undefined {
    return this.#queues.find((queue) => queue.length > 0)?.shift();
  }

  #pump(): void {
    const waitMs = this.#pausedUntil - this.#deps.clock.now();
    if (waitMs > 0) {
      this.#cancelResume?.();
      this.#cancelResume = this.#deps.clock.after(waitMs, () => this.#pump());
      return;
    }
    const open = this.#failuresInRow > 0 ? 1 : lanes;
    while (!this.#stopped && this.#running < open) {
      const first = this.#takeFirst();
      if (first === undefined) return;
      void this.#run(first);
    }
  }

  async #run(conversation: Conversation): Promise<void> {
    this.#running++;
    conversation.state = 'running';
    try {
      const message = this.#nextMessage(conversation);
      if (message === undefined) conversation.state = 'quiet';
      else {
        this.#succeeded(conversation, await this.#tell(conversation, message));
      }
    } catch (error) {
      this.#failed(conversation, error);
    } finally {
      this.#running--;
      if (this.#running === 0) this.#idle?.();
      this.#pump();
    }
  }

  /** Packs first, in order, then the end; undefined when all is told. */
  #nextMessage({ record, told, reopen }: Conversation): FlowMessage | undefined {
    const { tenantId, origin } = record;
    const about = { tenantId, origin, priority: this.#deps.priorityOf(origin), reopen };
    const pack = waitingPacks(record).find((waiting) => !told.has(waiting.packId));
    if (pack !== undefined) return { ...about, news: { kind: 'packReady', work: { kind: 'spooled', pack } } };
    const end = record.endTold ? undefined : endForWorkflow(record);
    return end && { ...about, news: { kind: 'associationEnded', end } };
  }

  /** @returns after how many milliseconds the association goes on */
  async #tell(conversation: Conversation, message: FlowMessage): Promise<number> {
    const { client, spool, clock, log } = this.#deps;
    const { record } = conversation;
    if (await client.tell(message) === 'told') {
      conversation.reopen = false;
      if (message.news.kind === 'packReady') conversation.told.set(message.news.work.pack.packId, clock.now());
      else await spool.markEndTold(record);
      return 0;
    }
    await spool.refresh(record);
    const waiting = waitingPacks(record).length;
    if (waiting === 0) {
      if (record.end !== undefined) await spool.markEndTold(record);
      return 0;
    }
    await spool.markReopened(record);
    conversation.told.clear();
    conversation.reopen = true;
    const delayMs = conversation.reopenCount === 0 ? 0 : doubled(firstReopenDelayMs, conversation.reopenCount - 1, maxReopenDelayMs);
    conversation.reopenCount++;
    log.warn({ associationId: record.associationId, waiting, delayMs }, 'The association\'s workflow is over though packs wait here; it is started again');
    return delayMs;
  }

  #succeeded(conversation: Conversation, delayMs: number): void {
    if (this.#problem !== undefined) this.#deps.log.info({}, 'The cloud answers again');
    this.#failuresInRow = 0;
    this.#problem = undefined;
    this.#lastToldAt = this.#deps.clock.timestamp();
    conversation.ownFailures = 0;
    if (delayMs > 0) return this.#enqueueAfter(conversation, delayMs);
    this.#queue(conversation);
  }

  #enqueueAfter(conversation: Conversation, delayMs: number): void {
    conversation.state = 'waiting';
    this.#deps.clock.after(delayMs, () => this.#enqueue(conversation));
  }

  #failed(conversation: Conversation, error: unknown): void {
    const { clock, log, random, isAboutTheMessage } = this.#deps;
    const { associationId } = conversation.record;
    if (isAboutTheMessage(error)) {
      const delayMs = jittered(doubled(firstDelayMs, conversation.ownFailures++, maxOwnDelayMs), random);
      log.error({ associationId, err: error, delayMs }, 'The cloud does not take what is told of an association');
      return this.#enqueueAfter(conversation, delayMs);
    }
    // Calls that were under way together fail together: that counts once.
    if (clock.now() >= this.#pausedUntil) this.#pausedUntil = clock.now() + jittered(doubled(firstDelayMs, this.#failuresInRow++, maxDelayMs), random);
    if (this.#problem === undefined) log.warn({ err: error }, 'The cloud does not answer; what was received waits in the spool');
    this.#problem = rootOf(error);
    this.#queue(conversation);
  }
}

const doubled = (firstMs: number, times: number, maxMs: number): number => Math.min(firstMs * 2 ** Math.min(times, 30), maxMs);
const jittered = (ms: number, random: () => number): number => Math.ceil(ms * (0.5 + random() / 2));

/** What lies at the bottom of a wrapped error, in its own words. */
function rootOf(error: unknown): string {
  let cause = error;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
}
