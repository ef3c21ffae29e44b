/** When work went on, and how long each fault held it up: acknowledged, committed, indexed or delivered counts. */
export class Progress {
  #lastAt = Date.now();
  #pending: { readonly name: string; readonly at: number }[] = [];
  readonly #longest = new Map<string, number>();
  readonly #met = new Map<string, number>();
  /** The longest time in which nothing at all went on. */
  longestGapMs = 0;

  mark(): void {
    const now = Date.now();
    this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
    for (const { name, at } of this.#pending) this.#longest.set(name, Math.max(this.#longest.get(name) ?? 0, now - at));
    this.#pending = [];
  }

  hit(name: string): void {
    this.#met.set(name, (this.#met.get(name) ?? 0) + 1);
    this.#pending.push({ name, at: Date.now() });
  }

  met(name: string): number {
    return this.#met.get(name) ?? 0;
  }

  get metCount(): number {
    return [...this.#met.values()].reduce((sum, count) => sum + count, 0);
  }

  /** From a fault of this name to the next progress, at most. */
  longestMs(name: string): number | undefined {
    return this.#longest.get(name);
  }
}
