import { explicitVRLittleEndian, transferSyntax } from '../../dicom/transferSyntaxes.ts';
import type { InstanceLocation } from '../../stores/ports.ts';
import type { FileOption } from './accept.ts';

/** The largest instance that is re-encoded; it is in memory while it is. */
export const maxReencodedBytes = 64 * 1024 * 1024;

/** How one instance is given: as it lies in the archive, or re-encoded as Explicit VR Little Endian. */
export interface Rendition {
  readonly how: 'stored' | 'reencoded';
  readonly transferSyntaxUID: string;
}

/**
 * The best way to give an instance that the client takes. By default, Explicit VR Little Endian for what is not
 * compressed, and compressed instances as they are (PS3.18 8.7.3.3 asks for decompression, which is not done here).
 *
 * @returns undefined when the client takes none of what this service has
 */
export function renditionOf({ transferSyntaxUID: stored, lengthBytes }: Pick<InstanceLocation, 'transferSyntaxUID' | 'lengthBytes'>, options: readonly FileOption[]): Rendition | undefined {
  for (const { transferSyntaxUID: asked } of options) {
    if (asked === '*' || asked === stored) return { how: 'stored', transferSyntaxUID: stored };
    if (asked === undefined && isGivenAsStored(stored)) return { how: 'stored', transferSyntaxUID: stored };
    if ((asked === undefined || asked === explicitVRLittleEndian) && isReencodable(stored) && lengthBytes <= maxReencodedBytes) {
      return { how: 'reencoded', transferSyntaxUID: explicitVRLittleEndian };
    }
  }
  return undefined;
}

/** Explicit VR little endian, compressed or not; a transfer syntax that is not known counts as such (PS3.5 10.1). */
function isGivenAsStored(uid: string): boolean {
  const known = transferSyntax(uid);
  return known === undefined || (known.explicit && !known.bigEndian && !known.deflated);
}

/** Another encoding of the same elements, without compression of pixels. */
function isReencodable(uid: string): boolean {
  const known = transferSyntax(uid);
  return known !== undefined && !known.encapsulated && known.negotiable && !isGivenAsStored(uid);
}
