import { open, unlink, type FileHandle } from 'node:fs/promises';
import type { PackedInstance } from '../../domain/instance.ts';
import { BatchWriter, batchBytes } from './batchWriter.ts';
import type { InstanceIdentity, OpenPack, SeriesIdentity } from './openPack.ts';

/** How much of a data set is kept in memory until its Series is known. */
export const scanWindowBytes = 128 * 1024;

/** Where an instance goes to: an open pack of its Series, reserved until it is given back. */
export interface PackLender {
  /** @throws what the disk says */
  borrow(series: SeriesIdentity): Promise<OpenPack>;
  /** Instance synced and journal line noted, or undefined when nothing came of it. */
  giveBack(pack: OpenPack, instance: PackedInstance | undefined): Promise<void>;
  nextSidePath(): Promise<string>;
  /** Bytes that now lie on disk, or no longer do. */
  wrote(bytes: number): void;
}

/**
 * One instance on its way to disk. Its first bytes wait in memory until `place` names the Series; when that takes more
 * than the scan window they go through a side file. `commit` or `discard` ends it; both leave the pack whole.
 */
export class IncomingInstance {
  readonly #lender: PackLender;
  readonly #identity: InstanceIdentity;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #series: SeriesIdentity | undefined;
  #pack: OpenPack | undefined;
  #writer: BatchWriter | undefined;
  #side: { readonly path: string; readonly file: FileHandle; readonly writer: BatchWriter } | undefined;

  constructor(lender: PackLender, identity: InstanceIdentity) {
    this.#lender = lender;
    this.#identity = identity;
  }

  /** The next bytes of the Part 10 file. Wait for the promise, when there is one, before the next. */
  push(piece: Buffer): void | Promise<void> {
    const writer = this.#writer ?? this.#side?.writer;
    if (writer !== undefined) {
      const behind = writer.push(piece);
      this.#lender.wrote(piece.length);
      return behind;
    }
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    return this.#waitingBytes > scanWindowBytes ? this.#moveToSide() : undefined;
  }

  /** Says which Series it belongs to; once. */
  async place(series: SeriesIdentity): Promise<void> {
    this.#series = series;
    if (this.#side !== undefined) return;
    await this.#openEntry();
    await this.#pushWaiting();
  }

  /**
   * The instance is complete: makes it durable.
   *
   * @returns what the pack now holds of it, on disk and synced
   */
  async commit(): Promise<PackedInstance> {
    if (this.#series === undefined) throw new Error('An instance without a Series cannot be committed.');
    if (this.#side !== undefined) await this.#copySide();
    const pack = this.#pack!;
    const instance = await pack.commitEntry(this.#writer!, this.#identity);
    this.#pack = undefined;
    await this.#lender.giveBack(pack, instance);
    return instance;
  }

  /** Takes away what was written of it. Idempotent, and without effect after `commit`. */
  async discard(): Promise<void> {
    this.#waiting = [];
    const { writer: sideWriter } = this.#side ?? {};
    await sideWriter?.settle();
    await this.#dropSide();
    const pack = this.#pack;
    this.#pack = undefined;
    if (pack === undefined) return;
    this.#lender.wrote(-this.#writer!.lengthBytes);
    try {
      await pack.discardEntry(this.#writer!);
    } finally {
      await this.#lender.giveBack(pack, undefined);
    }
  }

  async #openEntry(): Promise<void> {
    this.#pack = await this.#lender.borrow(this.#series!);
    this.#writer = this.#pack.beginEntry();
  }

  async #pushWaiting(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const piece of waiting) await this.push(piece);
  }

  async #moveToSide(): Promise<void> {
    const path = await this.#lender.nextSidePath();
    const file = await open(path, 'wx+');
    this.#side = { path, file, writer: new BatchWriter(file, 0) };
    await this.#pushWaiting();
  }

  async #copySide(): Promise<void> {
    const side = this.#side!;
    const { lengthBytes } = await side.writer.finish();
    await this.#openEntry();
    for (let at = 0; at < lengthBytes; ) {
      const { bytesRead, buffer } = await side.file.read(Buffer.allocUnsafe(Math.min(batchBytes, lengthBytes - at)), 0, undefined, at);
      if (bytesRead === 0) throw Object.assign(new Error('The side file is shorter than what was written to it.'), { code: 'EIO' });
      at += bytesRead;
      await this.push(buffer.subarray(0, bytesRead));
    }
    await this.#dropSide();
  }

  async #dropSide(): Promise<void> {
    const side = this.#side;
    this.#side = undefined;
    if (side === undefined) return;
    this.#lender.wrote(-side.writer.lengthBytes);
    await side.file.close();
    await unlink(side.path);
  }
}
