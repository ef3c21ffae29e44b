import type { Instance, Study } from './studies.ts';

/** What senders were told, and what it took. */
export class Book {
  /** Everything that was ever offered, by SOP Instance UID and digest. */
  readonly offered = new Set<string>();
  /** `<SOPInstanceUID> <sha256 of the data set>` → when success was told, ms since the epoch. */
  readonly acknowledged = new Map<string, number>();
  /** Instances sent, each resend counted. */
  sent = 0;
  /** Instances that a status other than success answered. */
  refused = 0;
  /** Instances sent again because the first time had no success. */
  resent = 0;
  readonly #onAcknowledged: () => void;

  constructor(onAcknowledged: () => void = () => {}) {
    this.#onAcknowledged = onAcknowledged;
  }

  offer(instance: Instance): void {
    const key = keyOf(instance);
    this.sent++;
    if (this.offered.has(key) && !this.acknowledged.has(key)) this.resent++;
    this.offered.add(key);
  }

  acknowledge(instance: Instance): void {
    const key = keyOf(instance);
    if (!this.acknowledged.has(key)) this.acknowledged.set(key, Date.now());
    this.#onAcknowledged();
  }

  missing({ instances }: Pick<Study, 'instances'>): readonly Instance[] {
    return instances.filter((instance) => !this.acknowledged.has(keyOf(instance)));
  }
}

export const keyOf = ({ sopInstanceUID, dataSetSha256 }: Pick<Instance, 'sopInstanceUID' | 'dataSetSha256'>): string => `${sopInstanceUID} ${dataSetSha256}`;
