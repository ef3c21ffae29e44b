import { link, mkdir, open, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TakenCommitment } from '../../domain/commitment.ts';
import type { CommitmentReport } from '../../dicom/storageCommitment.ts';
import { isMissing, syncFolder } from '../spool/paths.ts';
import { digestName, readJson, removeFile, writeJson } from './files.ts';

/**
 * What a file beside another means: `request` was taken; `open`: the association that brought it still stands; `report`: the worker
 * offers what the requestor is to be told on it; `sending`: the gateway took the offer; `answer`: what became of that.
 */
const suffixes = { request: '.request.json', open: '.open', report: '.report.json', sending: '.sending.json', answer: '.answer.json' } as const;
type Kind = keyof typeof suffixes;

/** What the gateway did with a report that was offered; without a status the requestor was not told, or did not answer. */
export interface ReportAnswer { readonly status?: number }

/**
 * Requests of storage commitment on a gateway's disk: a folder in the spool that the gateway and the worker beside it share. Each file is whole
 * or not there; only the request is synced, everything else is of use for a moment. Names are digests: nothing that a requestor wrote becomes
 * part of a path.
 */
export class CommitmentFolder {
  readonly #path: string;

  constructor(spoolDir: string) {
    this.#path = join(spoolDir, 'commitments');
  }

  /** Called by the gateway before its first association: none of those that an earlier process had is open any more. */
  async recover(): Promise<void> {
    await mkdir(this.#path, { recursive: true });
    for (const name of await readdir(this.#path)) if (!name.endsWith(suffixes.request)) await this.#remove(name);
  }

  /** How many requests wait. */
  async count(): Promise<number> {
    return (await this.#requestNames()).length;
  }

  /**
   * Keeps a request, durably, unless one of its Transaction UID is here.
   *
   * @returns the one that is here; undefined when this is it now
   */
  async add(request: TakenCommitment): Promise<TakenCommitment | undefined> {
    const temporary = join(this.#path, `${request.requestId}.part`);
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(JSON.stringify(request));
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      await link(temporary, this.#file(request.transactionUID, 'request'));
      await syncFolder(this.#path);
      return undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return await this.read(request.transactionUID);
    } finally {
      await unlink(temporary);
    }
  }

  async read(transactionUID: string): Promise<TakenCommitment | undefined> {
    return readJson<TakenCommitment>(this.#file(transactionUID, 'request'));
  }

  /** Idempotent. */
  async remove(transactionUID: string): Promise<void> {
    for (const kind of ['open', 'report', 'sending', 'answer', 'request'] as const) await this.#remove(nameOf(transactionUID, kind));
  }

  /** Every request by its file's name, which stays the same for as long as it waits. */
  async names(): Promise<readonly string[]> {
    return this.#requestNames();
  }

  /** @returns undefined when it is gone */
  readNamed(name: string): Promise<TakenCommitment | undefined> {
    return readJson<TakenCommitment>(join(this.#path, name));
  }

  async markOpen(transactionUID: string, isOpen: boolean): Promise<void> {
    if (isOpen) await writeFile(this.#file(transactionUID, 'open'), '');
    else await this.#remove(nameOf(transactionUID, 'open'));
  }

  async isOpen(transactionUID: string): Promise<boolean> {
    return (await readdir(this.#path).catch(none)).includes(nameOf(transactionUID, 'open'));
  }

  /** The worker's side of telling on the association that brought the request. */
  offer(report: CommitmentReport): Promise<void> {
    return this.#write(nameOf(report.transactionUID, 'report'), report);
  }

  /** @returns whether the gateway has not taken the offer, and will not */
  withdraw(transactionUID: string): Promise<boolean> {
    return this.#remove(nameOf(transactionUID, 'report'));
  }

  async takeAnswer(transactionUID: string): Promise<ReportAnswer | undefined> {
    const answer = await readJson<ReportAnswer>(this.#file(transactionUID, 'answer'));
    if (answer) await this.#remove(nameOf(transactionUID, 'answer'));
    return answer;
  }

  /** The gateway's side: each offer is taken once. */
  async takeOffer(transactionUID: string): Promise<CommitmentReport | undefined> {
    try {
      await rename(this.#file(transactionUID, 'report'), this.#file(transactionUID, 'sending'));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    return readJson<CommitmentReport>(this.#file(transactionUID, 'sending'));
  }

  async answer(transactionUID: string, answer: ReportAnswer): Promise<void> {
    await this.#write(nameOf(transactionUID, 'answer'), answer);
    await this.#remove(nameOf(transactionUID, 'sending'));
  }

  #file(transactionUID: string, kind: Kind): string {
    return join(this.#path, nameOf(transactionUID, kind));
  }

  async #requestNames(): Promise<readonly string[]> {
    return (await readdir(this.#path).catch(none)).filter((name) => name.endsWith(suffixes.request));
  }

  #write(name: string, value: object): Promise<void> {
    return writeJson(join(this.#path, name), value, false);
  }

  /** @returns whether there was such a file */
  #remove(name: string): Promise<boolean> {
    return removeFile(join(this.#path, name));
  }
}

const nameOf = (transactionUID: string, kind: Kind): string => `${digestName(transactionUID)}${suffixes[kind]}`;

const none = (error: unknown): string[] => {
  if (isMissing(error)) return [];
  throw error;
};
