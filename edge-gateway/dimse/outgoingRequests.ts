import { AssociationOver, type CommandSet } from '../services/service.ts';
import { noDataSet, withDataSet } from './command.ts';
import type { MessageWriter } from './messageWriter.ts';

interface Pending {
  readonly messageID: number;
  readonly response: PromiseWithResolvers<CommandSet>;
}

const maxMessageID = 0xffff;

/** The requests that an acceptor sends on the requestor's association: one at a time, in the order in which they are asked for. */
export class OutgoingRequests {
  readonly #writer: MessageWriter;
  readonly #responseMs: number;
  readonly #abort: (why: string) => void;
  #pending: Pending | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #messageID = 0;
  #isOver = false;

  /** @param responseMs after how long without a response the association is aborted */
  constructor(writer: MessageWriter, responseMs: number, abort: (why: string) => void) {
    this.#writer = writer;
    this.#responseMs = responseMs;
    this.#abort = abort;
  }

  /** @throws `AssociationOver`; the data set's own error, after the association was aborted */
  request(contextId: number, command: Omit<CommandSet, 'messageID' | 'commandDataSetType'>, dataSet?: Buffer | AsyncIterable<Buffer>): Promise<CommandSet> {
    const mine = this.#turn.then(() => this.#send(contextId, command, dataSet));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #send(contextId: number, command: Omit<CommandSet, 'messageID' | 'commandDataSetType'>, dataSet?: Buffer | AsyncIterable<Buffer>): Promise<CommandSet> {
    if (this.#isOver) throw over();
    this.#messageID = (this.#messageID % maxMessageID) + 1;
    const pending: Pending = { messageID: this.#messageID, response: Promise.withResolvers() };
    pending.response.promise.catch(() => undefined);
    this.#pending = pending;
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.#writer.send(contextId, { ...command, messageID: pending.messageID, commandDataSetType: dataSet === undefined ? noDataSet : withDataSet }, dataSet);
      timer = setTimeout(() => this.#abort('the peer did not answer a request of ours in time'), this.#responseMs);
      return await pending.response.promise;
    } catch (error) {
      if (!(error instanceof AssociationOver)) this.#abort('a message of ours could not be finished');
      throw error;
    } finally {
      clearTimeout(timer);
      this.#pending = undefined;
    }
  }

  /** @returns false when no request waits for this response */
  answered(response: CommandSet): boolean {
    if (!this.#pending || response.messageIDBeingRespondedTo !== this.#pending.messageID) return false;
    this.#pending.response.resolve(response);
    return true;
  }

  /** The association ended: what waits is told, and nothing more is sent. */
  end(): void {
    this.#isOver = true;
    this.#pending?.response.reject(over());
  }
}

const over = (): AssociationOver => new AssociationOver('the association ended before a request of ours was answered');
