import { InvalidPdu, abortReason, readFields, writeFields, type Cursor, type FieldsOf } from './fields.ts';
import {
  itemTables, itemTypes, readItems, readText, readUserInformation, writeItem, writeText, writeUserInformation,
  type Item, type UserInformation,
} from './items.ts';

/** PS3.8 9.3.1. */
export const pduTypes = {
  associateRequest: 1, associateAccept: 2, associateReject: 3, data: 4, releaseRequest: 5, releaseResponse: 6, abort: 7,
} as const;

/** PDU type, a reserved byte, length in four bytes; the length does not count these six (PS3.8 9.3.1). */
export const pduHeaderLength = 6;

/** Item length in four bytes, context ID, message control header; the length counts the last two (PS3.8 9.3.5.1). */
export const pdvHeaderLength = 6;

/** Message control header (PS3.8 E.2). */
export const messageControl = { command: 1, last: 2 } as const;

/** Positions count from the PDU's first byte, so a table starts at 7. */
export const pduTables = {
  /** PS3.8 Tables 9-11 and 9-17; in an A-ASSOCIATE-AC the AE titles only echo the request. */
  associate: [
    [7, 'protocolVersion', 'uint16'], [9, '', 'reserved2'], [11, 'calledAETitle', 'aeTitle'], [27, 'callingAETitle', 'aeTitle'],
    [43, '', 'reserved32'], [75, 'items', 'bytesToEnd'],
  ],
  /** PS3.8 Table 9-21. */
  associateReject: [[7, '', 'reserved1'], [8, 'result', 'uint8'], [9, 'source', 'uint8'], [10, 'reason', 'uint8']],
  /** PS3.8 Tables 9-24 and 9-25. */
  release: [[7, '', 'reserved2'], [9, '', 'reserved2']],
  /** PS3.8 Table 9-26. */
  abort: [[7, '', 'reserved1'], [8, '', 'reserved1'], [9, 'source', 'uint8'], [10, 'reason', 'uint8']],
} as const;

export interface ProposedContext {
  /** Odd, 1–255. */
  readonly id: number;
  readonly abstractSyntaxUID: string;
  /** In the order of the sender's preference. */
  readonly transferSyntaxUIDs: readonly string[];
}

/** Result/Reason of PS3.8 Table 9-18. */
export const contextResult = {
  acceptance: 0, userRejection: 1, noReason: 2, abstractSyntaxNotSupported: 3, transferSyntaxesNotSupported: 4,
} as const;

export interface AnsweredContext {
  readonly id: number;
  readonly result: number;
  /** Without meaning unless accepted. */
  readonly transferSyntaxUID: string;
}

interface Associate<Context> {
  readonly protocolVersion: number;
  readonly calledAETitle: string;
  readonly callingAETitle: string;
  readonly applicationContextUID: string;
  readonly presentationContexts: readonly Context[];
  readonly userInformation: UserInformation;
}
export type AssociateRequest = Associate<ProposedContext>;
export type AssociateAccept = Associate<AnsweredContext>;
export type AssociateReject = FieldsOf<typeof pduTables.associateReject>;
export type Abort = FieldsOf<typeof pduTables.abort>;

/** A PDU other than P-DATA-TF, whose bytes are streamed (see `PduReader`). */
export type Pdu =
  | { readonly type: 'associateRequest'; readonly request: AssociateRequest }
  | { readonly type: 'associateAccept'; readonly accept: AssociateAccept }
  | { readonly type: 'associateReject'; readonly reject: AssociateReject }
  | { readonly type: 'releaseRequest' }
  | { readonly type: 'releaseResponse' }
  | { readonly type: 'abort'; readonly abort: Abort };

function writePdu(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(pduHeaderLength);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(body.length, 2);
  return Buffer.concat([header, body]);
}

function writeAssociate<C>(type: number, pdu: Associate<C>, writeContext: (context: C) => Buffer): Buffer {
  const items = Buffer.concat([
    writeText(itemTypes.applicationContext, pdu.applicationContextUID),
    ...pdu.presentationContexts.map(writeContext),
    writeUserInformation(pdu.userInformation),
  ]);
  return writePdu(type, writeFields(pduTables.associate, { ...pdu, items }));
}

/** PS3.8 9.3.2. */
export const encodeAssociateRequest = (pdu: AssociateRequest): Buffer =>
  writeAssociate(pduTypes.associateRequest, pdu, ({ id, abstractSyntaxUID, transferSyntaxUIDs }) => {
    const syntaxes = [
      writeText(itemTypes.abstractSyntax, abstractSyntaxUID),
      ...transferSyntaxUIDs.map((uid) => writeText(itemTypes.transferSyntax, uid)),
    ];
    return writeItem(itemTypes.proposedContext, writeFields(itemTables.proposedContext, { id, subItems: Buffer.concat(syntaxes) }));
  });

/** PS3.8 9.3.3. */
export const encodeAssociateAccept = (pdu: AssociateAccept): Buffer =>
  writeAssociate(pduTypes.associateAccept, pdu, ({ id, result, transferSyntaxUID }) => {
    const subItems = writeText(itemTypes.transferSyntax, transferSyntaxUID);
    return writeItem(itemTypes.answeredContext, writeFields(itemTables.answeredContext, { id, result, subItems }));
  });

