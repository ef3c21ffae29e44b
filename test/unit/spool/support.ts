import { createHash, randomUUIDv7 } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { AssociationInfo, DataSetStream, DimseRequest } from '../../../edge-gateway/services/service.ts';
import type { Clock } from '../../../edge-gateway/spool/clock.ts';
import type { AssociationRecord } from '../../../edge-gateway/spool/record.ts';
import type { SeriesIdentity } from '../../../edge-gateway/spool/openPack.ts';
import { Spool, type SpoolSession } from '../../../edge-gateway/spool/spool.ts';

export const ctImageStorage = '1.2.840.10008.5.1.4.1.1.2';

export interface DataSetFields {
  readonly sopClassUID?: string | undefined;
  readonly sopInstanceUID?: string | undefined;
  readonly studyInstanceUID?: string | undefined;
  readonly seriesInstanceUID?: string | undefined;
  /** Of a private OB element before the Study UID: pushes the Series UID back. */
  readonly earlyBytes?: number;
  /** Of Pixel Data. */
  readonly pixelBytes?: number;
}

/** An explicit VR little endian data set with four UIDs and pixels that are the same for the same instance. */
export function aDataSet(fields: DataSetFields): Buffer {
  const { sopClassUID = ctImageStorage, sopInstanceUID = '1.2.3.4', studyInstanceUID = '1.2.3', seriesInstanceUID = '1.2.3.1' } = fields;
  const uid = (tag: number, value: string): Buffer => short(tag, 'UI', Buffer.from(value.length % 2 === 0 ? value : `${value}\0`));
  const without = (name: keyof DataSetFields): boolean => name in fields && fields[name] === undefined;
  return Buffer.concat([
    without('sopClassUID') ? Buffer.alloc(0) : uid(0x00080016, sopClassUID),
    without('sopInstanceUID') ? Buffer.alloc(0) : uid(0x00080018, sopInstanceUID),
    fields.earlyBytes ? long(0x00091010, 'OB', Buffer.alloc(fields.earlyBytes, 7)) : Buffer.alloc(0),
    without('studyInstanceUID') ? Buffer.alloc(0) : uid(0x0020000d, studyInstanceUID),
    without('seriesInstanceUID') ? Buffer.alloc(0) : uid(0x0020000e, seriesInstanceUID),
    long(0x7fe00010, 'OW', Buffer.alloc(fields.pixelBytes ?? 1000, sopInstanceUID)),
  ]);
}

const tagBytes = (tag: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(tag >>> 16, 0);
  bytes.writeUInt16LE(tag & 0xffff, 2);
  return bytes;
};
const short = (tag: number, vr: string, value: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(value.length);
  return Buffer.concat([tagBytes(tag), Buffer.from(vr), length, value]);
};
const long = (tag: number, vr: string, value: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  return Buffer.concat([tagBytes(tag), Buffer.from(vr), Buffer.alloc(2), length, value]);
};

/** A data set that arrives in fragments; `fail` is thrown instead of the end. */
export function arriving(bytes: Buffer, fragmentBytes = 16_384, fail?: Error): DataSetStream {
  const fragments = function* () {
    for (let at = 0; at < bytes.length; at += fragmentBytes) yield bytes.subarray(at, at + fragmentBytes);
  };
  return {
    consume: async (onFragment) => {
      for (const fragment of fragments()) await onFragment(fragment);
      if (fail) throw fail;
      return bytes.length;
    },
    async *[Symbol.asyncIterator]() {
      yield* fragments();
      if (fail) throw fail;
    },
  };
}

/** C-STORE-RQ for a data set. */
export const aStoreRequest = (dataSet: DataSetStream | undefined, fields: { readonly sopInstanceUID?: string; readonly sopClassUID?: string } = {}): DimseRequest => ({
  presentationContextId: 1, abstractSyntaxUID: ctImageStorage, transferSyntaxUID: explicitVRLittleEndian, dataSet,
  command: { commandField: 1, messageID: 1, commandDataSetType: dataSet ? 0 : 0x0101,
    affectedSOPClassUID: fields.sopClassUID ?? ctImageStorage, affectedSOPInstanceUID: fields.sopInstanceUID ?? '1.2.3.4' },
});

export const anAssociation = (): AssociationInfo => ({
  associationId: randomUUIDv7(), callingAETitle: 'CT1', calledAETitle: 'PACS', peerAddress: '127.0.0.1',
  acceptedAt: '2026-01-02T03:04:05.678Z', peerImplementationClassUID: '1.2.3', peerImplementationVersionName: 'TEST',
});

export const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Time that passes when told to. */
export class FakeClock implements Clock {
  #now = Date.UTC(2026, 0, 2);
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  timestamp(): string {
    return new Date(this.#now).toISOString();
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => { this.#timers = this.#timers.filter((other) => other !== timer); };
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  /** Moves on, calling back what is due in order. */
  pass(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = until;
  }
}

export interface SpoolFixture {
  readonly spoolDir: string;
  readonly clock: FakeClock;
  readonly spool: Spool;
  /** Every time the spool had something to tell. */
  readonly told: AssociationRecord[];
  /** The same folder after the process is gone. */
  restarted(): Promise<SpoolFixture>;
}

const made: string[] = [];

/** A folder that `removeFolders` removes. */
export async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pacs-spool-'));
  made.push(folder);
  return folder;
}

export async function removeFolders(): Promise<void> {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
}

export async function aSpool(spoolDir?: string): Promise<SpoolFixture> {
  const folder = spoolDir ?? await aFolder();
  const clock = new FakeClock();
  const told: AssociationRecord[] = [];
  const spool = new Spool({ spoolDir: folder, tenantId: 'demo', gatewayId: 'gw1', clock, log: quiet, onWork: (record) => told.push(record) });
  await spool.recover();
  return { spoolDir: folder, clock, spool, told, restarted: () => aSpool(folder) };
}

/** Stores bytes as an instance, without the service around it. */
export async function storeBytes(session: SpoolSession, sopInstanceUID: string, bytes: Buffer, series: SeriesIdentity = { studyInstanceUID: '1.2.3', seriesInstanceUID: '1.2.3.1' }): Promise<void> {
  const incoming = session.receive({ sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian });
  await incoming.push(bytes);
  await incoming.place(series);
  await incoming.commit();
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
export const filesIn = async (folder: string): Promise<string[]> => (await readdir(folder)).sort();

/** Waits until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!await isSo()) {
    if (Date.now() > deadline) throw new Error(`It did not become so: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
