/** A peer that is at work moves at least this much in a window, or finishes a message. */
const leastBytes = 1024;
/** So many slow windows in a row: the first may have begun just before the peer did. */
const slowWindows = 2;

/**
 * Notices a peer that keeps an association alive without getting anywhere: a byte now and then, in the middle of a
 * message. Silence is not its business, and time in which the peer waits for us is not counted.
 */
export class Pace {
  readonly #windowMs: number;
  readonly #isWaitingForUs: () => boolean;
  readonly #onTooSlow: () => void;
  #timer: NodeJS.Timeout | undefined;
  #bytes = 0;
  #hasEndedMessage = false;
  #slowCount = 0;

  /** @param windowMs 0: never too slow */
  constructor(windowMs: number, isWaitingForUs: () => boolean, onTooSlow: () => void) {
    this.#windowMs = windowMs;
    this.#isWaitingForUs = isWaitingForUs;
    this.#onTooSlow = onTooSlow;
  }

  start(): void {
    clearInterval(this.#timer);
    if (this.#windowMs === 0) return;
    this.#timer = setInterval(() => this.#check(), this.#windowMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The peer sent so many bytes. */
  moved(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The last fragment of a command or data set came. */
  endedMessage(): void {
    this.#hasEndedMessage = true;
  }

  #check(): void {
    const isSlow = this.#bytes > 0 && this.#bytes < leastBytes && !this.#hasEndedMessage && !this.#isWaitingForUs();
    this.#slowCount = isSlow ? this.#slowCount + 1 : 0;
    this.#bytes = 0;
    this.#hasEndedMessage = false;
    if (this.#slowCount >= slowWindows) this.#onTooSlow();
  }
}
