import { AssociationOver, type CommandSet } from '../services/service.ts';
import type { UpperLayer } from '../upper-layer/association.ts';
import { dataSetPdus, encodeCommandMessage } from './message.ts';

/**
 * Sends DIMSE messages on one association, whole and one after the other: the fragments of two are never mixed (PS3.7 6.3.1).
 * A message without a data set goes out at once, without a promise, as the answers to C-STORE do.
 */
export class MessageWriter {
  readonly #upperLayer: Pick<UpperLayer, 'send' | 'drained'>;
  readonly #maxLengthBytes: number;
  /** Settles when the messages begun so far are out; it never rejects. */
  #writing: Promise<void> | undefined;
  #isOver = false;

  /** @param maxLengthBytes the peer's Maximum Length Received, PDU header excluded; 0 is unlimited (PS3.8 D.1) */
  constructor(upperLayer: Pick<UpperLayer, 'send' | 'drained'>, maxLengthBytes: number) {
    this.#upperLayer = upperLayer;
    this.#maxLengthBytes = maxLengthBytes;
  }

  /**
   * @returns a promise when the peer is slow, or the message waits for others or for its own data set
   * @throws the data set's error, from the promise; the message is then unfinished and the association of no more use
   */
  send(contextId: number, command: CommandSet, dataSet?: Buffer | AsyncIterable<Buffer>): void | Promise<void> {
    if (!this.#writing && dataSet === undefined) {
      if (this.#upperLayer.send([encodeCommandMessage(contextId, command, this.#maxLengthBytes)])) return;
      return this.#upperLayer.drained();
    }
    const sent = (this.#writing ?? Promise.resolve()).then(() => this.#write(contextId, command, dataSet));
    const settled: Promise<void> = sent.catch(() => undefined).then(() => {
      if (this.#writing === settled) this.#writing = undefined;
    });
    this.#writing = settled;
    return sent;
  }

  /** The association ended: data sets that are being sent are read no further. */
  end(): void {
    this.#isOver = true;
  }

  async #write(contextId: number, command: CommandSet, dataSet: Buffer | AsyncIterable<Buffer> | undefined): Promise<void> {
    const head = encodeCommandMessage(contextId, command, this.#maxLengthBytes);
    if (!this.#upperLayer.send([head])) await this.#upperLayer.drained();
    if (dataSet === undefined) return;
    for await (const pdu of dataSetPdus(contextId, Buffer.isBuffer(dataSet) ? [dataSet] : dataSet, this.#maxLengthBytes)) {
      if (this.#isOver) throw new AssociationOver('the association ended in the middle of a message of ours');
      if (!this.#upperLayer.send(pdu)) await this.#upperLayer.drained();
    }
  }
}
