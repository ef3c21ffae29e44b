import type { CommandSet } from '../services/service.ts';
import { InvalidPdu } from '../upper-layer/fields.ts';
import { dataHeader, messageControl, pdvHeaderLength } from '../upper-layer/pdu.ts';
import { decodeCommandSet, encodeCommandSet, noDataSet } from './command.ts';
import { DataSetChannel } from './dataSet.ts';

/** A DIMSE message whose command set has arrived and whose data set, if any, is arriving. */
export interface Message {
  readonly presentationContextId: number;
  readonly command: CommandSet;
  readonly dataSet: DataSetChannel | undefined;
}

const maxCommandBytes = 64 * 1024;

/**
 * Puts the PDV fragments of an association together to messages (PS3.7 6.3.1, PS3.8 Annex E): the command's
 * fragments are joined, the data set's are passed on as they come.
 */
export class MessageReader {
  readonly #onMessage: (message: Message) => void | Promise<void>;
  #contextId = 0;
  #command: Buffer[] = [];
  #commandBytes = 0;
  #dataSet: DataSetChannel | undefined;

  /** @param onMessage may return a promise; nothing more is taken from the peer before it settles */
  constructor(onMessage: (message: Message) => void | Promise<void>) {
    this.#onMessage = onMessage;
  }

  /** True between the first fragment of a message and its last. */
  get insideMessage(): boolean {
    return this.#dataSet !== undefined || this.#commandBytes > 0;
  }

  /**
   * @param control the message control header (PS3.8 E.2)
   * @param ends false when more bytes of the same fragment follow
   * @throws `InvalidPdu` when messages are interleaved, a command set is too long, or it is none
   */
  fragment(contextId: number, control: number, bytes: Buffer, ends: boolean): void | Promise<void> {
    if (this.insideMessage && contextId !== this.#contextId) throw new InvalidPdu('a PDV of another presentation context interrupts a message');
    const isCommand = (control & messageControl.command) !== 0;
    if (isCommand === (this.#dataSet !== undefined)) throw new InvalidPdu(isCommand ? 'a command interrupts a data set' : 'a data set has no command');
    const isLast = ends && (control & messageControl.last) !== 0;
    return isCommand ? this.#commandFragment(contextId, bytes, isLast) : this.#dataFragment(bytes, isLast);
  }

  /** The association ended. */
  get unfinished(): DataSetChannel | undefined {
    return this.#dataSet;
  }

  #commandFragment(contextId: number, bytes: Buffer, isLast: boolean): void | Promise<void> {
    this.#contextId = contextId;
    this.#commandBytes += bytes.length;
    if (this.#commandBytes > maxCommandBytes) throw new InvalidPdu('a command set is longer than 64 KiB');
    if (bytes.length > 0) this.#command.push(bytes);
    if (!isLast) return;
    const command = decodeCommandSet(this.#command.length === 1 ? this.#command[0]! : Buffer.concat(this.#command));
    this.#command = [];
    this.#commandBytes = 0;
    if (command.commandDataSetType !== noDataSet) this.#dataSet = new DataSetChannel();
    return this.#onMessage({ presentationContextId: contextId, command, dataSet: this.#dataSet });
  }

  #dataFragment(bytes: Buffer, isLast: boolean): void | Promise<void> {
    const dataSet = this.#dataSet!;
    const wait = dataSet.push(bytes);
    if (!isLast) return wait;
    this.#dataSet = undefined;
    if (wait) return wait.then(() => dataSet.end());
    dataSet.end();
  }
}

/** The most bytes of a fragment that we send, whatever the peer accepts: bounds what one write holds. */
const maxFragmentBytes = 128 * 1024;

/**
 * Largest fragment that fits a PDU of the peer's Maximum Length Received; even, as PS3.8 9.3.5.1 wants fragments.
 *
 * @param maxLengthBytes PDU header excluded; 0 is unlimited (PS3.8 D.1)
 * @returns 0 when not even two bytes fit
 */
export function fragmentLength(maxLengthBytes: number): number {
  if (maxLengthBytes === 0) return maxFragmentBytes;
  const fits = Math.min(maxLengthBytes - pdvHeaderLength, maxFragmentBytes);
  return fits < 2 ? 0 : fits - (fits % 2);
}

/** A message without a data set, or a message's command, as P-DATA-TF PDUs of one PDV each. */
export function encodeCommandMessage(contextId: number, command: CommandSet, maxLengthBytes: number): Buffer {
  const bytes = encodeCommandSet(command);
  const length = fragmentLength(maxLengthBytes);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += length) {
    const fragment = bytes.subarray(at, at + length);
    const last = at + length >= bytes.length ? messageControl.last : 0;
    pieces.push(dataHeader(contextId, messageControl.command | last, fragment.length), fragment);
  }
  return Buffer.concat(pieces);
}

/**
 * Cuts a data set into P-DATA-TF PDUs of the peer's maximum length without copying it (PS3.8 D.1); the last one says that it is.
 *
 * @param maxLengthBytes the peer's, PDU header excluded; 0 is unlimited
 */
export async function* dataSetPdus(contextId: number, dataSet: Iterable<Buffer> | AsyncIterable<Buffer>, maxLengthBytes: number): AsyncGenerator<readonly Buffer[]> {
  const length = fragmentLength(maxLengthBytes);
  let pieces: Buffer[] = [];
  let held = 0;
  for await (const chunk of dataSet) {
    for (let at = 0; at < chunk.length;) {
      if (held === length) {
        yield [dataHeader(contextId, 0, held), ...pieces];
        [pieces, held] = [[], 0];
      }
      const piece = chunk.subarray(at, at + length - held);
      pieces.push(piece);
      held += piece.length;
      at += piece.length;
    }
  }
  yield [dataHeader(contextId, messageControl.last, held), ...pieces];
}
