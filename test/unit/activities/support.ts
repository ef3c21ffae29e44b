import { createHash, randomBytes } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { InstanceHeader, PackedInstance } from '../../../domain/instance.ts';
import { packIdInput, type GivenUp, type PackOrigin, type SpooledPack } from '../../../domain/pack.ts';
import type { DicomJson } from '../../../dicom/json.ts';
import { MemoryAuditLog } from '../../../stores/memory/memoryStores.ts';
import type { PackFile, PackSpool } from '../../../stores/ports.ts';
import { aTenant, aUID, dataSet } from '../../support/aStudy.ts';

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** Failures are what these tests are about: no news. */
const logger = new DefaultLogger('ERROR');

/** Runs an activity once, in an environment of its own. */
export const run = <A extends unknown[], R>(activity: (...args: A) => Promise<R>, ...args: A): Promise<R> => runAs({}, activity, ...args);

/** @param info attempt, heartbeat details and so on, as Temporal hands them over */
export const runAs = <A extends unknown[], R>(info: ConstructorParameters<typeof MockActivityEnvironment>[0], activity: (...args: A) => Promise<R>, ...args: A): Promise<R> =>
  new MockActivityEnvironment(info, { logger }).run(activity, ...args);

export interface SpooledInstance { readonly sopInstanceUID?: string; readonly bytes?: Buffer; readonly header?: DicomJson }

export interface APack {
  readonly pack: SpooledPack;
  readonly instances: readonly PackedInstance[];
  readonly headers: readonly InstanceHeader[];
  readonly origin: PackOrigin;
  readonly bytes: Buffer;
}

export interface APackOptions {
  readonly tenantId?: string;
  readonly studyInstanceUID?: string;
  readonly seriesInstanceUID?: string;
  readonly associationId?: string;
  readonly instances?: readonly SpooledInstance[];
}

/** A pack as a gateway's disk has it, its headers, and where it came from. */
export function aPack({ tenantId = aTenant(), studyInstanceUID = aUID(), seriesInstanceUID = aUID(), associationId = aUID(), instances = [{}, {}] }: APackOptions = {}): APack {
  const sopClassUID = '1.2.840.10008.5.1.4.1.1.2';
  let offsetBytes = 0;
  const packed = instances.map(({ sopInstanceUID = aUID(), bytes = randomBytes(1_000), header }) => {
    const instance = { sopInstanceUID, sopClassUID, transferSyntaxUID: '1.2.840.10008.1.2.1', offsetBytes, lengthBytes: bytes.length, sha256: sha256(bytes) };
    offsetBytes += bytes.length;
    const own = dataSet({ SOPClassUID: sopClassUID, SOPInstanceUID: sopInstanceUID, StudyInstanceUID: studyInstanceUID, SeriesInstanceUID: seriesInstanceUID, Modality: 'CT', PatientName: 'Secret^Person' });
    return { instance, bytes, header: header ?? own };
  });
  const whole = packed.map(({ instance }) => instance);
  return {
    pack: { tenantId, studyInstanceUID, seriesInstanceUID, packId: sha256(packIdInput(whole)), gatewayId: 'gw1', associationId, lengthBytes: offsetBytes, instanceCount: whole.length },
    instances: whole, bytes: Buffer.concat(packed.map(({ bytes }) => bytes)),
    headers: packed.map(({ instance, header }) => ({ ...instance, header })),
    origin: { kind: 'dimse', gatewayId: 'gw1', associationId, callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: '2024-05-01T10:00:00.000Z' },
  };
}

/** A gateway's disk with these packs. */
export class MemorySpool implements PackSpool {
  readonly packs: Map<string, APack>;
  /** packId → a tar that is still there, whatever became of the pack. */
  readonly kept = new Map<string, Buffer>();
  /** packId → why it was given up. */
  readonly aside = new Map<string, GivenUp>();
  openFiles = 0;

  constructor(...packs: readonly APack[]) {
    this.packs = new Map(packs.map((pack) => [pack.pack.packId, pack]));
  }

  async open({ packId }: SpooledPack): Promise<(PackFile & { readonly instances: readonly PackedInstance[] }) | undefined> {
    const found = this.packs.get(packId);
    if (!found) return undefined;
    this.openFiles++;
    return {
      lengthBytes: found.bytes.length, instances: found.instances,
      read: async (offsetBytes, lengthBytes) => found.bytes.subarray(offsetBytes, offsetBytes + lengthBytes),
      close: async () => void this.openFiles--,
    };
  }

  async find({ packId }: Pick<SpooledPack, 'packId'>): Promise<PackFile | undefined> {
    const bytes = this.kept.get(packId);
    if (!bytes) return undefined;
    this.openFiles++;
    return { lengthBytes: bytes.length, read: async (offsetBytes, lengthBytes) => bytes.subarray(offsetBytes, offsetBytes + lengthBytes), close: async () => void this.openFiles-- };
  }

  async release({ packId }: SpooledPack): Promise<void> {
    this.packs.delete(packId);
  }

  async setAside({ packId }: SpooledPack, why: GivenUp): Promise<void> {
    if (this.packs.delete(packId)) this.aside.set(packId, why);
  }
}

/** What settling needs beside archive and index, where a test is not about it. */
export const unsettled = () => ({ audit: new MemoryAuditLog(), rewrite: async () => undefined, now: () => new Date('2024-05-03T00:00:00.000Z') });

export class Crash extends Error {
  override readonly name = 'Crash';
}

/** Counts the calls of the stores given to `wrap`, and fails at one of them, before or after it took effect. */
export class CrashPoint {
  calls = 0;
  readonly #at: number;
  readonly #when: 'before' | 'after';

  constructor(at = Infinity, when: 'before' | 'after' = 'before') {
    this.#at = at;
    this.#when = when;
  }

  wrap<T extends object>(store: T): T {
    return new Proxy(store, { get: (target, name) => {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]): Promise<unknown> => {
        const here = ++this.calls === this.#at;
        if (here && this.#when === 'before') throw new Crash(`before ${String(name)}`);
        const result = await (member as (...values: unknown[]) => Promise<unknown>).apply(target, args);
        if (here) throw new Crash(`after ${String(name)}`);
        return result;
      };
    } });
  }
}

/**
 * Runs a step whole, then with a crash before and after each of its store calls and once more afterwards, each time in a
 * world of its own: every end must be as the whole run's.
 *
 * @param step one run in a fresh world; the function it returns runs the step and gives the world's end
 */
export async function everyCrash<End>(step: () => { run(crash: CrashPoint): Promise<unknown>; end(): End }, compare: (end: End, whole: End, at: string) => void): Promise<number> {
  const counting = new CrashPoint();
  const whole = step();
  await whole.run(counting);
  for (let at = 1; at <= counting.calls; at++) {
    for (const when of ['before', 'after'] as const) {
      const world = step();
      await world.run(new CrashPoint(at, when)).catch(() => undefined);
      await world.run(new CrashPoint());
      compare(world.end(), whole.end(), `crash ${when} call ${at}`);
    }
  }
  return counting.calls;
}
