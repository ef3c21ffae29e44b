import { constants, inflateRawSync } from 'node:zlib';
import { encodingOf, tagText } from './encoding.ts';
import { ElementScanner } from './elementScanner.ts';
import { uidText } from './fileMeta.ts';

export type IdentityState = 'scanning' | 'found' | 'absent' | 'unreadable';

/** As sent, padding removed, not checked: neither a path nor a key is made of one before it passed as a UID. */
export interface Identity {
  readonly sopClassUID?: string;
  readonly sopInstanceUID?: string;
  readonly studyInstanceUID?: string;
  readonly seriesInstanceUID?: string;
}

const fieldByTag: ReadonlyMap<number, keyof Identity> = new Map([
  [0x00080016, 'sopClassUID'],
  [0x00080018, 'sopInstanceUID'],
  [0x0020000d, 'studyInstanceUID'],
  [0x0020000e, 'seriesInstanceUID'],
]);
const lastTag = 0x0020000e;

/** A UID has at most 64 bytes (PS3.5 9.1); what is longer than this is no UID and is not waited for. */
const maxUIDBytes = 256;
/** How much of a deflated data set is kept to look for the UIDs, before and after inflating. */
const maxDeflatedBytes = 64 * 1024;
const maxInflatedBytes = 4 * 1024 * 1024;
const firstInflateBytes = 1024;

/**
 * Reads SOP Class, SOP Instance, Study Instance and Series Instance UID from a data set while it streams past.
 * Values and sequences are skipped, not kept: it holds at most 12 bytes of a header and 256 of a value
 * (64 KiB when deflated, PS3.5 A.5). A forged length only makes it skip to the end. Never throws.
 */
export class IdentityScanner {
  state: IdentityState = 'scanning';
  /** A sentence without values; set when `absent` or `unreadable`. */
  problem: string | undefined;

  readonly #found: { -readonly [K in keyof Identity]: Identity[K] } = {};
  readonly #elements: ElementScanner;
  readonly #deflated: DeflatedPrefix | undefined;

  constructor(transferSyntaxUID: string) {
    const encoding = encodingOf(transferSyntaxUID);
    this.#elements = new ElementScanner(encoding, {
      wantedLength: (tag, length) => this.#wantedLength(tag, length),
      value: (tag, value) => this.#value(tag, value),
      unreadable: (sentence) => this.#stop('unreadable', sentence),
    });
    if (encoding.deflated) this.#deflated = new DeflatedPrefix((inflated) => this.#elements.push(inflated));
  }

  get result(): Identity {
    return this.#found;
  }

  /** The next bytes of the data set. Cheap and without effect once the state is no longer `scanning`. */
  push(chunk: Buffer): void {
    if (this.state !== 'scanning') return;
    if (this.#deflated === undefined) return this.#elements.push(chunk);
    const problem = this.#deflated.push(chunk, () => this.state === 'scanning');
    if (problem !== undefined && this.state === 'scanning') this.#stop('unreadable', problem);
  }

  /** The data set is over: what was not found is not there. */
  end(): void {
    if (this.state !== 'scanning') return;
    const problem = this.#deflated?.end(() => this.state === 'scanning');
    if (this.state !== 'scanning') return;
    if (problem !== undefined) this.#stop('unreadable', problem);
    else if (this.#elements.atBoundary) this.#absent();
    else this.#stop('unreadable', 'The data set ends in the middle of an element.');
  }

  /** How many bytes of the value are wanted, -1 to stop. Called for every top-level element. */
  #wantedLength(tag: number, length: number): number {
    if (tag > lastTag) {
      this.#absent();
      return -1;
    }
    if (!fieldByTag.has(tag)) return 0;
    if (length <= maxUIDBytes) return length;
    this.#stop('unreadable', `The value of ${tagText(tag)} is longer than a UID can be.`);
    return -1;
  }

  #value(tag: number, value: Buffer): void {
    const field = fieldByTag.get(tag);
    const uid = uidText(value, 0, value.length);
    if (field === undefined || uid === '' || this.#found[field] !== undefined) return;
    this.#found[field] = uid;
    if (this.#missing().length === 0) this.#stop('found');
  }

  #missing(): number[] {
    return [...fieldByTag].filter(([, field]) => this.#found[field] === undefined).map(([tag]) => tag);
  }

  #absent(): void {
    this.#stop('absent', `The data set has no value for ${this.#missing().map(tagText).join(', ')}.`);
  }

  #stop(state: IdentityState, problem?: string): void {
    this.state = state;
    this.problem = problem;
    this.#elements.stop();
  }
}

/**
 * The start of a deflated data set (PS3.5 A.5, RFC 1951). What has come so far is inflated anew each time it has
 * doubled, so the work stays within twice that of one pass and everything happens within `push`.
 */
class DeflatedPrefix {
  readonly #onInflated: (bytes: Buffer) => void;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #nextTryBytes = firstInflateBytes;
  #givenBytes = 0;

  constructor(onInflated: (bytes: Buffer) => void) {
    this.#onInflated = onInflated;
  }

  /** @returns a sentence when the data set cannot be inflated or its UIDs do not come early enough */
  push(chunk: Buffer, goesOn: () => boolean): string | undefined {
    for (let at = 0; at < chunk.length && goesOn(); ) {
      const part = Buffer.from(chunk.subarray(at, at + this.#nextTryBytes - this.#keptBytes));
      at += part.length;
      this.#kept.push(part);
      this.#keptBytes += part.length;
      if (this.#keptBytes < this.#nextTryBytes) continue;
      const problem = this.#inflate();
      if (problem !== undefined) return problem;
      if (goesOn() && this.#keptBytes >= maxDeflatedBytes) {
        return 'The identifying UIDs do not lie within the first 64 KiB of the deflated data set.';
      }
      this.#nextTryBytes *= 2;
    }
    if (!goesOn()) this.#kept = [];
    return undefined;
  }

  end(goesOn: () => boolean): string | undefined {
    const problem = this.#inflate();
    if (!goesOn()) this.#kept = [];
    return problem;
  }

  #inflate(): string | undefined {
    const bytes = Buffer.concat(this.#kept);
    this.#kept = [bytes];
    try {
      const inflated = inflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: maxInflatedBytes });
      const fresh = inflated.subarray(this.#givenBytes);
      this.#givenBytes = inflated.length;
      if (fresh.length > 0) this.#onInflated(fresh);
      return undefined;
    } catch {
      return 'The deflated data set cannot be inflated, or its start inflates to more than 4 MiB.';
    }
  }
}
