import type { CurrentInstance } from '../../domain/documents.ts';
import type { ArchiveStore, InstanceToSend } from '../../stores/ports.ts';

/** An instance of a study with the way to its bytes in the archive, which the signal stops. */
export function instanceToSend(archive: ArchiveStore, { tenantId, studyInstanceUID }: { readonly tenantId: string; readonly studyInstanceUID: string },
  { sopInstanceUID, sopClassUID, transferSyntaxUID, lengthBytes, offsetBytes, seriesInstanceUID, packId }: CurrentInstance, signal: AbortSignal): InstanceToSend {
  return { sopInstanceUID, sopClassUID, transferSyntaxUID, lengthBytes,
    open: () => archive.readRange({ tenantId, studyInstanceUID, seriesInstanceUID, packId }, offsetBytes, lengthBytes, signal) };
}
