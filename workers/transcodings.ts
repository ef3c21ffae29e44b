import type { Transcoder } from '../codecs/transcoder.ts';
import { uncompressedTargets } from '../codecs/syntaxes.ts';
import { CodecError } from '../codecs/errors.ts';
import { NotConverted } from '../edge-gateway/scu/store.ts';
import type { InstanceToSend } from '../stores/ports.ts';

export interface TranscodingsValues {
  readonly codecs: Pick<Transcoder, 'canTranscode' | 'transcode'>;
  /** Files that are read and transcoded at once. */
  readonly threads: number;
  /** Of a file before and after. As much again may lie in memory of what is on its way to destinations before the next file is read. */
  readonly maxBytes: number;
  /** For a place to transcode in; then the instance waits for the next attempt. Default 30 s. */
  readonly patienceMs?: number;
}

/** Many deliveries want files transcoded; this one is tried again later. */
export class TranscodingBusy extends Error {
  override readonly name = 'TranscodingBusy';
}

/** What one association sends transcoded: one file at a time. */
export interface Transcoding {
  /** @returns the Part 10 file in the transfer syntax @throws NotConverted; TranscodingBusy; what the archive throws */
  fileOf(instance: InstanceToSend, transferSyntaxUID: string, signal: AbortSignal): Promise<Buffer>;
  /** Forgets the last file. */
  close(): void;
}

/** Instances in other transfer syntaxes than they are stored in, for all associations of this process: memory is bounded for all together. */
export class Transcodings {
  readonly #values: TranscodingsValues;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #heldBytes = 0;

  constructor(values: TranscodingsValues) {
    this.#values = values;
  }

  /** In which an instance may be offered beside its own, the preferred first (PS3.5 10.1 asks every peer to take Implicit VR Little Endian). */
  othersOf(transferSyntaxUID: string): readonly string[] {
    return uncompressedTargets.filter((to) => to !== transferSyntaxUID && this.#values.codecs.canTranscode(transferSyntaxUID, to));
  }

  open(): Transcoding {
    let ownBytes = 0;
    const close = (): void => {
      this.#heldBytes -= ownBytes;
      ownBytes = 0;
      this.#wake();
    };
    return {
      close,
      fileOf: async (instance, transferSyntaxUID, signal) => {
        close();
        const file = await this.#transcoded(instance, transferSyntaxUID, signal);
        ownBytes = file.length;
        return file;
      },
    };
  }

  async #transcoded(instance: InstanceToSend, transferSyntaxUID: string, signal: AbortSignal): Promise<Buffer> {
    const { codecs, maxBytes } = this.#values;
    if (instance.lengthBytes > maxBytes) throw new NotConverted(sentence(`it has more than the ${maxBytes} bytes that are transcoded here`));
    await this.#place(signal);
    try {
      const file = await codecs.transcode(await bytesOf(instance), transferSyntaxUID, signal);
      this.#heldBytes += file.length;
      return file;
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      if (error.problem === 'busy') throw new TranscodingBusy(error.message, { cause: error });
      throw new NotConverted(sentence(error.message.replace(/\.$/, '')), { cause: error });
    } finally {
      this.#running -= 1;
      this.#wake();
    }
  }

  get #isFull(): boolean {
    return this.#running >= this.#values.threads || this.#heldBytes > this.#values.maxBytes;
  }

  /** Takes a place, in the order of asking. */
  async #place(signal: AbortSignal): Promise<void> {
    if (this.#isFull || this.#waiting.length > 0) await this.#turn(signal);
    else this.#running += 1;
  }

  #turn(signal: AbortSignal): Promise<void> {
    const { patienceMs = 30_000 } = this.#values;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const over = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
    const giveUp = (): void => {
      const at = this.#waiting.indexOf(take);
      if (at >= 0) this.#waiting.splice(at, 1);
      reject(signal.aborted ? signal.reason as Error : new TranscodingBusy('Other deliveries are transcoding; this one is tried again later.'));
    };
    const take = (): void => {
      over.removeEventListener('abort', giveUp);
      this.#running += 1;
      resolve();
    };
    over.addEventListener('abort', giveUp, { once: true });
    this.#waiting.push(take);
    if (over.aborted) giveUp();
    return promise;
  }

  #wake(): void {
    while (!this.#isFull && this.#waiting.length > 0) this.#waiting.shift()!();
  }
}

const sentence = (why: string): string => `The destination takes it uncompressed alone, and it cannot be given so: ${why}.`;

async function bytesOf(instance: InstanceToSend): Promise<Buffer> {
  const stream = await instance.open();
  const pieces: Buffer[] = [];
  try {
    for await (const piece of stream) pieces.push(piece as Buffer);
  } finally {
    stream.destroy();
  }
  return Buffer.concat(pieces);
}
