/** One request on its way through a proxy. */
export interface Call {
  /** HTTP method; POST for every gRPC call. */
  readonly method: string;
  /** With query. Of gRPC: `/package.Service/Method`. */
  readonly path: string;
  /** What gRPC carries, as Latin-1 text: names and UIDs can be found in it. Empty for HTTP. */
  readonly request: string;
  /** Of gRPC, once the server has answered. */
  readonly answer: string;
  /** HTTP status of the server's answer; 0 before there is one. */
  readonly status: number;
}

/** `before`: the server has seen nothing. `halfway`: it has half of the body. `after`: it has answered, and the caller does not know. */
export type Moment = 'before' | 'halfway' | 'after';

export type Act =
  /** The caller's connection (of gRPC: the call) breaks. */
  | { readonly kind: 'cut' }
  /** The caller gets this answer: an HTTP status and body, or a gRPC status. */
  | { readonly kind: 'answer'; readonly status: number; readonly body?: string }
  /** The caller gets half of the server's answer, then its connection breaks. Only after. */
  | { readonly kind: 'half' }
  /** Nothing moves for so long, then all goes on. */
  | { readonly kind: 'stall'; readonly ms: number };

export interface Fault {
  readonly matches: (call: Call) => boolean;
  readonly moment: Moment;
  readonly act: Act;
  /** Runs when the moment has come, before the act: to kill a process between an effect and its answer. */
  readonly meanwhile?: () => Promise<void>;
  /** How many calls it meets; default 1. */
  readonly times?: number;
}

export interface ArmedFault {
  /** Calls that it has met. */
  readonly fired: () => number;
  /** Resolves when it has met as many calls as it may, or is disarmed. */
  readonly done: Promise<void>;
  disarm(): void;
}

interface Armed { readonly fault: Fault; fired: number; readonly end: PromiseWithResolvers<void> }

/** The faults that wait for their call, first come, first served. */
export class FaultList {
  readonly #armed: Armed[] = [];

  arm(fault: Fault): ArmedFault {
    const entry = { fault, fired: 0, end: Promise.withResolvers<void>() };
    this.#armed.push(entry);
    return { fired: () => entry.fired, done: entry.end.promise, disarm: () => this.#remove(entry) };
  }

  /** The fault that this call meets at this moment, if any; it is used up by one. */
  take(call: Call, moment: Moment): Fault | undefined {
    const entry = this.#armed.find(({ fault }) => fault.moment === moment && fault.matches(call));
    if (!entry) return undefined;
    entry.fired++;
    if (entry.fired >= (entry.fault.times ?? 1)) this.#remove(entry);
    return entry.fault;
  }

  clear(): void {
    for (const entry of [...this.#armed]) this.#remove(entry);
  }

  #remove(entry: Armed): void {
    const at = this.#armed.indexOf(entry);
    if (at >= 0) this.#armed.splice(at, 1);
    entry.end.resolve();
  }
}
