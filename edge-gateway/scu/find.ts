import { implicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { describeStatus, status } from '../../dicom/status.ts';
import { commandFields, commandPriority } from '../dimse/command.ts';
import type { Message } from '../dimse/message.ts';
import { InvalidPdu } from '../upper-layer/fields.ts';
import type { AcceptedContext } from '../upper-layer/negotiation.ts';
import { openAssociation, type ScuOptions } from './association.ts';
import { describePeer, type Peer } from './errors.ts';
import type { RequestorAssociation } from './requestorAssociation.ts';

const studyRootFind = '1.2.840.10008.5.1.4.1.2.2.1';
const tags = { sopInstanceUID: 0x00080018, queryRetrieveLevel: 0x00080052, studyInstanceUID: 0x0020000d, seriesInstanceUID: 0x0020000e } as const;
/** Of one series: more than a series has. */
const maxMatches = 200_000;

/** The peer does not search, or refused the search: nothing is known of what it holds. */
export class QueryRefused extends Error {
  override readonly name = 'QueryRefused';
}

/**
 * SOP Instance UIDs that a peer lists for some series of a study: C-FIND at IMAGE level in the Study Root model (PS3.4 C.4.1, C.6.2),
 * one request a series. Only UIDs are asked for.
 *
 * @throws as `openAssociation`; `QueryRefused`
 */
export async function findInstances(peer: Peer, studyInstanceUID: string, seriesInstanceUIDs: readonly string[], options: ScuOptions = {}): Promise<ReadonlySet<string>> {
  const contexts = [{ abstractSyntaxUID: studyRootFind, transferSyntaxUIDs: [implicitVRLittleEndian] }];
  const association = await openAssociation({ ...peer, ...options, contexts });
  try {
    const [context] = association.contexts;
    if (!context) throw new QueryRefused(`${describePeer(peer)} does not accept Study Root FIND (PS3.4 C.6.2)`);
    const found = new Set<string>();
    for (const seriesInstanceUID of seriesInstanceUIDs) {
      const answer = await findOn(association, { context, identifier: identifierOf(studyInstanceUID, seriesInstanceUID), maxMatches }, (match) => {
        const uid = uidOf(match, tags.sopInstanceUID);
        if (uid) found.add(uid);
      });
      if (answer !== status.success) throw new QueryRefused(`${describePeer(peer)} answered C-FIND by ${describeStatus(answer)}`);
    }
    return found;
  } finally {
    await association.release().catch(() => association.abort());
  }
}

/** A C-FIND; its identifier is encoded in the context's transfer syntax. */
interface FindRequest {
  readonly context: AcceptedContext;
  readonly identifier: Buffer;
  /** More matches than that end the association. */
  readonly maxMatches: number;
}

/**
 * C-FIND (PS3.7 9.1.2).
 *
 * @param onMatch gets the identifier of each pending response, in the context's transfer syntax
 * @returns the last status
 */
async function findOn(association: RequestorAssociation, { context, identifier, maxMatches }: FindRequest, onMatch: (identifier: Buffer) => void): Promise<number> {
  let matches = 0;
  const command = { affectedSOPClassUID: context.abstractSyntaxUID, commandField: commandFields.cFindRequest, priority: commandPriority.medium };
  const last = await association.request({ name: 'C-FIND-RQ', context, command, dataSet: [identifier], onPending: async (dataSet) => {
    if (++matches > maxMatches) throw new InvalidPdu(`a C-FIND has more than ${maxMatches} matches`);
    if (dataSet) onMatch(await joined(dataSet));
  } });
  return last.status ?? 0;
}

const maxIdentifierBytes = 1024 * 1024;

async function joined(dataSet: NonNullable<Message['dataSet']>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of dataSet) {
    length += piece.length;
    if (length > maxIdentifierBytes) throw new InvalidPdu('an identifier is longer than 1 MiB');
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}

/** Implicit VR Little Endian (PS3.5 A.1), ascending. */
const identifierOf = (studyInstanceUID: string, seriesInstanceUID: string): Buffer => Buffer.concat([
  element(tags.sopInstanceUID, ''), element(tags.queryRetrieveLevel, 'IMAGE '), element(tags.studyInstanceUID, studyInstanceUID), element(tags.seriesInstanceUID, seriesInstanceUID),
]);

function element(tag: number, text: string): Buffer {
  const value = Buffer.from(text.length % 2 === 0 ? text : `${text}\0`, 'latin1');
  const header = Buffer.alloc(8);
  header.writeUInt16LE(tag >>> 16, 0);
  header.writeUInt16LE(tag & 0xffff, 2);
  header.writeUInt32LE(value.length, 4);
  return Buffer.concat([header, value]);
}

/** A UID of a data set in Implicit VR Little Endian. @returns undefined when it has none before something that this does not read */
function uidOf(dataSet: Buffer, wanted: number): string | undefined {
  for (let at = 0; at + 8 <= dataSet.length;) {
    const tag = dataSet.readUInt16LE(at) * 0x10000 + dataSet.readUInt16LE(at + 2);
    const length = dataSet.readUInt32LE(at + 4);
    if (tag > wanted || length > dataSet.length - at - 8) return undefined;
    if (tag === wanted) return dataSet.toString('latin1', at + 8, at + 8 + length).replace(/[\0 ]+$/, '');
    at += 8 + length;
  }
  return undefined;
}
