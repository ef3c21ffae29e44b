/** How many deliveries of this process send to one destination at the same time. */
export interface Places {
  /** @returns gives the place back; undefined when all are taken */
  enter(destination: string, limit: number): (() => void) | undefined;
}

/** A destination that hangs holds its own places until its time-outs pass, and no worker slot beyond them. */
export function createPlaces(): Places {
  const taken = new Map<string, number>();
  return {
    enter(destination, limit) {
      const count = taken.get(destination) ?? 0;
      if (count >= limit) return undefined;
      taken.set(destination, count + 1);
      return () => {
        const left = taken.get(destination)! - 1;
        if (left === 0) taken.delete(destination);
        else taken.set(destination, left);
      };
    },
  };
}
