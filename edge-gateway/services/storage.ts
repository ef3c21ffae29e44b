import { encodeFileMeta } from '../../dicom/part10/fileMeta.ts';
import { IdentityScanner } from '../../dicom/part10/identity.ts';
import { status } from '../../dicom/status.ts';
import { isUidShaped } from '../../dicom/uid.ts';
import type { Logger } from '../logger.ts';
import { EntryTooLong } from '../spool/batchWriter.ts';
import type { IncomingInstance } from '../spool/incoming.ts';
import type { InstanceIdentity, SeriesIdentity } from '../spool/openPack.ts';
import { isDiskFull } from '../spool/paths.ts';
import type { SpoolSession } from '../spool/spool.ts';
import type { Watermark } from '../spool/watermark.ts';
import { DataSetInterrupted, type AssociationEnd, type AssociationInfo, type DimseRequest, type DimseResponse } from './service.ts';

export interface StorageDeps {
  readonly spool: { open(info: AssociationInfo): SpoolSession };
  readonly watermark: Pick<Watermark, 'noRoom' | 'mustStop' | 'makeRoom' | 'wrote'>;
  readonly log: Logger;
  /** Every answered request: for counting. */
  readonly onAnswer?: (status: number, lengthBytes: number) => void;
}

/** Why an instance is not taken: what the sender is told (PS3.4 B.2.3). The comment is a sentence without values. */
class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly response: DimseResponse;

  constructor(code: number, errorComment: string) {
    super(errorComment);
    this.response = { status: code, errorComment };
  }
}

/** C-STORE-RQ (PS3.7 Table E.1-1). */
const storeRequest = 0x0001;

/** The Storage Service Class as SCP (PS3.4 Annex B): level 2, full, every attribute kept as it was sent. */
export const openStorageSession = (deps: StorageDeps) => async (info: AssociationInfo) => {
  const spool = deps.spool.open(info);
  return {
    operations: [storeRequest],
    handle: async (request: DimseRequest): Promise<DimseResponse> => {
      const { response, lengthBytes } = await answer(deps, spool, info, request);
      deps.onAnswer?.(response.status, lengthBytes);
      return response;
    },
    ended: (how: AssociationEnd): Promise<void> => spool.end(how),
  };
};

interface Answer { readonly response: DimseResponse; readonly lengthBytes: number }

async function answer(deps: StorageDeps, spool: SpoolSession, info: AssociationInfo, request: DimseRequest): Promise<Answer> {
  try {
    const lengthBytes = await store(deps, spool, request);
    return { response: { status: status.success }, lengthBytes };
  } catch (error) {
    if (error instanceof DataSetInterrupted) throw error;
    const response = responseTo(error);
    const { associationId, callingAETitle } = info;
    const fields = { associationId, callingAETitle, status: response.status, sopInstanceUID: request.command.affectedSOPInstanceUID };
    if (error instanceof Refusal) deps.log.warn(fields, `Instance refused: ${error.message}`);
    else deps.log.error({ ...fields, err: error }, 'Instance refused: it could not be written');
    return { response, lengthBytes: 0 };
  }
}

/**
 * Takes one instance. When it resolves, the Part 10 file lies in its Series' pack, on disk and synced, and only then is
 * the sender told so. When it rejects, nothing of the instance is left.
 *
 * @returns the data set's length in bytes
 */
async function store(deps: StorageDeps, spool: SpoolSession, request: DimseRequest): Promise<number> {
  const identity = identityOf(request);
  const { dataSet } = request;
  if (dataSet === undefined) throw new Refusal(status.mistypedArgument, 'C-STORE-RQ without a data set');
  await deps.watermark.makeRoom();
  refuseWithoutRoom(deps.watermark);
  const incoming = spool.receive(identity);
  try {
    const lengthBytes = await receive(deps.watermark, incoming, identity, request);
    await incoming.commit();
    return lengthBytes;
  } catch (error) {
    await incoming.discard();
    throw error;
  }
}

