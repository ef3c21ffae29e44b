import { canTranscode, codecRow } from '../../../codecs/syntaxes.ts';
import { explicitVRLittleEndian, transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import type { InstanceLocation } from '../../../stores/ports.ts';
import type { FileOption } from '../accept.ts';

/** The largest instance that is transcoded; it is in memory while it is, and so is what it becomes. */
export const maxTranscodedBytes = 128 * 1024 * 1024;

/** How one instance is given: as it lies in the archive, or in another transfer syntax. */
export interface Rendition {
  readonly how: 'stored' | 'transcoded';
  readonly transferSyntaxUID: string;
  /** Should its pixels be of a kind that is not decoded, it is given as stored instead. */
  readonly orStored: boolean;
}

/**
 * The best way to give an instance that the client takes. Without a transfer syntax, Explicit VR Little Endian, and as
 * stored what has only a lossy form or is too long to be decoded (PS3.18 8.7.3.3.2).
 *
 * @returns undefined when the client takes none of what this service has
 */
export function renditionOf({ transferSyntaxUID: stored, lengthBytes }: Pick<InstanceLocation, 'transferSyntaxUID' | 'lengthBytes'>, options: readonly FileOption[]): Rendition | undefined {
  const known = transferSyntax(stored);
  const explicit = known === undefined || (known.explicit && !known.bigEndian && !known.deflated);
  const asStored = { how: 'stored', transferSyntaxUID: stored, orStored: false } as const;
  for (const { transferSyntaxUID: asked } of options) {
    if (asked === '*' || asked === stored) return asStored;
    const target = asked ?? explicitVRLittleEndian;
    const possible = stored !== target && canTranscode(stored, target) && lengthBytes <= maxTranscodedBytes;
    if (asked === undefined && explicit && (!possible || known?.lossy === true)) return asStored;
    if (possible) return { how: 'transcoded', transferSyntaxUID: target, orStored: asked === undefined && codecRow(stored) !== undefined };
  }
  return undefined;
}
