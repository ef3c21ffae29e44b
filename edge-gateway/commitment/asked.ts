import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitmentReport } from '../../dicom/storageCommitment.ts';
import { isMissing } from '../spool/paths.ts';
import { digestName, readJson, removeFile, writeJson } from './files.ts';

/** A storage commitment that this gateway's worker asked of a destination. */
export interface AskedNote {
  readonly transactionUID: string;
  /** ISO 8601 UTC. */
  readonly askedAt: string;
  /** The destination answered success: it will report. */
  readonly isAccepted: boolean;
}

/** A report that comes later than this is refused. */
const keepMs = 14 * 24 * 60 * 60 * 1000;

/**
 * What the worker asked of destinations, and what they reported: a folder in the spool, because a destination may report on an association that
 * it opens to the gateway. A report is synced before it is answered.
 */
export class AskedFolder {
  readonly #path: string;

  constructor(spoolDir: string) {
    this.#path = join(spoolDir, 'commitments-asked');
  }

  async note(note: AskedNote): Promise<void> {
    await mkdir(this.#path, { recursive: true });
    await writeJson(this.#file(note.transactionUID, 'asked'), note, true);
  }

  /** @returns undefined when this Transaction UID is none of ours */
  read(transactionUID: string): Promise<AskedNote | undefined> {
    return readJson<AskedNote>(this.#file(transactionUID, 'asked'));
  }

  /** Durable when it resolves; of several reports of a transaction the last counts. @returns false when nobody asked */
  async saveReport(report: CommitmentReport): Promise<boolean> {
    if (!await this.read(report.transactionUID)) return false;
    await writeJson(this.#file(report.transactionUID, 'report'), report, true);
    return true;
  }

  readReport(transactionUID: string): Promise<CommitmentReport | undefined> {
    return readJson<CommitmentReport>(this.#file(transactionUID, 'report'));
  }

  /** Idempotent. */
  async forget(transactionUID: string): Promise<void> {
    for (const kind of ['report', 'asked'] as const) await removeFile(this.#file(transactionUID, kind));
  }

  /** Forgets what was asked so long ago that nobody waits for it. */
  async prune(now: number): Promise<void> {
    const names = await readdir(this.#path).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    for (const name of names) {
      const path = join(this.#path, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: now }));
      if (now - mtimeMs > keepMs) await removeFile(path);
    }
  }

  #file(transactionUID: string, kind: 'asked' | 'report'): string {
    return join(this.#path, `${digestName(transactionUID)}.${kind}.json`);
  }
}
