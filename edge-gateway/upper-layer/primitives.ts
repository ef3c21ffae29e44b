import type { Abort, AssociateAccept, AssociateReject, AssociateRequest } from './pdu.ts';
import type { PduLimits } from './pduReader.ts';

/** Source of an A-ABORT (PS3.8 Table 9-26). */
export const abortSource = { serviceUser: 0, serviceProvider: 2 } as const;

/** How an association or its establishment broke off. */
export interface AbortIndication extends Abort {
  /** `peer`: an A-ABORT arrived. `provider`: our upper layer sent one. `transport`: the connection ended. */
  readonly by: 'peer' | 'provider' | 'transport';
  /** A sentence for the log, without any value that the peer sent. */
  readonly sentence: string;
}

/** The upper layer's user: what the indication and confirmation primitives of PS3.8 Section 7 call. */
export interface UpperLayerUser {
  associateIndication(request: AssociateRequest): void;
  associateConfirmation(answer: { readonly accept: AssociateAccept } | { readonly reject: AssociateReject }): void;
  /** P-DATA; throws `InvalidPdu` to have the association aborted. See `PduSink.fragment` for back-pressure. */
  fragment(contextId: number, control: number, bytes: Buffer, ends: boolean): void | Promise<void>;
  releaseIndication(): void;
  releaseConfirmation(): void;
  /** A-ABORT and A-P-ABORT. Not called for an abort that the user asked for. */
  abortIndication(abort: AbortIndication): void;
  /**
   * The connection is gone and the state machine idle; nothing is called afterwards.
   *
   * @param incident what went wrong before there was an association that could be aborted
   */
  closed(incident?: string): void;
  /** While true, silence of the peer is not idleness: it waits for an answer. */
  busy(): boolean;
}

export interface UpperLayerOptions extends PduLimits {
  /** Association Request/Reject/Release Timer (PS3.8 9.1.5). */
  readonly artimTimeoutMs: number;
  /** Silence on an established association after which it is aborted; 0 is never. */
  readonly idleTimeoutMs: number;
}
