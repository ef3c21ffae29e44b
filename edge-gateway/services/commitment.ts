import { randomUUID } from 'node:crypto';
import { status } from '../../dicom/status.ts';
import { CommitmentFault, commitmentReportInformation, eventOf, readCommitmentRequest, requestCommitment, storageCommitmentClassUID, storageCommitmentInstanceUID, type CommitmentReport } from '../../dicom/storageCommitment.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { isSameCommitment, type TakenCommitment } from '../../domain/commitment.ts';
import type { AskedFolder } from '../commitment/asked.ts';
import type { CommitmentFolder } from '../commitment/folder.ts';
import { faultStatus, takeReport } from '../commitment/takeReport.ts';
import { commandFields } from '../dimse/command.ts';
import type { Logger } from '../logger.ts';
import type { Watermark } from '../spool/watermark.ts';
import type { ServicePolicy } from '../upper-layer/negotiation.ts';
import { UnreadableIdentifier, encodeIdentifier, readIdentifier } from './identifier.ts';
import { AssociationOver, type AssociationInfo, type AssociationLink, type DimseRequest, type DimseResponse } from './service.ts';
import type { DimseService } from './session.ts';

export interface CommitmentDeps {
  readonly folder: Pick<CommitmentFolder, 'add' | 'count' | 'markOpen' | 'takeOffer' | 'answer'>;
  /** What our own worker asked of others, who report it here. */
  readonly asked: Pick<AskedFolder, 'saveReport'>;
  readonly watermark: Pick<Watermark, 'noRoom'>;
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly log: Logger;
  /** A request was taken: the cloud is to be told. */
  readonly onTaken: () => void;
  /** Between two looks for a report to give on an association that stands. */
  readonly lookMs?: number;
}

/** What is negotiated for the Storage Commitment Push Model SOP Class. */
export const commitmentPolicy: ReadonlyMap<string, ServicePolicy> =
  new Map([[storageCommitmentClassUID, { transferSyntaxUIDs: [implicitVRLittleEndian, explicitVRLittleEndian], requestorMayBeScp: true }]]);

/** Requests that wait on the disk: more would hide that something is wrong. */
const maxWaiting = 10_000;
/** About 30,000 references. */
const maxRequestBytes = 4 * 1024 * 1024;

/**
 * Storage commitment (PS3.4 Annex J). As SCP: a request is answered 0000 once it is on the disk, synced, as an instance is. The flow that the
 * cloud then runs for it judges the references and has the report given: on this association if it still stands, by `answerOffers`.
 * As SCU: takes reports of what the worker asked, in whatever role the peer says that it has.
 */
export const openCommitment = (deps: CommitmentDeps) => (info: AssociationInfo, link: AssociationLink): DimseService => {
  const asked = new Map<string, number>();
  let looking: Promise<void> | undefined;
  return {
    operations: [commandFields.nActionRequest, commandFields.nEventReportRequest],
    abstractSyntaxUIDs: [storageCommitmentClassUID],
    handle: async (request) => {
      if (request.command.commandField === commandFields.nEventReportRequest) return takeReport(deps.asked, request);
      const { response, taken } = await take(deps, info, request);
      if (taken) {
        asked.set(taken.transactionUID, request.presentationContextId);
        await deps.folder.markOpen(taken.transactionUID, true);
        looking ??= answerOffers(deps, info, link, asked);
        deps.onTaken();
      }
      return response;
    },
    ended: async () => {
      await looking;
      for (const transactionUID of asked.keys()) await deps.folder.markOpen(transactionUID, false);
    },
  };
};

interface Outcome { readonly response: DimseResponse; readonly taken?: TakenCommitment }

async function take(deps: CommitmentDeps, info: AssociationInfo, request: DimseRequest): Promise<Outcome> {
  const { tenantId, gatewayId, folder, watermark, log } = deps;
  const fault = faultOf(request);
  if (fault) return { response: fault };
  if (watermark.noRoom() !== undefined || await folder.count() >= maxWaiting) {
    return { response: { status: status.resourceLimitation, errorComment: 'No more requests can be kept on the disk of the gateway' } };
  }
  try {
    const asked = readCommitmentRequest(await readIdentifier(request.dataSet!, request.transferSyntaxUID, maxRequestBytes));
    const taken: TakenCommitment = { ...asked, tenantId, gatewayId, requestId: randomUUID(),
      callingAETitle: info.callingAETitle, calledAETitle: info.calledAETitle, receivedAt: new Date().toISOString() };
    const before = await folder.add(taken);
    if (before && !isSameCommitment(before, taken)) return { response: { status: status.duplicateTransactionUID } };
    log.info({ associationId: info.associationId, transactionUID: taken.transactionUID, referenceCount: taken.references.length, again: before !== undefined }, 'Storage commitment request taken');
    return { response: { status: status.success }, taken };
  } catch (error) {
    if (error instanceof CommitmentFault) return { response: { status: faultStatus[error.kind], errorComment: error.message } };
    if (error instanceof UnreadableIdentifier) return { response: { status: status.invalidArgumentValue, errorComment: error.message } };
    throw error;
  }
}

function faultOf({ command, dataSet }: DimseRequest): DimseResponse | undefined {
  const { requestedSOPClassUID, requestedSOPInstanceUID, actionTypeID } = command;
  if (requestedSOPClassUID !== storageCommitmentClassUID) return { status: status.noSuchClass };
  if (requestedSOPInstanceUID !== storageCommitmentInstanceUID) return { status: status.noSuchInstance };
  if (actionTypeID !== requestCommitment) return { status: status.noSuchActionType };
  if (!dataSet) return { status: status.mistypedArgument, errorComment: 'N-ACTION-RQ without a data set' };
  return undefined;
}

/** Gives on this association what the worker offers for its requests, until it ends. */
async function answerOffers(deps: CommitmentDeps, info: AssociationInfo, link: AssociationLink, asked: ReadonlyMap<string, number>): Promise<void> {
  while (link.isOpen) {
    for (const [transactionUID, contextId] of asked) {
      try {
        const report = await deps.folder.takeOffer(transactionUID);
        if (report) await deps.folder.answer(transactionUID, await give(link, contextId, report));
      } catch (error) {
        deps.log.error({ associationId: info.associationId, transactionUID, err: error }, 'A storage commitment report could not be given on the association that asked for it');
      }
    }
    await new Promise((resolve) => setTimeout(resolve, deps.lookMs ?? 250));
  }
}

/** N-EVENT-REPORT (PS3.4 J.3.3). */
async function give(link: AssociationLink, contextId: number, report: CommitmentReport): Promise<{ readonly status?: number }> {
  const { transferSyntaxUID } = link.contexts.find(({ id }) => id === contextId)!;
  try {
    const response = await link.request(contextId, {
      commandField: commandFields.nEventReportRequest, affectedSOPClassUID: storageCommitmentClassUID, affectedSOPInstanceUID: storageCommitmentInstanceUID, eventTypeID: eventOf(report),
    }, encodeIdentifier(commitmentReportInformation(report), transferSyntaxUID, []));
    return { status: response.status ?? 0 };
  } catch (error) {
    if (error instanceof AssociationOver) return {};
    throw error;
  }
}
