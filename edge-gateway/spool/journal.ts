import { open, readFile, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { PackedInstance } from '../../domain/instance.ts';
import type { PackOrigin, SpooledPack } from '../../domain/pack.ts';
import type { AssociationEnded } from '../../workflows/contracts.ts';
import { isMissing } from './paths.ts';

/** One line of an association's journal, in the order in which things happened. `at` is ISO 8601 UTC. */
export type JournalLine =
  | { readonly type: 'association'; readonly at: string; readonly tenantId: string; readonly origin: PackOrigin;
      readonly peerAddress: string; readonly peerImplementationClassUID: string; readonly peerImplementationVersionName: string }
  /** `open-<file>.tar` was made for a Series. */
  | { readonly type: 'open'; readonly at: string; readonly file: number; readonly studyInstanceUID: string; readonly seriesInstanceUID: string }
  /** Written after the entry was synced: the answer to the sender was success. */
  | ({ readonly type: 'instance'; readonly at: string; readonly file: number } & PackedInstance)
  /** `open-<file>.tar` is complete and about to be renamed to its packId. */
  | { readonly type: 'closed'; readonly at: string; readonly file: number; readonly pack: SpooledPack }
  | { readonly type: 'ended'; readonly at: string; readonly end: AssociationEnded }
  /** The workflow was over though packs lay here: it was started again, for the packs neither released nor set aside by then. */
  | { readonly type: 'reopened'; readonly at: string; readonly releasedPackCount: number; readonly releasedInstanceCount: number }
  /** The workflow knows of the end. */
  | { readonly type: 'endTold'; readonly at: string };

/** A line is JSON whose last member is the CRC-32 of the text before it, so a torn or overwritten line is noticed. */
export function encodeLine(line: JournalLine): string {
  const text = JSON.stringify(line).slice(0, -1);
  return `${text},"crc":"${crcOf(text)}"}\n`;
}

/** @returns undefined when the line is torn */
export function decodeLine(text: string): JournalLine | undefined {
  const match = /^(.*),"crc":"([0-9a-f]{8})"\}$/s.exec(text);
  if (!match || crcOf(match[1]!) !== match[2]) return undefined;
  return JSON.parse(`${match[1]}}`) as JournalLine;
}

const crcOf = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** @returns the whole lines; torn ones are counted. A missing journal has none. */
export async function readJournal(path: string): Promise<{ readonly lines: readonly JournalLine[]; readonly tornCount: number }> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '';
    throw error;
  });
  const parts = text.split('\n').filter((part) => part !== '');
  const lines = parts.map(decodeLine).filter((line) => line !== undefined);
  return { lines, tornCount: parts.length - lines.length };
}

/** A line that needs no sync waits this long for others: one write each would cost as much as writing the instance. */
const noteDelayMs = 100;

/** Appends lines to an association's journal. Owned by the gateway process alone. */
export class Journal {
  readonly #file: FileHandle;
  #pending = '';
  #writing: Promise<void> | undefined;
  #noteTimer: NodeJS.Timeout | undefined;
  /** The last write may have left half a line: the next one starts on a line of its own. */
  #torn: boolean;

  private constructor(file: FileHandle, torn: boolean) {
    this.#file = file;
    this.#torn = torn;
  }

  static async open(path: string): Promise<Journal> {
    const file = await open(path, 'a');
    return new Journal(file, (await file.stat()).size > 0);
  }

  /** Writes within `noteDelayMs`, without sync and without telling of a failure: for lines that the tar files make good. */
  note(line: JournalLine): void {
    this.#pending += encodeLine(line);
    this.#noteTimer ??= setTimeout(() => {
      this.#noteTimer = undefined;
      this.#flush().catch(() => undefined);
    }, noteDelayMs);
  }

  /** On disk when it resolves, with everything noted before. */
  async record(line: JournalLine): Promise<void> {
    this.#pending += encodeLine(line);
    await this.#flush();
    await this.#file.datasync();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    clearTimeout(this.#noteTimer);
    await this.#flush().catch(() => undefined);
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing.catch(() => undefined);
    if (this.#pending === '') return;
    const text = this.#torn ? `\n${this.#pending}` : this.#pending;
    this.#pending = '';
    this.#writing = this.#write(Buffer.from(text)).finally(() => { this.#writing = undefined; });
    await this.#writing;
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#torn = true;
    for (let at = 0; at < bytes.length; ) at += (await this.#file.write(bytes, at)).bytesWritten;
    this.#torn = false;
  }
}
