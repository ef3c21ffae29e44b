import { verificationSopClassUID } from '../../dicom/sopClasses.ts';
import { implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { commandFields } from '../dimse/command.ts';
import { openAssociation, type ScuOptions } from './association.ts';
import type { Peer } from './errors.ts';
import type { RequestorAssociation } from './requestorAssociation.ts';

/**
 * C-ECHO on an association of its own (PS3.4 Annex A).
 *
 * @returns the status, 0 when the peer is well
 * @throws as `openAssociation`; an `Error` when the peer does not accept the Verification SOP Class
 */
export async function echo(peer: Peer, options: ScuOptions = {}): Promise<number> {
  const contexts = [{ abstractSyntaxUID: verificationSopClassUID, transferSyntaxUIDs: [implicitVRLittleEndian] }];
  const association = await openAssociation({ ...peer, ...options, contexts });
  try {
    return await echoOn(association);
  } finally {
    await association.release().catch(() => association.abort());
  }
}

/**
 * C-ECHO (PS3.7 9.1.5).
 *
 * @returns the status
 * @throws an `Error` when the peer did not accept the Verification SOP Class
 */
export async function echoOn(association: RequestorAssociation): Promise<number> {
  const context = association.findContext(verificationSopClassUID);
  if (!context) throw new Error(`${association.peerName} did not accept the Verification SOP Class`);
  const command = { commandField: commandFields.cEchoRequest, affectedSOPClassUID: verificationSopClassUID };
  return (await association.request({ name: 'C-ECHO-RQ', context, command })).status ?? 0;
}
