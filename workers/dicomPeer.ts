import path from 'node:path';
import type { DestinationTls, DicomDestination } from '../domain/tenant.ts';
import type { Peer } from '../edge-gateway/scu/errors.ts';
import { readClientTls } from '../edge-gateway/tls.ts';
import { DestinationUnavailable } from '../stores/ports.ts';

/** How this worker calls DICOM destinations. */
export interface CallingValues {
  /** The calling AE title, unless the destination names another. */
  readonly ownAETitle: string;
  /** Where the PEM files lie that destinations name. */
  readonly tlsDir: string | undefined;
}

/** @throws DestinationUnavailable when the TLS files that the destination names cannot be used */
export type PeerOf = (destination: DicomDestination) => Promise<Peer>;

/** The peer that a destination is, for every association with it. TLS files are read each time: a renewed one counts at once. */
export const createPeerOf = ({ ownAETitle, tlsDir }: CallingValues): PeerOf =>
  async ({ destinationId, host, port, calledAETitle, callingAETitle = ownAETitle, tls }) => {
    const peer = { host, port, calledAETitle, callingAETitle };
    if (!tls) return peer;
    try {
      return { ...peer, tls: await readClientTls(filesIn(tlsDir, tls)) };
    } catch (error) {
      throw new DestinationUnavailable(`The TLS files of destination ${destinationId} cannot be used by its gateway: ${(error as Error).message}`, { cause: error });
    }
  };

function filesIn(folder: string | undefined, { caFile, certFile, keyFile, serverName }: DestinationTls) {
  const at = (file: string | undefined): string | undefined => {
    if (file === undefined) return undefined;
    if (folder === undefined) throw new Error(`PACS_DESTINATION_TLS_DIR, where ${file} would lie, is not set`);
    return path.join(folder, path.basename(file));
  };
  return { caFile: at(caFile), certFile: at(certFile), keyFile: at(keyFile), serverName };
}
