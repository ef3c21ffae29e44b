import { readFields, take, writeFields, type Cursor, type FieldsOf } from './fields.ts';

/** Item types of A-ASSOCIATE-RQ and -AC (PS3.8 9.3.2, 9.3.3) and the sub-items of User Information (PS3.7 D.3.3). */
export const itemTypes = {
  applicationContext: 0x10, proposedContext: 0x20, answeredContext: 0x21, abstractSyntax: 0x30, transferSyntax: 0x40, userInformation: 0x50,
  maximumLength: 0x51, implementationClassUID: 0x52, asynchronousOperations: 0x53, roleSelection: 0x54, implementationVersionName: 0x55,
  extendedNegotiation: 0x56, commonExtendedNegotiation: 0x57, userIdentity: 0x58, userIdentityResponse: 0x59,
} as const;

/** Positions count from the item's first byte, its type; the value starts at byte 5. */
export const itemTables = {
  /** PS3.8 Table 9-13; its sub-items follow. */
  proposedContext: [[5, 'id', 'uint8'], [6, '', 'reserved1'], [7, '', 'reserved1'], [8, '', 'reserved1'], [9, 'subItems', 'bytesToEnd']],
  /** PS3.8 Table 9-18. */
  answeredContext: [[5, 'id', 'uint8'], [6, '', 'reserved1'], [7, 'result', 'uint8'], [8, '', 'reserved1'], [9, 'subItems', 'bytesToEnd']],
  /** PS3.8 Table D.1-1. */
  maximumLength: [[5, 'maxLengthBytes', 'uint32']],
  /** PS3.7 Table D.3-7. */
  asynchronousOperations: [[5, 'maxInvoked', 'uint16'], [7, 'maxPerformed', 'uint16']],
  /** PS3.7 Table D.3-9. */
  roleSelection: [[5, 'sopClassUID', 'text16'], [0, 'scuRole', 'uint8'], [0, 'scpRole', 'uint8']],
  /** PS3.7 Table D.3-11. */
  extendedNegotiation: [[5, 'sopClassUID', 'text16'], [0, 'information', 'bytesToEnd']],
  /** PS3.7 Table D.3-12; whatever follows is reserved for a later version of the item. */
  commonExtendedNegotiation: [[5, 'sopClassUID', 'text16'], [0, 'serviceClassUID', 'text16'], [0, 'relatedGeneralSopClassUIDs', 'uidList16']],
  /** PS3.7 Table D.3-14. */
  userIdentity: [[5, 'type', 'uint8'], [6, 'positiveResponseRequested', 'uint8'], [7, 'primary', 'bytes16'], [0, 'secondary', 'bytes16']],
  /** PS3.7 Table D.3-15. */
  userIdentityResponse: [[5, 'serverResponse', 'bytes16']],
} as const;

export type RoleSelection = FieldsOf<typeof itemTables.roleSelection>;
export type AsynchronousOperations = FieldsOf<typeof itemTables.asynchronousOperations>;
export type ExtendedNegotiation = FieldsOf<typeof itemTables.extendedNegotiation>;
export type CommonExtendedNegotiation = FieldsOf<typeof itemTables.commonExtendedNegotiation>;
export type UserIdentity = FieldsOf<typeof itemTables.userIdentity>;
export type UserIdentityResponse = FieldsOf<typeof itemTables.userIdentityResponse>;

/** PS3.7 D.3.3. What is absent in the PDU is absent here; the lists are empty. */
export interface UserInformation {
  /** The largest P-DATA-TF its sender wants to receive, PDU header excluded; 0 is unlimited (PS3.8 D.1). */
  readonly maxLengthBytes: number;
  readonly implementationClassUID: string;
  readonly implementationVersionName?: string;
  readonly asynchronousOperations?: AsynchronousOperations;
  readonly roleSelections: readonly RoleSelection[];
  readonly extendedNegotiations: readonly ExtendedNegotiation[];
  readonly commonExtendedNegotiations: readonly CommonExtendedNegotiation[];
  readonly userIdentity?: UserIdentity;
  readonly userIdentityResponse?: UserIdentityResponse;
}

