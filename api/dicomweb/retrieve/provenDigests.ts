import type { InstanceLocation } from '../../../stores/ports.ts';

/** How long what was compared counts: a disk that goes bad is noticed by the next reader after that. */
const provenMs = 10 * 60_000;
const maxProven = 200_000;

/** Instances of kept packs whose bytes this process has compared with their digest of late (docs/decisions/021-proven-digests.md). */
export class ProvenDigests {
  readonly #provenAt = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  has(location: InstanceLocation): boolean {
    const at = this.#provenAt.get(nameOf(location));
    return at !== undefined && this.#now() - at < provenMs;
  }

  add(location: InstanceLocation): void {
    if (this.#provenAt.size >= maxProven) this.#provenAt.clear();
    this.#provenAt.set(nameOf(location), this.#now());
  }
}

/** The pack is a file of its tenant's cache, the offset a place in it. */
const nameOf = ({ tenantId, packId, offsetBytes }: InstanceLocation): string => `${tenantId}/${packId}/${offsetBytes}`;
