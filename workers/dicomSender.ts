import { verificationSopClassUID } from '../dicom/sopClasses.ts';
import { describeStatus, resend, statusClass } from '../dicom/status.ts';
import { implicitVRLittleEndian } from '../dicom/transferSyntaxes.ts';
import type { DicomDestination } from '../domain/tenant.ts';
import { openAssociation } from '../edge-gateway/scu/association.ts';
import { commitmentAsker } from '../edge-gateway/commitment/asker.ts';
import { CommitmentNotAccepted, reportCommitment } from '../edge-gateway/scu/commitment.ts';
import { echoOn } from '../edge-gateway/scu/echo.ts';
import { AssociationAborted, AssociationRejected, PeerTimeout, PeerUnreachable } from '../edge-gateway/scu/errors.ts';
import { QueryRefused, findInstances } from '../edge-gateway/scu/find.ts';
import { storeInstances, type StoreResult } from '../edge-gateway/scu/store.ts';
import { dataSetOf } from '../edge-gateway/services/partTen.ts';
import { DestinationUnavailable, type CommitmentAsker, type InstanceToSend, type Probe, type ReadBack, type Reporter, type Sender, type SendResult } from '../stores/ports.ts';
import type { PeerOf } from './dicomPeer.ts';
import type { Transcodings } from './transcodings.ts';

/** Sends instances to a Storage SCP (PS3.4 Annex B) as they were received or, where the destination takes them only so, uncompressed. */
export const createDicomSender = (peerOf: PeerOf, transcodings: Transcodings): Sender<DicomDestination> => ({
  async *send(destination, instances, signal, moveOriginator) {
    const peer = await peerOf(destination);
    const transcoding = transcodings.open();
    const outgoing = instances.map((instance) => ({ ...namesOf(instance), otherTransferSyntaxUIDs: transcodings.othersOf(instance.transferSyntaxUID),
      open: async (transferSyntaxUID: string) => transferSyntaxUID === instance.transferSyntaxUID
        ? dataSetOf(await instance.open()) : dataSetOf(once(await transcoding.fileOf(instance, transferSyntaxUID, signal))) }));
    try {
      for await (const result of storeInstances(peer, outgoing, { signal, ...(moveOriginator && { moveOriginator }) })) yield toSendResult(result);
    } catch (error) {
      throw isAboutPeer(error) ? new DestinationUnavailable(error.message, { cause: error }) : error;
    } finally {
      transcoding.close();
    }
  },
});

const namesOf = ({ sopClassUID, sopInstanceUID, transferSyntaxUID }: InstanceToSend) => ({ sopClassUID, sopInstanceUID, transferSyntaxUID });

/** By C-ECHO (PS3.4 Annex A). A peer that accepts the association without Verification is there, too. */
export const createDicomProbe = (peerOf: PeerOf): Probe<DicomDestination> => async (destination, signal) => {
  const contexts = [{ abstractSyntaxUID: verificationSopClassUID, transferSyntaxUIDs: [implicitVRLittleEndian] }];
  const association = await openAssociation({ ...await peerOf(destination), contexts, signal, timeouts: probeTimeouts });
  try {
    const status = association.contexts.length === 0 ? 0 : await echoOn(association);
    if (status !== 0) throw new Error(`C-ECHO was answered by ${describeStatus(status)}`);
  } finally {
    await association.release().catch(() => association.abort());
  }
};

/** By C-FIND at IMAGE level. */
export const createDicomReadBack = (peerOf: PeerOf): ReadBack<DicomDestination> =>
  async (destination, { studyInstanceUID, seriesInstanceUIDs }, signal) => {
    try {
      return await findInstances(await peerOf(destination), studyInstanceUID, seriesInstanceUIDs, { signal });
    } catch (error) {
      throw isAboutPeer(error) || error instanceof QueryRefused ? new DestinationUnavailable(error.message, { cause: error }) : error;
    }
  };

/** By N-EVENT-REPORT. */
export const createDicomReporter = (peerOf: PeerOf): Reporter => async (requestor, report, signal) => {
  try {
    return await reportCommitment(await peerOf(requestor), report, { signal });
  } catch (error) {
    throw isAboutPeer(error) || error instanceof CommitmentNotAccepted ? new DestinationUnavailable(error.message, { cause: error }) : error;
  }
};

/** By N-ACTION; reports come on its association, or to the gateway that shares the spool. */
export function createDicomAsker(peerOf: PeerOf, spoolDir: string): CommitmentAsker {
  const asker = commitmentAsker(spoolDir);
  return {
    forget: asker.forget,
    ask: async (destination, request, signal) => {
      try {
        return await asker.ask(await peerOf(destination), request, signal);
      } catch (error) {
        throw isAboutPeer(error) || error instanceof CommitmentNotAccepted ? new DestinationUnavailable(error.message, { cause: error }) : error;
      }
    },
  };
}

/** A peer that is well answers C-ECHO at once. */
const probeTimeouts = { connectMs: 10_000, associateMs: 15_000, responseMs: 15_000 } as const;

const isAboutPeer = (error: unknown): error is Error =>
  [PeerUnreachable, AssociationRejected, AssociationAborted, PeerTimeout].some((kind) => error instanceof kind);

function toSendResult(result: StoreResult): SendResult {
  const { sopInstanceUID } = result;
  if (result.outcome === 'notAccepted') {
    return { sopInstanceUID, outcome: 'refused', problem: 'The destination accepts no presentation context for this SOP Class in a transfer syntax that the instance can be given in (PS3.8 9.3.3.2).' };
  }
  if (result.outcome === 'notConverted') return { sopInstanceUID, outcome: 'refused', problem: result.reason };
  const { status, errorComment, sentAs } = result;
  const kind = statusClass(status);
  if (kind === 'success' || kind === 'warning') return { sopInstanceUID, outcome: 'delivered', status, ...(sentAs !== undefined && { sentAs }) };
  const problem = `The destination answered ${status.toString(16).toUpperCase().padStart(4, '0')}H${errorComment ? ' with a comment of its own' : ''}.`;
  return { sopInstanceUID, outcome: resend(status) === 'never' ? 'refused' : 'later', status, problem };
}

async function* once(file: Buffer): AsyncGenerator<Buffer> {
  yield file;
}
