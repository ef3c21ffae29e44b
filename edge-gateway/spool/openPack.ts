import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedInstance } from '../../domain/instance.ts';
import { entryName } from '../../domain/keys.ts';
import { packIdInput } from '../../domain/pack.ts';
import { encodeEntryHeader, endOfArchiveBytes, entryHeaderBytes, paddedLength } from '../../domain/packTar.ts';
import { BatchWriter } from './batchWriter.ts';
import { openPackName } from './paths.ts';

export interface SeriesIdentity {
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
}

/** Who an instance is, as its command and negotiated context say. */
export interface InstanceIdentity {
  readonly sopClassUID: string;
  readonly sopInstanceUID: string;
  readonly transferSyntaxUID: string;
}

export const packIdOf = (instances: readonly Pick<PackedInstance, 'sha256'>[]): string =>
  createHash('sha256').update(packIdInput(instances)).digest('hex');

/**
 * A tar file that grows by whole instances of one Series. An entry's header is its commit mark: it is written after the
 * bytes it speaks of, and one sync makes both durable.
 */
export class OpenPack {
  readonly file: number;
  readonly path: string;
  readonly series: SeriesIdentity;
  readonly instances: PackedInstance[] = [];
  readonly #handle: FileHandle;
  #entriesBytes = 0;

  private constructor(handle: FileHandle, path: string, file: number, series: SeriesIdentity) {
    this.#handle = handle;
    this.path = path;
    this.file = file;
    this.series = series;
  }

  /** The new name is durable only when the folder was synced. */
  static async create(folder: string, file: number, series: SeriesIdentity): Promise<OpenPack> {
    const path = join(folder, openPackName(file));
    return new OpenPack(await open(path, 'wx+'), path, file, series);
  }

  /** Of the committed entries. */
  get lengthBytes(): number {
    return this.#entriesBytes;
  }

  /** The place for the next instance, behind the space for its header. One entry at a time. */
  beginEntry(): BatchWriter {
    return new BatchWriter(this.#handle, this.#entriesBytes + entryHeaderBytes);
  }

  /** On disk and synced when it resolves. */
  async commitEntry(writer: BatchWriter, identity: InstanceIdentity): Promise<PackedInstance> {
    const name = entryName(identity.sopInstanceUID);
    const { sha256, lengthBytes } = await writer.finishEntry((digest, length) =>
      encodeEntryHeader({ name, lengthBytes: length, sha256: digest }));
    await this.#handle.datasync();
    const instance: PackedInstance = { ...identity, offsetBytes: this.#entriesBytes + entryHeaderBytes, lengthBytes, sha256 };
    this.instances.push(instance);
    this.#entriesBytes += entryHeaderBytes + paddedLength(lengthBytes);
    return instance;
  }

  /** Takes a half entry away again. */
  async discardEntry(writer: BatchWriter): Promise<void> {
    await writer.settle();
    await this.#handle.truncate(this.#entriesBytes);
  }

  /**
   * Ends the archive and syncs it. The two zero blocks come from lengthening the file, which needs no room on a full disk.
   *
   * @returns the length of the tar
   */
  async seal(): Promise<number> {
    await this.#handle.truncate(this.#entriesBytes);
    await this.#handle.truncate(this.#entriesBytes + endOfArchiveBytes);
    await this.#handle.sync();
    return this.#entriesBytes + endOfArchiveBytes;
  }

  async closeHandle(): Promise<void> {
    await this.#handle.close();
  }
}
