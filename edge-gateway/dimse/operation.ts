import { AssociationOver, type CommandSet, type DimseResponse, type Operation } from '../services/service.ts';
import type { MessageWriter } from './messageWriter.ts';
import { responseCommand } from './response.ts';

/** One request that is being worked on. What a C-STORE never asks for, the signal, is made when it is asked for. */
export class OpenOperation implements Operation {
  readonly contextId: number;
  readonly command: CommandSet;
  readonly #writer: MessageWriter;
  #controller: AbortController | undefined;
  #isCancelled = false;
  #isOver = false;

  constructor(contextId: number, command: CommandSet, writer: MessageWriter) {
    this.contextId = contextId;
    this.command = command;
    this.#writer = writer;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#isCancelled || this.#isOver) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  async respond(response: DimseResponse): Promise<void> {
    if (this.#isOver) throw new AssociationOver('the association ended before the request was answered');
    await this.#writer.send(this.contextId, responseCommand(this.command, response), response.dataSet);
  }

  /** C-CANCEL-RQ (PS3.7 9.3.2.3). */
  cancel(): void {
    this.#isCancelled = true;
    this.#controller?.abort();
  }

  /** The association ended. */
  end(): void {
    this.#isOver = true;
    this.#controller?.abort();
  }
}
