import { mkdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PackedInstance } from '../../domain/instance.ts';
import { packLimits, type PackOrigin, type SpooledPack } from '../../domain/pack.ts';
import type { AssociationEnded } from '../../workflows/contracts.ts';
import type { AssociationEnd, AssociationInfo } from '../services/service.ts';
import type { Clock } from './clock.ts';
import { IncomingInstance, type PackLender } from './incoming.ts';
import { Journal } from './journal.ts';
import { OpenPack, packIdOf, type InstanceIdentity, type SeriesIdentity } from './openPack.ts';
import { journalName, packName, sideName, syncFolder } from './paths.ts';

/** Open packs of one association; one more closes the least recently used. */
export const maxOpenPacks = 32;

export interface AssociationDeps {
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly folder: string;
  readonly clock: Clock;
  readonly onPackClosed: (pack: SpooledPack) => void;
  /** A pack could not be closed: its tar and journal are left as they are for recovery. */
  readonly onBroken: (error: unknown) => void;
}

interface Slot {
  readonly pack: OpenPack;
  lastUsedAt: number;
  cancelIdle: (() => void) | undefined;
}

/** What one association has received and not yet handed over. Requests come one after the other; closing runs beside them. */
export class SpooledAssociation implements PackLender {
  readonly origin: PackOrigin;
  readonly #info: AssociationInfo;
  readonly #deps: AssociationDeps;
  readonly #slots = new Map<string, Slot>();
  readonly #closing = new Set<Promise<void>>();
  #journal: Journal | undefined;
  #nextFile = 0;
  #idleMs: number = packLimits.idleMinMs;
  /** Of the packs handed over. The same content again, in another pack, counts once. */
  readonly #packIds = new Set<string>();
  #instanceCount = 0;
  #liveBytes = 0;
  #broken = false;

  constructor(info: AssociationInfo, deps: AssociationDeps) {
    this.#info = info;
    this.#deps = deps;
    this.origin = { kind: 'dimse', gatewayId: deps.gatewayId, associationId: info.associationId,
      callingAETitle: info.callingAETitle, calledAETitle: info.calledAETitle, receivedAt: info.acceptedAt };
  }

  /** Bytes on disk that are in no closed pack. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** A pack could not be closed: what the folder holds is for recovery to tell. */
  get isBroken(): boolean {
    return this.#broken;
  }

  get openPackCount(): number {
    return this.#slots.size;
  }

  /** Starts taking an instance; the one before must be committed or discarded. */
  receive(identity: InstanceIdentity): IncomingInstance {
    return new IncomingInstance(this, identity);
  }

  wrote(bytes: number): void {
    this.#liveBytes += bytes;
  }

  async borrow(series: SeriesIdentity): Promise<OpenPack> {
    const key = seriesKey(series);
    const slot = this.#slots.get(key);
    if (slot === undefined) return this.#openPack(series);
    slot.cancelIdle?.();
    return slot.pack;
  }

