import { commandFields, commandPriority } from '../dimse/command.ts';
import type { AcceptedContext } from '../upper-layer/negotiation.ts';
import { maxContexts, openAssociation, type ContextProposal, type ScuOptions } from './association.ts';
import type { Peer } from './errors.ts';
import type { RequestorAssociation } from './requestorAssociation.ts';

/** One C-STORE; its data set is encoded in the context's transfer syntax, without file meta information. */
interface StoreRequest {
  readonly context: AcceptedContext;
  readonly sopInstanceUID: string;
  readonly dataSet: AsyncIterable<Buffer>;
  /** Set when the C-STORE is a sub-operation of a C-MOVE (PS3.7 9.1.1.1). */
  readonly moveOriginator?: { readonly aeTitle: string; readonly messageID: number };
}

/** What the peer answered (PS3.7 9.1.1.1.9; `dicom/status.ts` for its meaning). */
interface StoreResponse {
  readonly status: number;
  readonly errorComment?: string;
}

/** An instance to be sent as it is. */
export interface InstanceToSend {
  readonly sopClassUID: string;
  readonly sopInstanceUID: string;
  readonly transferSyntaxUID: string;
  /** The data set's bytes, without preamble and file meta information. Called once, when its turn has come. */
  open(): AsyncIterable<Buffer>;
}

/** The peer's word on one instance. */
export type StoreResult =
  | {
    readonly outcome: 'answered';
    readonly sopInstanceUID: string;
    /** PS3.4 B.2.3; see `statusClass` and `resend` of `dicom/status.ts`. */
    readonly status: number;
    readonly errorComment?: string;
  }
  | {
    /** Not sent: the peer accepted no presentation context for it. */
    readonly outcome: 'notAccepted';
    readonly sopInstanceUID: string;
    /** 1–4 of PS3.8 Table 9-18; undefined when the peer did not answer the context. */
    readonly contextResult: number | undefined;
  };

export interface StoreOptions extends ScuOptions {
  readonly moveOriginator?: StoreRequest['moveOriginator'];
}

interface Batch {
  readonly instances: readonly InstanceToSend[];
  readonly contexts: readonly ContextProposal[];
}

/** Cuts a list of instances into associations of at most 128 pairs of SOP Class and transfer syntax, keeping its order. */
export function planAssociations(instances: readonly InstanceToSend[]): readonly Batch[] {
  const batches: { instances: InstanceToSend[]; contexts: Map<string, ContextProposal> }[] = [];
  for (const instance of instances) {
    const { sopClassUID, transferSyntaxUID } = instance;
    const key = `${sopClassUID} ${transferSyntaxUID}`;
    let batch = batches.at(-1);
    if (!batch || (batch.contexts.size === maxContexts && !batch.contexts.has(key))) {
      batch = { instances: [], contexts: new Map() };
      batches.push(batch);
    }
    batch.instances.push(instance);
    batch.contexts.set(key, { abstractSyntaxUID: sopClassUID, transferSyntaxUIDs: [transferSyntaxUID] });
  }
  return batches.map((batch) => ({ instances: batch.instances, contexts: [...batch.contexts.values()] }));
}

/** C-STORE (PS3.7 9.1.1). @throws as `RequestorAssociation.request` */
export async function storeOn(association: RequestorAssociation, { context, sopInstanceUID, dataSet, moveOriginator }: StoreRequest): Promise<StoreResponse> {
  const { status = 0, errorComment } = await association.request({ name: 'C-STORE-RQ', context, dataSet, command: {
    affectedSOPClassUID: context.abstractSyntaxUID, commandField: commandFields.cStoreRequest, priority: commandPriority.medium, affectedSOPInstanceUID: sopInstanceUID,
    ...(moveOriginator && { moveOriginatorApplicationEntityTitle: moveOriginator.aeTitle, moveOriginatorMessageID: moveOriginator.messageID }),
  } });
  return { status, ...(errorComment !== undefined && { errorComment }) };
}

async function storeOne(association: RequestorAssociation, instance: InstanceToSend, options: StoreOptions): Promise<StoreResult> {
  const { sopClassUID, sopInstanceUID, transferSyntaxUID } = instance;
  const context = association.findContext(sopClassUID, transferSyntaxUID);
  if (!context) return { outcome: 'notAccepted', sopInstanceUID, contextResult: association.contextResult(sopClassUID, transferSyntaxUID) };
  const response = await storeOn(association, {
    context, sopInstanceUID, dataSet: instance.open(), ...(options.moveOriginator && { moveOriginator: options.moveOriginator }),
  });
  return { outcome: 'answered', sopInstanceUID, ...response };
}

/**
 * Sends instances one after the other and tells of each as soon as the peer has answered it. An instance that the peer
 * refuses does not stop the others; an association that breaks does, and what was yielded before stays true.
 *
 * @throws `PeerUnreachable`, `AssociationRejected`, `AssociationAborted` or `PeerTimeout`; the error of an instance's
 *   bytes; the signal's reason
 */
export async function* storeInstances(peer: Peer, instances: readonly InstanceToSend[], options: StoreOptions = {}): AsyncGenerator<StoreResult> {
  for (const batch of planAssociations(instances)) {
    const association = await openAssociation({ ...peer, ...options, contexts: batch.contexts });
    try {
      for (const instance of batch.instances) yield await storeOne(association, instance, options);
    } finally {
      await association.release().catch(() => association.abort());
    }
  }
}