/** Writes the data set as it arrives, and places it as soon as its Series is known. */
async function receive(watermark: StorageDeps['watermark'], incoming: IncomingInstance, identity: InstanceIdentity, request: DimseRequest): Promise<number> {
  const scanner = new IdentityScanner(identity.transferSyntaxUID);
  let placed = false;
  const place = async (): Promise<void> => {
    placed = true;
    await incoming.place(seriesOf(scanner, identity));
  };
  await incoming.push(encodeFileMeta(identity));
  const write = (fragment: Buffer): void | Promise<void> => {
    if (watermark.mustStop()) throw new Refusal(status.outOfResources, 'The disk of the gateway is full');
    watermark.wrote(fragment.length);
    if (placed) return incoming.push(fragment);
    scanner.push(fragment);
    if (scanner.state === 'scanning') return incoming.push(fragment);
    return place().then(() => incoming.push(fragment));
  };
  const lengthBytes = await request.dataSet!.consume((fragment) => {
    const room = watermark.makeRoom();
    return room === undefined ? write(fragment) : room.then(() => write(fragment));
  });
  if (!placed) {
    scanner.end();
    await place();
  }
  return lengthBytes;
}

function refuseWithoutRoom(watermark: StorageDeps['watermark']): void {
  const noRoom = watermark.noRoom();
  if (noRoom === 'diskFull') throw new Refusal(status.outOfResources, 'The disk of the gateway is full');
  if (noRoom === 'spoolFull') throw new Refusal(status.outOfResources, 'The spool of the gateway is full');
}

/** What the command says (PS3.7 9.3.1.1). UIDs in the shape of one are taken, also with leading zeros: the cloud judges them. */
function identityOf({ command, abstractSyntaxUID, transferSyntaxUID }: DimseRequest): InstanceIdentity {
  const { affectedSOPClassUID, affectedSOPInstanceUID } = command;
  if (!affectedSOPInstanceUID || !isUidShaped(affectedSOPInstanceUID)) throw new Refusal(status.invalidInstance, 'Affected SOP Instance UID is missing or no UID');
  if (affectedSOPClassUID !== abstractSyntaxUID) throw new Refusal(status.sopClassNotSupported, 'Affected SOP Class is not that of the context');
  return { sopClassUID: affectedSOPClassUID, sopInstanceUID: affectedSOPInstanceUID, transferSyntaxUID };
}

/**
 * Compares what the data set says of itself with the command.
 *
 * @throws Refusal A900 when it is another instance, C000 when it cannot be placed
 */
function seriesOf(scanner: IdentityScanner, identity: InstanceIdentity): SeriesIdentity {
  const { sopClassUID, sopInstanceUID, studyInstanceUID, seriesInstanceUID } = scanner.result;
  if (scanner.state === 'unreadable') throw new Refusal(status.cannotUnderstand, 'The data set cannot be read up to its Series UID');
  if (sopClassUID !== identity.sopClassUID) throw new Refusal(status.dataSetMismatch, 'SOP Class UID of the data set is not that of the command');
  if (sopInstanceUID !== identity.sopInstanceUID) throw new Refusal(status.dataSetMismatch, 'SOP Instance UID of data set is not that of command');
  if (!studyInstanceUID || !seriesInstanceUID) throw new Refusal(status.cannotUnderstand, 'Study or Series Instance UID is missing');
  if (!isUidShaped(studyInstanceUID) || !isUidShaped(seriesInstanceUID)) throw new Refusal(status.cannotUnderstand, 'Study or Series Instance UID is no UID');
  return { studyInstanceUID, seriesInstanceUID };
}

function responseTo(error: unknown): DimseResponse {
  if (error instanceof Refusal) return error.response;
  if (error instanceof EntryTooLong) return { status: status.outOfResources, errorComment: 'An instance of 8 GiB or more is not taken' };
  if (isDiskFull(error)) return { status: status.outOfResources, errorComment: 'The disk of the gateway is full' };
  return { status: status.outOfResources, errorComment: 'The gateway cannot write to its disk' };
}
