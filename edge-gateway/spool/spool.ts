import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackOrigin, SpooledPack } from '../../domain/pack.ts';
import type { AssociationEnd, AssociationInfo } from '../services/service.ts';
import type { Logger } from '../logger.ts';
import { SpooledAssociation } from './association.ts';
import type { Clock } from './clock.ts';
import type { IncomingInstance } from './incoming.ts';
import { Journal, type JournalLine } from './journal.ts';
import type { InstanceIdentity } from './openPack.ts';
import { associationFolder, isAssociationId, isMissing, isTrash, journalName, parseFileName, trashName } from './paths.ts';
import { isDone, setAsidePacks, waitingPacks, type AssociationRecord } from './record.ts';
import { recoverFolder } from './recovery.ts';

export interface SpoolDeps {
  readonly spoolDir: string;
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * There is something to tell the cloud: a pack closed, the association ended, or packs that were set aside came back;
   * those are told again.
   */
  readonly onWork: (record: AssociationRecord, cameBack?: readonly string[]) => void;
}

/** One association's way into the spool. */
export interface SpoolSession {
  /** Starts taking an instance; commit or discard it before the next. */
  receive(identity: InstanceIdentity): IncomingInstance;
  end(how: AssociationEnd): Promise<void>;
}

export interface SpoolTotals {
  readonly liveAssociations: number;
  readonly openPacks: number;
  /** Closed and not released by the cloud. */
  readonly waitingPacks: number;
  readonly waitingInstances: number;
  readonly waitingAssociations: number;
  /** Given up by a person and kept. */
  readonly setAsidePacks: number;
  readonly setAsideInstances: number;
  /** Of all of these. */
  readonly bytes: number;
}

const recoveriesAtOnce = 8;
/** How often a folder that could not be recovered is tried again. */
const mendEveryMs = 30_000;
/** A sweep visits this many folders, or a twentieth of all. */
const sweepMinCount = 200;

/** All associations on this gateway's disk. Owned by one gateway process. */
export class Spool {
  readonly #deps: SpoolDeps;
  readonly #records = new Map<string, AssociationRecord>();
  readonly #live = new Map<string, SpooledAssociation>();
  /** Folders that a disk error left in disorder, with how their association ended. */
  readonly #broken = new Map<string, AssociationEnd>();
  #mendAt = 0;
  #sweepQueue: string[] = [];

  constructor(deps: SpoolDeps) {
    this.#deps = deps;
  }

