import { classesOf, queryRetrieveClass, type QueryRetrieveLevel } from '../../dicom/queryRetrieve.ts';
import { status } from '../../dicom/status.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import type { CloudArchive, InstanceName } from '../cloudArchive.ts';
import { commandFields, commandPriority } from '../dimse/command.ts';
import type { Logger } from '../logger.ts';
import { readIdentifier } from './identifier.ts';
import { dataSetOf } from './partTen.ts';
import { queryFailure } from './queryFailure.ts';
import { readRetrieval, type Query } from './queryKeys.ts';
import { AssociationOver, DataSetInterrupted, type AssociationInfo, type AssociationLink, type DimseRequest, type DimseResponse, type Operation, type ServiceContext } from './service.ts';
import type { DimseService } from './session.ts';
import { SuboperationTally } from './suboperations.ts';

export interface GetDeps {
  readonly archive: CloudArchive;
  readonly log: Logger;
}

/** Instances that are asked for while one is sent, as long as the requestor takes one within a second; then one, so that none waits long. */
const aheadOfFast = 4;
const fastMs = 1_000;

/** One instance to send, as the index names it. */
interface Wanted extends InstanceName {
  readonly sopClassUID: string;
  readonly transferSyntaxUID: string;
}

/** An instance whose bytes have begun to arrive, in the transfer syntax of a context that takes it. */
interface Ready {
  readonly context: ServiceContext;
  readonly dataSet: AsyncIterable<Buffer>;
}

/** What nearly every instance can be given in comes first, and what keeps the VRs of private attributes before what does not. */
const rankOf = ({ transferSyntaxUID }: ServiceContext): number => [explicitVRLittleEndian, implicitVRLittleEndian, transferSyntaxUID].indexOf(transferSyntaxUID);

/** C-GET as SCP (PS3.4 C.4.3): each instance is a C-STORE sub-operation on the same association. */
export const openGet = (deps: GetDeps) => (info: AssociationInfo, link: AssociationLink): DimseService => ({
  operations: [commandFields.cGetRequest],
  abstractSyntaxUIDs: classesOf('get').map(({ uid }) => uid),
  handle: async (request, operation) => {
    try {
      return await new Getting(deps, info, link, request, operation).run();
    } catch (error) {
      if (error instanceof DataSetInterrupted || error instanceof AssociationOver) throw error;
      if (operation.isCancelled) return { status: status.cancelled };
      return queryFailure(error, deps.log, info);
    }
  },
});

class Getting {
  readonly #deps: GetDeps;
  readonly #info: AssociationInfo;
  readonly #link: AssociationLink;
  readonly #request: DimseRequest;
  readonly #operation: Operation;
  /** Aborted with the association, not by a cancel: the sub-operation under way is finished. */
  readonly #reading = new AbortController();

  constructor(deps: GetDeps, info: AssociationInfo, link: AssociationLink, request: DimseRequest, operation: Operation) {
    this.#deps = deps;
    this.#info = info;
    this.#link = link;
    this.#request = request;
    this.#operation = operation;
    operation.signal.addEventListener('abort', () => { if (!operation.isCancelled) this.#reading.abort(); });
  }

  async run(): Promise<DimseResponse> {
    const { abstractSyntaxUID, transferSyntaxUID, dataSet } = this.#request;
    if (!dataSet) return { status: status.mistypedArgument, errorComment: 'C-GET-RQ without an identifier' };
    const relational = this.#link.extensions.get(abstractSyntaxUID)?.[0] === 1;
    const wanted = await this.#resolve(readRetrieval(await readIdentifier(dataSet, transferSyntaxUID), queryRetrieveClass(abstractSyntaxUID)!, relational));
    const tally = new SuboperationTally(wanted.length);
    const prepared: Promise<Ready | undefined>[] = [];
    let ahead = 1;
    try {
      for (const [index, instance] of wanted.entries()) {
        if (this.#operation.isCancelled) return tally.cancelled(transferSyntaxUID);
        const ready = await (prepared.shift() ?? this.#prepare(instance));
        const beganAt = performance.now();
        while (prepared.length < ahead && index + 1 + prepared.length < wanted.length) prepared.push(this.#prepare(wanted[index + 1 + prepared.length]!));
        tally.count(instance.sopInstanceUID, ready && await this.#send(instance, ready));
        ahead = performance.now() - beganAt < fastMs ? aheadOfFast : 1;
        if (index + 1 < wanted.length) await this.#operation.respond(tally.pending());
      }
      return tally.final(transferSyntaxUID);
    } finally {
      this.#reading.abort();
    }
  }

  async #resolve({ keys }: Query): Promise<readonly Wanted[]> {
    const level: QueryRetrieveLevel = 'IMAGE';
    const { matches } = await this.#deps.archive.query({ level, keys }, this.#operation.signal);
    const wanted: Wanted[] = [];
    for await (const match of matches) {
      const uid = (tag: string): string => String(match[tag]?.Value?.[0] ?? '');
      wanted.push({ studyInstanceUID: uid('0020000D'), seriesInstanceUID: uid('0020000E'), sopInstanceUID: uid('00080018'), sopClassUID: uid('00080016'), transferSyntaxUID: uid('00083002') });
    }
    return wanted;
  }

  /** @returns undefined when no context takes it, or the archive cannot give it; it never rejects: that is one failed sub-operation */
  async #prepare(instance: Wanted): Promise<Ready | undefined> {
    const { sopInstanceUID, sopClassUID, transferSyntaxUID } = instance;
    const fields = { associationId: this.#info.associationId, sopInstanceUID };
    const contexts = this.#link.contexts.filter(({ abstractSyntaxUID, requestorIsScp }) => requestorIsScp && abstractSyntaxUID === sopClassUID)
      .toSorted((a, b) => rankOf(a) - rankOf(b));
    const asStored = contexts.filter((context) => context.transferSyntaxUID === transferSyntaxUID);
    try {
      for (const context of asStored.length > 0 ? asStored : contexts) {
        const file = await this.#deps.archive.retrieve(instance, asStored.length > 0 ? undefined : context.transferSyntaxUID, this.#reading.signal);
        const dataSet = file && await dataSetOf(file);
        if (dataSet) return { context, dataSet };
      }
      this.#deps.log.warn(fields, contexts.length === 0 ? 'Instance not sent: the requestor takes no SCP role for its SOP Class' : 'Instance not sent: not available in a transfer syntax that the requestor takes');
    } catch (error) {
      if (!this.#reading.signal.aborted) this.#deps.log.error({ ...fields, err: error }, 'Instance not sent: it could not be read');
    }
    return undefined;
  }

  async #send({ sopClassUID, sopInstanceUID }: Wanted, { context, dataSet }: Ready): Promise<number | undefined> {
    const response = await this.#link.request(context.id, {
      affectedSOPClassUID: sopClassUID, commandField: commandFields.cStoreRequest, priority: commandPriority.medium, affectedSOPInstanceUID: sopInstanceUID,
    }, dataSet);
    return response.status;
  }
}