export interface Item {
  readonly type: number;
  readonly value: Buffer;
}

/** Every item: type, a reserved byte, length in two bytes, value. @throws `InvalidPdu` when one overruns its frame. */
export function readItems(bytes: Buffer): readonly Item[] {
  const cursor: Cursor = { bytes, at: 0 };
  const items: Item[] = [];
  while (cursor.at < bytes.length) {
    const header = take(cursor, 4);
    items.push({ type: header.readUInt8(0), value: take(cursor, header.readUInt16BE(2)) });
  }
  return items;
}

export function writeItem(type: number, value: Buffer): Buffer {
  const header = Buffer.of(type, 0, value.length >>> 8, value.length & 0xff);
  return Buffer.concat([header, value]);
}

export const writeText = (type: number, value: string): Buffer => writeItem(type, Buffer.from(value, 'latin1'));

const firstValue = (items: readonly Item[], type: number): Buffer | undefined => items.find((item) => item.type === type)?.value;
export const readText = (items: readonly Item[], type: number): string | undefined =>
  firstValue(items, type)?.toString('latin1').replace(/[\0 ]+$/, '');

type TableName = keyof typeof itemTables;
const readAll = <N extends TableName>(items: readonly Item[], name: N): readonly FieldsOf<(typeof itemTables)[N]>[] =>
  items.filter((item) => item.type === itemTypes[name]).map((item) => readFields(itemTables[name], { bytes: item.value, at: 0 }));
const writeAll = <N extends TableName>(name: N, values: readonly (FieldsOf<(typeof itemTables)[N]> | undefined)[]): readonly Buffer[] =>
  values.filter((value) => value !== undefined).map((value) => writeItem(itemTypes[name], writeFields(itemTables[name], value)));

/** Used when a peer leaves the item out, which PS3.8 D.1 does not allow: small enough for everyone. */
const defaultMaxLengthBytes = 16_384;

/** Unrecognized sub-items are passed over (PS3.8 9.3.1). */
export function readUserInformation(bytes: Buffer): UserInformation {
  const items = readItems(bytes);
  const versionName = readText(items, itemTypes.implementationVersionName);
  const [asynchronousOperations] = readAll(items, 'asynchronousOperations');
  const [userIdentity] = readAll(items, 'userIdentity');
  const [userIdentityResponse] = readAll(items, 'userIdentityResponse');
  return {
    maxLengthBytes: readAll(items, 'maximumLength')[0]?.maxLengthBytes ?? defaultMaxLengthBytes,
    implementationClassUID: readText(items, itemTypes.implementationClassUID) ?? '',
    ...(versionName !== undefined && { implementationVersionName: versionName }),
    ...(asynchronousOperations && { asynchronousOperations }),
    roleSelections: readAll(items, 'roleSelection'),
    extendedNegotiations: readAll(items, 'extendedNegotiation'),
    commonExtendedNegotiations: readAll(items, 'commonExtendedNegotiation'),
    ...(userIdentity && { userIdentity }),
    ...(userIdentityResponse && { userIdentityResponse }),
  };
}

/** In the order of item types, as PS3.7 Annex D lists them. */
export function writeUserInformation(information: UserInformation): Buffer {
  const parts = [
    ...writeAll('maximumLength', [{ maxLengthBytes: information.maxLengthBytes }]),
    writeText(itemTypes.implementationClassUID, information.implementationClassUID),
    ...writeAll('asynchronousOperations', [information.asynchronousOperations]),
    ...writeAll('roleSelection', information.roleSelections),
    ...(information.implementationVersionName === undefined ? []
      : [writeText(itemTypes.implementationVersionName, information.implementationVersionName)]),
    ...writeAll('extendedNegotiation', information.extendedNegotiations),
    ...writeAll('commonExtendedNegotiation', information.commonExtendedNegotiations),
    ...writeAll('userIdentity', [information.userIdentity]),
    ...writeAll('userIdentityResponse', [information.userIdentityResponse]),
  ];
  return writeItem(itemTypes.userInformation, Buffer.concat(parts));
}
