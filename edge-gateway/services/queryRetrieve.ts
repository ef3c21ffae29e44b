import { classesOf, type QueryRetrieveOperation } from '../../dicom/queryRetrieve.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import type { CloudArchive } from '../cloudArchive.ts';
import type { Logger } from '../logger.ts';
import type { ServicePolicy } from '../upper-layer/negotiation.ts';
import { openFind } from './find.ts';
import type { RetrievalClient } from '../retrievalClient.ts';
import { openGet } from './get.ts';
import { openMove } from './move.ts';
import type { OpenService } from './session.ts';

export interface QueryRetrieveDeps {
  readonly archive: CloudArchive;
  /** Ours: named in every match. */
  readonly retrieveAETitle: string;
  readonly maxMatches: number;
  readonly tenantId: string;
  readonly gatewayId: string;
  /** Absent: C-MOVE is not offered. */
  readonly retrievals: Pick<RetrievalClient, 'start'> | undefined;
  readonly log: Logger;
}

/** Identifiers are small data sets: every peer encodes them in one of these (PS3.5 10.1). */
const transferSyntaxUIDs = [implicitVRLittleEndian, explicitVRLittleEndian] as const;

/** The options of extended negotiation, byte by byte (PS3.4 Tables C.5-1 to C.5-3). */
export const extensionNames = {
  find: ['relational queries', 'combined date-time matching', 'fuzzy semantic matching of names', 'time zone query adjustment', 'enhanced multi-frame image conversion', 'empty value matching', 'multiple value matching'],
  retrieve: ['relational retrieval', 'enhanced multi-frame image conversion'],
} as const;
/** Which of them are supported: 1. */
export const extensions: Readonly<Record<QueryRetrieveOperation, readonly number[]>> = { find: [1, 1, 1, 0, 0, 1, 1], move: [1, 0], get: [1, 0] };

/** The operations that are offered. */
export const offered: readonly QueryRetrieveOperation[] = ['find', 'move', 'get'];

/** The Query/Retrieve Service Class as SCP: what is negotiated for it, and its services (PS3.4 Annex C). */
export function queryRetrieve(deps: QueryRetrieveDeps): { readonly services: ReadonlyMap<string, ServicePolicy>; readonly openers: readonly OpenService[] } {
  const { retrievals } = deps;
  const services = offered.filter((operation) => operation !== 'move' || retrievals).flatMap((operation) => classesOf(operation).map(({ uid }) => [uid, { transferSyntaxUIDs, extension: extensions[operation] }] as const));
  return { services: new Map(services), openers: [openFind(deps), openGet(deps), ...(retrievals ? [openMove({ ...deps, retrievals })] : [])] };
}