/** PS3.8 9.3.4, 9.3.6, 9.3.7, 9.3.8. */
export const encodeAssociateReject = (reject: AssociateReject): Buffer =>
  writePdu(pduTypes.associateReject, writeFields(pduTables.associateReject, reject));
export const encodeReleaseRequest = (): Buffer => writePdu(pduTypes.releaseRequest, writeFields(pduTables.release, {}));
export const encodeReleaseResponse = (): Buffer => writePdu(pduTypes.releaseResponse, writeFields(pduTables.release, {}));
export const encodeAbort = (abort: Abort): Buffer => writePdu(pduTypes.abort, writeFields(pduTables.abort, abort));

/**
 * The header of a P-DATA-TF PDU that holds a single PDV (PS3.8 9.3.5, Table 9-22); the fragment's bytes follow it.
 *
 * @param length of the fragment in bytes
 */
export function dataHeader(contextId: number, control: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(pduHeaderLength + pdvHeaderLength);
  header.writeUInt16BE(pduTypes.data << 8, 0);
  header.writeUInt32BE(length + pdvHeaderLength, 2);
  header.writeUInt32BE(length + 2, 6);
  header.writeUInt8(contextId, 10);
  header.writeUInt8(control, 11);
  return header;
}

function readProposedContext(item: Item): ProposedContext {
  const { id, subItems } = readFields(itemTables.proposedContext, { bytes: item.value, at: 0 });
  const items = readItems(subItems);
  const abstractSyntaxes = items.filter((subItem) => subItem.type === itemTypes.abstractSyntax);
  if (id % 2 === 0) throw new InvalidPdu('a presentation context has an even ID');
  if (abstractSyntaxes.length !== 1) throw new InvalidPdu('a presentation context does not have exactly one abstract syntax');
  const transferSyntaxUIDs = items.filter((subItem) => subItem.type === itemTypes.transferSyntax)
    .map((subItem) => readText([subItem], itemTypes.transferSyntax)!);
  return { id, abstractSyntaxUID: readText(abstractSyntaxes, itemTypes.abstractSyntax)!, transferSyntaxUIDs };
}

function readAnsweredContext(item: Item): AnsweredContext {
  const { id, result, subItems } = readFields(itemTables.answeredContext, { bytes: item.value, at: 0 });
  return { id, result, transferSyntaxUID: readText(readItems(subItems), itemTypes.transferSyntax) ?? '' };
}

function readAssociate<C extends { readonly id: number }>(cursor: Cursor, contextType: number, readContext: (item: Item) => C): Associate<C> {
  const { items: itemBytes, ...fixed } = readFields(pduTables.associate, cursor);
  const items = readItems(itemBytes);
  const presentationContexts = items.filter((item) => item.type === contextType).map(readContext);
  const ids = new Set(presentationContexts.map((context) => context.id));
  if (presentationContexts.length === 0) throw new InvalidPdu('the PDU has no presentation context');
  if (ids.size !== presentationContexts.length) throw new InvalidPdu('two presentation contexts have the same ID');
  const userInformation = items.find((item) => item.type === itemTypes.userInformation)?.value ?? Buffer.alloc(0);
  return {
    ...fixed,
    applicationContextUID: readText(items, itemTypes.applicationContext) ?? '',
    presentationContexts,
    userInformation: readUserInformation(userInformation),
  };
}

type DecodedTypes = Exclude<keyof typeof pduTypes, 'data'>;
const decoders: { readonly [T in DecodedTypes]: (cursor: Cursor) => Extract<Pdu, { type: T }> } = {
  associateRequest: (cursor) =>
    ({ type: 'associateRequest', request: readAssociate(cursor, itemTypes.proposedContext, readProposedContext) }),
  associateAccept: (cursor) =>
    ({ type: 'associateAccept', accept: readAssociate(cursor, itemTypes.answeredContext, readAnsweredContext) }),
  associateReject: (cursor) => ({ type: 'associateReject', reject: readFields(pduTables.associateReject, cursor) }),
  releaseRequest: (cursor) => (readFields(pduTables.release, cursor), { type: 'releaseRequest' }),
  releaseResponse: (cursor) => (readFields(pduTables.release, cursor), { type: 'releaseResponse' }),
  abort: (cursor) => ({ type: 'abort', abort: readFields(pduTables.abort, cursor) }),
};

const decoderOfType = new Map<number, (cursor: Cursor) => Pdu>(
  (Object.keys(decoders) as DecodedTypes[]).map((name) => [pduTypes[name], decoders[name]]));

/**
 * Decodes a PDU other than P-DATA-TF.
 *
 * @param body the PDU without its six header bytes
 * @throws `InvalidPdu` with reason 1 for a type that PS3.8 does not have, 6 for a body that does not fit its tables
 */
export function decodePdu(type: number, body: Buffer): Pdu {
  const decode = decoderOfType.get(type);
  if (!decode) throw new InvalidPdu('the PDU type is not one of PS3.8', abortReason.unrecognizedPdu);
  return decode({ bytes: body, at: 0 });
}
