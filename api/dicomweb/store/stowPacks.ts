import { createHash } from 'node:crypto';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import type { PackedInstance } from '../../../domain/instance.ts';
import { entryName } from '../../../domain/keys.ts';
import { packIdInput, packLimits, type PackIdentity } from '../../../domain/pack.ts';
import { encodeEntryHeader, endOfArchiveBytes, entryHeaderBytes, paddedLength } from '../../../domain/packTar.ts';
import type { PackFile } from '../../../stores/ports.ts';
import type { ReceivedInstance } from './receivePart.ts';
import type { StowSpool } from './stowSpool.ts';

/** A pack of one series, closed. Its tar is laid out when it is read; the data sets stay where the spool has them. */
export interface ClosedPack {
  readonly identity: PackIdentity;
  readonly lengthBytes: number;
  readonly instances: readonly PackedInstance[];
  readonly file: PackFile;
}

/** Sorts the instances of a request into packs, one series each, closed at the limits of every pack. */
export class StowPacks {
  readonly #tenantId: string;
  readonly #spool: StowSpool;
  readonly #open = new Map<string, ReceivedInstance[]>();

  constructor(tenantId: string, spool: StowSpool) {
    this.#tenantId = tenantId;
    this.#spool = spool;
  }

  /**
   * The same bytes again are not added. Other bytes under a UID that the open pack has go into the next pack: in one
   * tar the second would replace the first when it is unpacked.
   *
   * @returns the pack that this instance closed
   */
  add(instance: ReceivedInstance): ClosedPack | undefined {
    const series = `${instance.studyInstanceUID}/${instance.seriesInstanceUID}`;
    const open = this.#open.get(series) ?? [];
    const same = open.find(({ sopInstanceUID }) => sopInstanceUID === instance.sopInstanceUID);
    if (same?.sha256 === instance.sha256) return undefined;
    const full = same !== undefined || open.length >= packLimits.instanceCount || lengthOf([...open, instance]) > packLimits.lengthBytes;
    if (!full || open.length === 0) {
      this.#open.set(series, [...open, instance]);
      return undefined;
    }
    this.#open.set(series, [instance]);
    return this.#close(open);
  }

  end(): readonly ClosedPack[] {
    const rest = [...this.#open.values()].map((instances) => this.#close(instances));
    this.#open.clear();
    return rest;
  }

  #close(received: readonly ReceivedInstance[]): ClosedPack {
    const [{ studyInstanceUID, seriesInstanceUID }] = received as readonly [ReceivedInstance];
    const packId = createHash('sha256').update(packIdInput(received)).digest('hex');
    const file = new TarView(received, this.#spool);
    return {
      identity: { tenantId: this.#tenantId, studyInstanceUID, seriesInstanceUID, packId },
      lengthBytes: file.lengthBytes, instances: file.entries.map(({ packed }) => packed), file,
    };
  }
}

const lengthOf = (instances: readonly ReceivedInstance[]): number =>
  instances.reduce((sum, { lengthBytes }) => sum + entryHeaderBytes + paddedLength(lengthBytes), endOfArchiveBytes);

interface Entry {
  readonly packed: PackedInstance;
  readonly received: ReceivedInstance;
}

/** The tar of a pack, as bytes that are put together where they are read. */
class TarView implements PackFile {
  readonly lengthBytes: number;
  readonly entries: readonly Entry[];
  readonly #spool: StowSpool;

  constructor(received: readonly ReceivedInstance[], spool: StowSpool) {
    this.#spool = spool;
    this.lengthBytes = lengthOf(received);
    let offsetBytes = 0;
    this.entries = received.map((instance) => {
      const { sopInstanceUID, sopClassUID, transferSyntaxUID, lengthBytes, sha256 } = instance;
      const packed = { sopInstanceUID, sopClassUID, transferSyntaxUID, offsetBytes: offsetBytes + entryHeaderBytes, lengthBytes, sha256 };
      offsetBytes += entryHeaderBytes + paddedLength(lengthBytes);
      return { packed, received: instance };
    });
  }

  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const target = Buffer.alloc(Math.max(0, Math.min(lengthBytes, this.lengthBytes - offsetBytes)));
    const end = offsetBytes + target.length;
    for (let at = this.#entryAt(offsetBytes); at < this.entries.length; at++) {
      const entry = this.entries[at]!;
      if (entry.packed.offsetBytes - entryHeaderBytes >= end) break;
      await this.#fill(target, offsetBytes, entry);
    }
    return target;
  }

  async close(): Promise<void> {}

  /** The last entry that starts at or before the offset. */
  #entryAt(offsetBytes: number): number {
    let [low, high] = [0, this.entries.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.entries[middle]!.packed.offsetBytes - entryHeaderBytes <= offsetBytes) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Puts what the target, which starts at `from` in the tar, has of an entry: headers, file meta, data set. Padding is zeros. */
  async #fill(target: Buffer, from: number, { packed, received }: Entry): Promise<void> {
    const place = (piece: Uint8Array, at: number): void => {
      const skip = Math.max(0, from - at);
      if (skip < piece.length && at < from + target.length) target.set(piece.subarray(skip, skip + target.length - Math.max(0, at - from)), Math.max(0, at - from));
    };
    if (from < packed.offsetBytes + received.fileMetaBytes) {
      place(encodeEntryHeader({ name: entryName(packed.sopInstanceUID), lengthBytes: packed.lengthBytes, sha256: packed.sha256 }), packed.offsetBytes - entryHeaderBytes);
      place(encodeFileMeta(packed), packed.offsetBytes);
    }
    const dataAt = packed.offsetBytes + received.fileMetaBytes;
    const start = Math.max(from, dataAt);
    const stop = Math.min(from + target.length, dataAt + received.dataSet.lengthBytes);
    if (start < stop) await this.#spool.readInto(target.subarray(start - from, stop - from), received.dataSet.offsetBytes + start - dataAt);
  }
}