  /** Takes over what an earlier process left. Before the first association; a folder that cannot be read stops no other. */
  async recover(): Promise<void> {
    const { spoolDir } = this.#deps;
    await mkdir(spoolDir, { recursive: true });
    const names = await readdir(spoolDir);
    for (const name of names.filter(isTrash)) await rm(join(spoolDir, name), { recursive: true, force: true });
    const waiting = names.filter(isAssociationId).sort();
    const lane = async (): Promise<void> => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await this.#recoverOne(id, 'lost');
    };
    await Promise.all(Array.from({ length: recoveriesAtOnce }, lane));
  }

  open(info: AssociationInfo): SpoolSession {
    const { associationId } = info;
    const { spoolDir, tenantId, gatewayId, clock, log } = this.#deps;
    const association: SpooledAssociation = new SpooledAssociation(info, {
      tenantId, gatewayId, clock, folder: associationFolder(spoolDir, associationId),
      onPackClosed: (pack) => this.#add(pack, association.origin),
      onBroken: (error) => log.error({ associationId, err: error }, 'A pack could not be closed; it stays on disk and is tried again'),
    });
    this.#live.set(associationId, association);
    return {
      receive: (identity) => association.receive(identity),
      end: (how) => this.#end(associationId, association, how),
    };
  }

  records(): Iterable<AssociationRecord> {
    return this.#records.values();
  }

  /** Looks which packs of an association were released, set aside or brought back since. */
  async refresh(record: AssociationRecord): Promise<void> {
    const folder = associationFolder(this.#deps.spoolDir, record.associationId);
    const names = await readdir(folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    const cameBack: string[] = [];
    const files = names.map(parseFileName).filter((file) => 'packId' in file);
    for (const [packId, found] of Map.groupBy(files, (file) => file.packId)) {
      const state = record.packs.get(packId);
      const has = (kind: 'pack' | 'released' | 'aside'): boolean => found.some((file) => file.kind === kind);
      // A rename while the folder is read may show neither name, or both: then nothing changes before the next look.
      if (state === undefined || (has('pack') && has('aside'))) continue;
      // A mark beside a tar is of a release that was cut short.
      if (has('pack') && state.setAside) cameBack.push(packId);
      state.setAside = has('aside');
      state.released ||= !has('pack') && !has('aside');
    }
    if (isDone(record)) await this.#remove(record.associationId);
    else if (cameBack.length > 0) this.#deps.onWork(record, cameBack);
  }

  /** Called every second or so: notices released packs, removes folders that are done, mends those that are broken. */
  async sweep(): Promise<void> {
    if (this.#deps.clock.now() >= this.#mendAt) {
      this.#mendAt = this.#deps.clock.now() + mendEveryMs;
      for (const [associationId, how] of [...this.#broken]) await this.#recoverOne(associationId, how);
    }
    if (this.#sweepQueue.length === 0) this.#sweepQueue = [...this.#records.keys()];
    const count = Math.max(sweepMinCount, Math.ceil(this.#records.size / 20));
    for (const associationId of this.#sweepQueue.splice(0, count)) {
      const record = this.#records.get(associationId);
      if (record !== undefined) await this.refresh(record);
    }
  }

  /** The workflow knows of the end. Safe to repeat; where it cannot be written down, it is told once more after a restart. */
  async markEndTold(record: AssociationRecord): Promise<void> {
    record.endTold = true;
    await this.#note(record, { type: 'endTold', at: this.#deps.clock.timestamp() }).catch((error: unknown) =>
      this.#deps.log.warn({ associationId: record.associationId, err: error }, 'That the end was told could not be written down'));
    await this.refresh(record);
  }

  /** The workflow is started again for the packs that wait. Synced first: the end told later depends on it. */
  async markReopened(record: AssociationRecord): Promise<void> {
    const released = [...record.packs.values()].filter((state) => state.released || state.setAside);
    const instanceCount = released.reduce((sum, { pack }) => sum + pack.instanceCount, 0);
    await this.#note(record, { type: 'reopened', at: this.#deps.clock.timestamp(), releasedPackCount: released.length, releasedInstanceCount: instanceCount });
    record.releasedBefore = { packCount: released.length, instanceCount };
    record.endTold = false;
  }

  /** Packs that were given up, of all associations. */
  setAside(): readonly SpooledPack[] {
    return [...this.#records.values()].flatMap(setAsidePacks);
  }

  totals(): SpoolTotals {
    const live = [...this.#live.values()];
    const waiting = [...this.#records.values()].map(waitingPacks);
    const aside = this.setAside();
    const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
    return {
      liveAssociations: live.length,
      openPacks: sum(live.map((association) => association.openPackCount)),
      waitingPacks: sum(waiting.map((packs) => packs.length)),
      waitingInstances: sum(waiting.flat().map((pack) => pack.instanceCount)),
      waitingAssociations: waiting.filter((packs) => packs.length > 0).length,
      setAsidePacks: aside.length,
      setAsideInstances: sum(aside.map((pack) => pack.instanceCount)),
      bytes: sum(live.map((association) => association.liveBytes)) + sum([...waiting.flat(), ...aside].map((pack) => pack.lengthBytes)),
    };
  }

  #add(pack: SpooledPack, origin: PackOrigin): void {
    const { associationId, tenantId } = pack;
    const record = this.#records.get(associationId)
      ?? { associationId, tenantId, origin, packs: new Map(), end: undefined, endTold: false, releasedBefore: undefined };
    this.#records.set(associationId, record);
    record.packs.set(pack.packId, { pack, released: false, setAside: false });
    this.#deps.onWork(record);
  }

  async #end(associationId: string, association: SpooledAssociation, how: AssociationEnd): Promise<void> {
    const end = await association.end(how);
    this.#live.delete(associationId);
    if (end === undefined) {
      if (association.isBroken) this.#broken.set(associationId, how);
      return;
    }
    const record = this.#records.get(associationId);
    if (record === undefined) return this.#remove(associationId);
    record.end = end;
    this.#deps.onWork(record);
  }

  async #recoverOne(associationId: string, how: AssociationEnd): Promise<void> {
    const { log, onWork } = this.#deps;
    try {
      const { record, closedCount, tornLineCount, lost } = await recoverFolder(this.#deps, associationId, how);
      this.#broken.delete(associationId);
      if (lost.length > 0) log.error({ associationId, lost }, 'Instances that were acknowledged are no longer on the disk');
      if (record === undefined || isDone(record)) return await this.#remove(associationId);
      log.info({ associationId, closedCount, tornLineCount, waiting: waitingPacks(record).length }, 'Association recovered');
      this.#records.set(associationId, record);
      onWork(record);
    } catch (error) {
      this.#broken.set(associationId, how);
      log.error({ associationId, err: error }, 'An association cannot be recovered now; it stays on disk and is tried again');
    }
  }

  /** In one step out of sight, so that a removal cut short is not taken for lost packs. */
  async #remove(associationId: string): Promise<void> {
    const { spoolDir } = this.#deps;
    this.#records.delete(associationId);
    const trash = join(spoolDir, trashName(associationId));
    try {
      await rename(associationFolder(spoolDir, associationId), trash);
      await rm(trash, { recursive: true, force: true });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async #note(record: AssociationRecord, line: JournalLine): Promise<void> {
    const journal = await Journal.open(join(associationFolder(this.#deps.spoolDir, record.associationId), journalName));
    try {
      await journal.record(line);
    } finally {
      await journal.close();
    }
  }
}