  async giveBack(pack: OpenPack, instance: PackedInstance | undefined): Promise<void> {
    const { clock } = this.#deps;
    if (instance !== undefined) {
      this.#instanceCount++;
      this.#journal!.note({ type: 'instance', at: clock.timestamp(), file: pack.file, ...instance });
    }
    const slot = this.#slots.get(seriesKey(pack.series))!;
    slot.lastUsedAt = clock.now();
    if (pack.lengthBytes >= packLimits.lengthBytes || pack.instances.length >= packLimits.instanceCount) this.#startClose(slot);
    else slot.cancelIdle = clock.after(this.#idleMs, () => this.#closeIdle(slot));
  }

  async nextSidePath(): Promise<string> {
    await this.#openJournal();
    return join(this.#deps.folder, sideName(this.#nextFile++));
  }

  /**
   * Closes what is open and writes down the end. Called once, after the last instance.
   *
   * @returns undefined when nothing was stored, or when a pack could not be closed: recovery tells the end then
   */
  async end(how: AssociationEnd): Promise<AssociationEnded | undefined> {
    for (const slot of [...this.#slots.values()]) this.#startClose(slot);
    await Promise.all(this.#closing);
    const journal = this.#journal;
    if (journal === undefined) return undefined;
    const end: AssociationEnded = { how, packCount: this.#packIds.size, instanceCount: this.#instanceCount, at: this.#deps.clock.timestamp() };
    try {
      if (this.#broken) return undefined;
      await journal.record({ type: 'ended', at: end.at, end });
      return end;
    } catch (error) {
      this.#broken = true;
      this.#deps.onBroken(error);
      return undefined;
    } finally {
      await journal.close();
    }
  }

  async #openPack(series: SeriesIdentity): Promise<OpenPack> {
    const journal = await this.#openJournal();
    if (this.#slots.size >= maxOpenPacks) this.#startClose(this.#leastRecentlyUsed());
    const pack = await OpenPack.create(this.#deps.folder, this.#nextFile++, series);
    try {
      await Promise.all([
        journal.record({ type: 'open', at: this.#deps.clock.timestamp(), file: pack.file, ...series }),
        syncFolder(this.#deps.folder),
      ]);
    } catch (error) {
      await pack.closeHandle();
      await unlink(pack.path);
      throw error;
    }
    this.#slots.set(seriesKey(series), { pack, lastUsedAt: this.#deps.clock.now(), cancelIdle: undefined });
    return pack;
  }

  /** The folder and its first line, made when the first instance needs them; durable when it resolves. */
  async #openJournal(): Promise<Journal> {
    if (this.#journal !== undefined) return this.#journal;
    const { folder, tenantId, clock } = this.#deps;
    await mkdir(folder, { recursive: true });
    const journal = await Journal.open(join(folder, journalName));
    const { peerAddress, peerImplementationClassUID, peerImplementationVersionName } = this.#info;
    try {
      await Promise.all([
        journal.record({ type: 'association', at: clock.timestamp(), tenantId, origin: this.origin, peerAddress, peerImplementationClassUID, peerImplementationVersionName }),
        syncFolder(dirname(folder)),
      ]);
    } catch (error) {
      await journal.close();
      throw error;
    }
    this.#journal = journal;
    return journal;
  }

  #leastRecentlyUsed(): Slot {
    return [...this.#slots.values()].reduce((oldest, slot) => (slot.lastUsedAt < oldest.lastUsedAt ? slot : oldest));
  }

  #closeIdle(slot: Slot): void {
    this.#idleMs = Math.min(this.#idleMs * 2, packLimits.idleMaxMs);
    this.#startClose(slot);
  }

  #startClose(slot: Slot): void {
    slot.cancelIdle?.();
    this.#slots.delete(seriesKey(slot.pack.series));
    const closing: Promise<void> = this.#close(slot.pack).catch((error: unknown) => {
      this.#broken = true;
      this.#deps.onBroken(error);
    }).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  async #close(pack: OpenPack): Promise<void> {
    const { folder, onPackClosed } = this.#deps;
    try {
      if (pack.instances.length === 0) return await unlink(pack.path);
      const closed = this.#spooled(pack, await pack.seal());
      await this.#journal!.record({ type: 'closed', at: this.#deps.clock.timestamp(), file: pack.file, pack: closed });
      if (this.#packIds.has(closed.packId)) await unlink(pack.path);
      else {
        this.#packIds.add(closed.packId);
        await rename(pack.path, join(folder, packName(closed.packId)));
        await syncFolder(folder);
        onPackClosed(closed);
      }
      this.#liveBytes -= pack.instances.reduce((sum, instance) => sum + instance.lengthBytes, 0);
    } finally {
      await pack.closeHandle();
    }
  }

  #spooled(pack: OpenPack, lengthBytes: number): SpooledPack {
    const { tenantId, gatewayId } = this.#deps;
    return { tenantId, ...pack.series, packId: packIdOf(pack.instances), gatewayId, associationId: this.#info.associationId,
      lengthBytes, instanceCount: pack.instances.length };
  }
}

const seriesKey = (series: SeriesIdentity): string => `${series.studyInstanceUID}/${series.seriesInstanceUID}`;
