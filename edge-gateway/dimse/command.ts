import { InvalidPdu } from '../upper-layer/fields.ts';
import type { CommandSet } from '../services/service.ts';

/** Command Field (0000,0100) of every request (PS3.7 E.1); its response has bit 15 set. */
export const commandFields = {
  cStoreRequest: 0x0001, cGetRequest: 0x0010, cFindRequest: 0x0020, cMoveRequest: 0x0021, cEchoRequest: 0x0030, cCancelRequest: 0x0fff,
  nEventReportRequest: 0x0100, nGetRequest: 0x0110, nSetRequest: 0x0120, nActionRequest: 0x0130, nCreateRequest: 0x0140, nDeleteRequest: 0x0150,
} as const;
export const responseBit = 0x8000;

/** Command Data Set Type (0000,0800): no data set follows; any other value says that one does (PS3.7 E.1). */
export const noDataSet = 0x0101;
export const withDataSet = 0x0001;

/** Priority (0000,0700). */
export const commandPriority = { medium: 0, high: 1, low: 2 } as const;

type CommandVR = 'UI' | 'US' | 'AE' | 'LO' | 'AT';

/** The command elements of PS3.7 Table E.1-1, by element number in group 0000, ascending as they are sent. */
export const commandElements = [
  [0x0002, 'affectedSOPClassUID', 'UI'],
  [0x0003, 'requestedSOPClassUID', 'UI'],
  [0x0100, 'commandField', 'US'],
  [0x0110, 'messageID', 'US'],
  [0x0120, 'messageIDBeingRespondedTo', 'US'],
  [0x0600, 'moveDestination', 'AE'],
  [0x0700, 'priority', 'US'],
  [0x0800, 'commandDataSetType', 'US'],
  [0x0900, 'status', 'US'],
  [0x0901, 'offendingElement', 'AT'],
  [0x0902, 'errorComment', 'LO'],
  [0x0903, 'errorID', 'US'],
  [0x1000, 'affectedSOPInstanceUID', 'UI'],
  [0x1001, 'requestedSOPInstanceUID', 'UI'],
  [0x1002, 'eventTypeID', 'US'],
  [0x1005, 'attributeIdentifierList', 'AT'],
  [0x1008, 'actionTypeID', 'US'],
  [0x1020, 'numberOfRemainingSuboperations', 'US'],
  [0x1021, 'numberOfCompletedSuboperations', 'US'],
  [0x1022, 'numberOfFailedSuboperations', 'US'],
  [0x1023, 'numberOfWarningSuboperations', 'US'],
  [0x1030, 'moveOriginatorApplicationEntityTitle', 'AE'],
  [0x1031, 'moveOriginatorMessageID', 'US'],
] as const satisfies readonly (readonly [number, keyof CommandSet, CommandVR])[];

const elementOf = new Map<number, (typeof commandElements)[number]>(commandElements.map((row) => [row[0], row]));

const elementHeaderLength = 8;
const groupLengthElement = 0x0000;

const readAttributeTags = (value: Buffer): readonly number[] =>
  Array.from({ length: value.length >>> 2 }, (_, index) => value.readUInt16LE(index * 4) * 0x10000 + value.readUInt16LE(index * 4 + 2));

const readText = (value: Buffer): string => value.toString('latin1').replace(/[\0 ]+$/, '');

function readValue(vr: CommandVR, value: Buffer): string | number | readonly number[] | undefined {
  if (vr === 'US') return value.length >= 2 ? value.readUInt16LE(0) : undefined;
  if (vr === 'AT') return readAttributeTags(value);
  return vr === 'UI' ? readText(value) : readText(value).trimStart();
}

/**
 * Decodes a command set: Implicit VR Little Endian, group 0000 only, ascending (PS3.7 6.3.1). Retired and unknown
 * elements of the group are passed over.
 *
 * @throws `InvalidPdu` when the bytes are no command set, or one without Command Field or Command Data Set Type
 */
export function decodeCommandSet(bytes: Buffer): CommandSet {
  const values: Record<string, unknown> = {};
  let previous = -1;
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < elementHeaderLength) throw new InvalidPdu('a command element is cut off');
    const element = bytes.readUInt16LE(at + 2);
    const length = bytes.readUInt32LE(at + 4);
    if (bytes.readUInt16LE(at) !== 0 || element <= previous) throw new InvalidPdu('a command set is not ascending elements of group 0000');
    if (length > bytes.length - at - elementHeaderLength) throw new InvalidPdu('a command element is longer than its command set');
    at += elementHeaderLength + length;
    previous = element;
    const row = elementOf.get(element);
    const value = row && length > 0 ? readValue(row[2], bytes.subarray(at - length, at)) : undefined;
    if (row && value !== undefined) values[row[1]] = value;
  }
  const { commandField, commandDataSetType } = values;
  if (typeof commandField !== 'number' || typeof commandDataSetType !== 'number') {
    throw new InvalidPdu('a command set lacks Command Field or Command Data Set Type');
  }
  return { ...values, commandField, commandDataSetType };
}

function writeValue(vr: CommandVR, value: string | number | readonly number[]): Buffer {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    return bytes;
  }
  if (typeof value !== 'string') {
    const bytes = Buffer.alloc(value.length * 4);
    value.forEach((tag, index) => {
      bytes.writeUInt16LE(tag >>> 16, index * 4);
      bytes.writeUInt16LE(tag & 0xffff, index * 4 + 2);
    });
    return bytes;
  }
  const padding = vr === 'UI' ? '\0' : ' ';
  return Buffer.from(value.length % 2 === 0 ? value : value + padding, 'latin1');
}

function writeElement(element: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(elementHeaderLength + value.length);
  bytes.writeUInt16LE(element, 2);
  bytes.writeUInt32LE(value.length, 4);
  value.copy(bytes, elementHeaderLength);
  return bytes;
}

/** Encodes a command set with its Command Group Length (0000,0000). Absent fields are not sent. */
export function encodeCommandSet(command: CommandSet): Buffer {
  const elements = commandElements.flatMap(([element, name, vr]) => {
    const value = command[name];
    return value === undefined ? [] : [writeElement(element, writeValue(vr, value))];
  });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(elements.reduce((sum, bytes) => sum + bytes.length, 0));
  return Buffer.concat([writeElement(groupLengthElement, length), ...elements]);
}
