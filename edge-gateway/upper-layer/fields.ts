/** The peer's bytes do not have the shape that the Standard gives them. `reason` as in A-ABORT (PS3.8 Table 9-26). */
export class InvalidPdu extends Error {
  override readonly name = 'InvalidPdu';
  readonly reason: number;

  constructor(message: string, reason: number = abortReason.invalidPduParameterValue) {
    super(message);
    this.reason = reason;
  }
}

/** Reason/Diag. of an A-ABORT from the service-provider (PS3.8 Table 9-26). */
export const abortReason = {
  notSpecified: 0, unrecognizedPdu: 1, unexpectedPdu: 2, unrecognizedPduParameter: 4, unexpectedPduParameter: 5, invalidPduParameterValue: 6,
} as const;

/** A place in bytes that belong to one PDU or item. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** @throws `InvalidPdu` when fewer than `length` bytes are left; nothing is allocated for what a length promises. */
export function take(cursor: Cursor, length: number): Buffer {
  if (length > cursor.bytes.length - cursor.at) throw new InvalidPdu('a length field points beyond its PDU or item');
  return cursor.bytes.subarray(cursor.at, (cursor.at += length));
}

const takeUint16 = (cursor: Cursor): number => take(cursor, 2).readUInt16BE(0);
const takeRest = (cursor: Cursor): Buffer => take(cursor, cursor.bytes.length - cursor.at);

const uint16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};
const withLength16 = (value: Buffer): readonly Buffer[] => [uint16(value.length), value];

/** Text of the ISO 646 repertoire; the padding that PS3.8 Annex F forbids and some senders use is dropped. */
const text = (bytes: Buffer): string => bytes.toString('latin1').replace(/[\0 ]+$/, '');
const latin1 = (value: string): Buffer => Buffer.from(value, 'latin1');

const takeUidList = (cursor: Cursor): readonly string[] => {
  const list: Cursor = { bytes: take(cursor, takeUint16(cursor)), at: 0 };
  const uids: string[] = [];
  while (list.at < list.bytes.length) uids.push(text(take(list, takeUint16(list))));
  return uids;
};

interface Codec<T> {
  readonly read: (cursor: Cursor) => T;
  readonly write: (value: T) => readonly Buffer[];
}
const codec = <T>(read: Codec<T>['read'], write: Codec<T>['write']): Codec<T> => ({ read, write });
const reserved = (length: number): Codec<undefined> =>
  codec((cursor) => void take(cursor, length), () => [Buffer.alloc(length)]);

/** How a field is written. Integers are big endian (PS3.8 9.3.1); `…16` is preceded by its length in two bytes. */
export const codecs = {
  uint8: codec((cursor) => take(cursor, 1).readUInt8(0), (value: number) => [Buffer.of(value)]),
  uint16: codec(takeUint16, (value: number) => [uint16(value)]),
  uint32: codec((cursor) => take(cursor, 4).readUInt32BE(0), (value: number) => [uint16(value >>> 16), uint16(value & 0xffff)]),
  aeTitle: codec((cursor) => text(take(cursor, 16)).trimStart(), (value: string) => [latin1(value.slice(0, 16).padEnd(16))]),
  textToEnd: codec((cursor) => text(takeRest(cursor)), (value: string) => [latin1(value)]),
  bytesToEnd: codec(takeRest, (value: Buffer) => [value]),
  text16: codec((cursor) => text(take(cursor, takeUint16(cursor))), (value: string) => withLength16(latin1(value))),
  bytes16: codec((cursor) => take(cursor, takeUint16(cursor)), (value: Buffer) => withLength16(value)),
  uidList16: codec(takeUidList, (value: readonly string[]) => withLength16(Buffer.concat(value.flatMap((uid) => withLength16(latin1(uid)))))),
  reserved1: reserved(1),
  reserved2: reserved(2),
  reserved32: reserved(32),
} as const;

type Kind = keyof typeof codecs;
type ValueOf<K extends Kind> = ReturnType<(typeof codecs)[K]['read']>;

/** Position of the first byte as the Standard's table counts it, from 1; 0 when a field of variable length precedes. */
export type Field = readonly [position: number, name: string, kind: Kind];
export type FieldTable = readonly Field[];

/** The values that a table's fields hold, by name; reserved fields have none. */
export type FieldsOf<T extends FieldTable> = {
  readonly [F in T[number] as F[2] extends `reserved${string}` ? never : F[1]]: ValueOf<F[2]>;
};

/** Reads a table's fields from the cursor on. @throws `InvalidPdu` when a field does not fit. */
export function readFields<const T extends FieldTable>(table: T, cursor: Cursor): FieldsOf<T> {
  const values: Record<string, unknown> = {};
  for (const [, name, kind] of table) {
    const value = codecs[kind].read(cursor);
    if (value !== undefined) values[name] = value;
  }
  return values as FieldsOf<T>;
}

/** Reserved fields are sent as zero (PS3.8 9.3). */
export function writeFields<const T extends FieldTable>(table: T, values: FieldsOf<T>): Buffer {
  const parts = table.flatMap(([, name, kind]) =>
    (codecs[kind].write as (value: unknown) => readonly Buffer[])((values as Record<string, unknown>)[name]));
  return Buffer.concat(parts);
}
