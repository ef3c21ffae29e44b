import { verificationSopClassUID } from '../../dicom/sopClasses.ts';
import { implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { openAssociation, type ScuOptions } from './association.ts';
import type { Peer } from './errors.ts';

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
    return await association.echo();
  } finally {
    await association.release().catch(() => association.abort());
  }
}
