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

/** An instance to be sent as it is stored or, to a peer that does not take it so, in another transfer syntax. */
export interface InstanceToSend {
  readonly sopClassUID: string;
  readonly sopInstanceUID: string;
  /** As it is stored. */
  readonly transferSyntaxUID: string;
  /** In which it may be given instead, the preferred first; absent: in none. */
  readonly otherTransferSyntaxUIDs?: readonly string[];
  /**
   * The data set's bytes in one of these, without preamble and file meta information. Called once, when its turn has come; what it
   * throws before it resolves leaves the association as it is.
   *
   * @throws NotConverted
   */
  open(transferSyntaxUID: string): AsyncIterable<Buffer> | Promise<AsyncIterable<Buffer>>;
}

/** This instance cannot be given in the transfer syntax, now or later. The message is a sentence that an operator reads. */
export class NotConverted extends Error {
  override readonly name = 'NotConverted';
}

/** The peer's word on one instance. */
export type StoreResult =
  | {
    readonly outcome: 'answered';
    readonly sopInstanceUID: string;
    /** PS3.4 B.2.3; see `statusClass` and `resend` of `dicom/status.ts`. */
    readonly status: number;
    readonly errorComment?: string;
    /** The transfer syntax it was sent in, when that is not the stored one. */
    readonly sentAs?: string;
  }
  | {
    /** Not sent: the peer takes it only in a transfer syntax that it cannot be given in. */
    readonly outcome: 'notConverted';
    readonly sopInstanceUID: string;
    readonly reason: string;
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

/** The stored transfer syntax and the others, each in a context of its own: the peer can accept all that it takes (PS3.8 9.3.3.2), and we choose. */
const contextsOf = ({ sopClassUID, transferSyntaxUID, otherTransferSyntaxUIDs = [] }: InstanceToSend): ReadonlyMap<string, ContextProposal> =>
  new Map([transferSyntaxUID, ...otherTransferSyntaxUIDs].map((uid) => [`${sopClassUID} ${uid}`, { abstractSyntaxUID: sopClassUID, transferSyntaxUIDs: [uid] }]));

/** Cuts a list of instances into associations of at most 128 pairs of SOP Class and transfer syntax, keeping its order. */
export function planAssociations(instances: readonly InstanceToSend[]): readonly Batch[] {
  const batches: { instances: InstanceToSend[]; contexts: Map<string, ContextProposal> }[] = [];
  for (const instance of instances) {
    const wanted = contextsOf(instance);
    let batch = batches.at(-1);
    if (!batch || new Set([...batch.contexts.keys(), ...wanted.keys()]).size > maxContexts) {
      batch = { instances: [], contexts: new Map() };
      batches.push(batch);
    }
    batch.instances.push(instance);
    for (const [key, context] of wanted) batch.contexts.set(key, context);
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

/** An association for one batch. One that the peer ended while nothing was sent is opened again. */
class Carrier {
  readonly #open: () => Promise<RequestorAssociation>;
  #association: RequestorAssociation | undefined;

  constructor(open: () => Promise<RequestorAssociation>) {
    this.#open = open;
  }

  async association(): Promise<RequestorAssociation> {
    return this.#association ??= await this.#open();
  }

  /** For after a while without a message: some peers do not wait long for one. */
  async renewed(): Promise<RequestorAssociation> {
    if (this.#association?.isOpen === false) this.#association = undefined;
    return this.association();
  }

  async release(): Promise<void> {
    const association = this.#association;
    await association?.release().catch(() => association.abort());
  }
}

const contextFor = (association: RequestorAssociation, { sopClassUID, transferSyntaxUID, otherTransferSyntaxUIDs = [] }: InstanceToSend): AcceptedContext | undefined =>
  [transferSyntaxUID, ...otherTransferSyntaxUIDs].map((uid) => association.findContext(sopClassUID, uid)).find((context) => context !== undefined);

async function storeOne(carrier: Carrier, instance: InstanceToSend, options: StoreOptions): Promise<StoreResult> {
  const { sopClassUID, sopInstanceUID, transferSyntaxUID } = instance;
  const first = await carrier.association();
  const chosen = contextFor(first, instance);
  const notAccepted: StoreResult = { outcome: 'notAccepted', sopInstanceUID, contextResult: first.contextResult(sopClassUID, transferSyntaxUID) };
  if (!chosen) return notAccepted;
  const isConverted = chosen.transferSyntaxUID !== transferSyntaxUID;
  try {
    const dataSet = await instance.open(chosen.transferSyntaxUID);
    const association = isConverted ? await carrier.renewed() : first;
    const context = association.findContext(sopClassUID, chosen.transferSyntaxUID);
    if (!context) return notAccepted;
    const response = await storeOn(association, { context, sopInstanceUID, dataSet, ...(options.moveOriginator && { moveOriginator: options.moveOriginator }) });
    return { outcome: 'answered', sopInstanceUID, ...response, ...(isConverted && { sentAs: chosen.transferSyntaxUID }) };
  } catch (error) {
    if (error instanceof NotConverted) return { outcome: 'notConverted', sopInstanceUID, reason: error.message };
    throw error;
  }
}

/**
 * Sends instances one after the other and tells of each as soon as the peer has answered it. An instance that the peer
 * refuses does not stop the others; an association that breaks does, and what was yielded before stays true.
 *
 * @throws `PeerUnreachable`, `AssociationRejected`, `AssociationAborted` or `PeerTimeout`; the error of an instance's
 *   bytes; the signal's reason
 */
export async function* storeInstances(peer: Peer, instances: readonly InstanceToSend[], options: StoreOptions = {}): AsyncGenerator<StoreResult> {
  for (const { instances: batch, contexts } of planAssociations(instances)) {
    const carrier = new Carrier(() => openAssociation({ ...peer, ...options, contexts }));
    try {
      for (const instance of batch) yield await storeOne(carrier, instance, options);
    } finally {
      await carrier.release();
    }
  }
}
