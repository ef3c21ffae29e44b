import { createHash } from 'node:crypto';
import type { SearchRequest } from './ports.ts';

interface Walk<C> {
  usedAt: number;
  /** Offset of a page → the last result before it. */
  readonly cursors: Map<number, C>;
}

const maxWalks = 2_000;
const maxCursors = 1_000;
const forgottenMs = 10 * 60_000;

/**
 * Where the pages that a reader was given end, so that the next one goes on behind the last result and not at a number: what arrives
 * meanwhile neither repeats nor hides results. Kept in this process for ten minutes after the last page; asking for the first page begins anew.
 */
export class PageWalks<C> {
  readonly #walks = new Map<string, Walk<C>>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @returns undefined when nothing is known, and the offset counts */
  before({ offset, ...request }: SearchRequest): C | undefined {
    const walk = this.#walks.get(nameOf(request));
    return offset > 0 && walk && this.#now() - walk.usedAt < forgottenMs ? walk.cursors.get(offset) : undefined;
  }

  /** @param last undefined when the page was empty */
  gave(request: SearchRequest, count: number, last: C | undefined): void {
    if (request.reader === undefined) return;
    const name = nameOf(request);
    const walk = this.#walks.get(name);
    this.#walks.delete(name);
    const kept = walk && request.offset > 0 && this.#now() - walk.usedAt < forgottenMs && walk.cursors.size < maxCursors ? walk : { usedAt: 0, cursors: new Map<number, C>() };
    if (last !== undefined && count === request.limit) kept.cursors.set(request.offset + count, last);
    kept.usedAt = this.#now();
    if (kept.cursors.size > 0) this.#walks.set(name, kept);
    for (const oldest of this.#walks.keys()) {
      if (this.#walks.size <= maxWalks) break;
      this.#walks.delete(oldest);
    }
  }
}

/** Values may be of patients: they are kept as a digest. */
const nameOf = ({ reader, tenantId, level, studyInstanceUID, seriesInstanceUID, match, options }: Omit<SearchRequest, 'limit' | 'offset'>): string =>
  createHash('sha256').update(JSON.stringify([reader, tenantId, level, studyInstanceUID, seriesInstanceUID, match, options])).digest('base64');
