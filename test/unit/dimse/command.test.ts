import assert from 'node:assert/strict';
import { commandElements, commandFields, decodeCommandSet, encodeCommandSet } from '../../../edge-gateway/dimse/command.ts';
import { responseCommand } from '../../../edge-gateway/dimse/response.ts';
import type { CommandSet } from '../../../edge-gateway/services/service.ts';
import { InvalidPdu } from '../../../edge-gateway/upper-layer/fields.ts';
import { seeded } from '../../support/aDicomServer.ts';
import { echoRQ, element } from '../../support/scriptedPeer.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/#.*$/gm, '').replace(/\s+/g, ''), 'hex');

const storeRequest: CommandSet = {
  affectedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2', commandField: 1, messageID: 7, priority: 2, commandDataSetType: 1,
  affectedSOPInstanceUID: '1.2.3', moveOriginatorApplicationEntityTitle: 'WS1', moveOriginatorMessageID: 0x1234,
};

const storeRequestBytes = hex(`
  0000 0000 04000000 6e000000                                                     # Command Group Length: 110
  0000 0200 1a000000 312e322e3834302e31303030382e352e312e342e312e312e32 00        # Affected SOP Class UID, padded by NUL
  0000 0001 02000000 0100                                                         # Command Field: C-STORE-RQ
  0000 1001 02000000 0700                                                         # Message ID
  0000 0007 02000000 0200                                                         # Priority: low
  0000 0008 02000000 0100                                                         # Command Data Set Type
  0000 0010 06000000 312e322e3300                                                 # Affected SOP Instance UID
  0000 3010 04000000 57533120                                                     # Move Originator AE Title, padded by space
  0000 3110 02000000 3412                                                         # Move Originator Message ID
`);

describe('a command set (PS3.7 6.3.1, Annex E)', () => {
  it('of C-STORE-RQ encodes to its golden bytes and back', () => {
    assert.equal(encodeCommandSet(storeRequest).toString('hex'), storeRequestBytes.toString('hex'));
    assert.deepEqual(decodeCommandSet(storeRequestBytes), storeRequest);
  });

  it('holds tags as group and element in little endian', () => {
    const command: CommandSet = { commandField: 0x8001, commandDataSetType: 0x101, status: 0xa900, offendingElement: [0x00080018, 0x7fe00010] };

    const bytes = encodeCommandSet(command);

    assert.ok(bytes.includes(hex('0000 0109 08000000 0800 1800 e07f 1000')));
    assert.deepEqual(decodeCommandSet(bytes), command);
  });

  it('is decoded without Command Group Length, and past elements that are unknown or retired', () => {
    const bytes = Buffer.concat([element(0x0001, 4), echoRQ(5), element(0x5110, 'old')]);

    assert.deepEqual(decodeCommandSet(bytes), { affectedSOPClassUID: '1.2.840.10008.1.1', commandField: 0x30, messageID: 5, commandDataSetType: 0x101 });
  });

  it('leaves an element without a value out', () => {
    const bytes = Buffer.concat([element(0x0100, 1), element(0x0110, Buffer.alloc(0)), element(0x0800, 1), element(0x1000, '')]);

    assert.deepEqual(decodeCommandSet(bytes), { commandField: 1, commandDataSetType: 1 });
  });

  for (const [what, bytes] of [
    ['an element of another group', Buffer.concat([hex('0800 1600 02000000 3100'), echoRQ(1)])],
    ['elements that do not ascend', Buffer.concat([element(0x0800, 1), element(0x0100, 1)])],
    ['an element that comes twice', Buffer.concat([element(0x0100, 1), element(0x0100, 1), element(0x0800, 1)])],
    ['an element that is cut off', echoRQ(1).subarray(0, -3)],
    ['a header that is cut off', Buffer.concat([echoRQ(1), Buffer.alloc(7)])],
    ['a length of 4 GiB', hex('0000 0001 ffffffff 0100')],
    ['no Command Field', element(0x0800, 0x101)],
    ['no Command Data Set Type', element(0x0100, 0x30)],
    ['a Command Field of one byte', Buffer.concat([hex('0000 0001 01000000 30'), element(0x0800, 0x101)])],
    ['no bytes', Buffer.alloc(0)],
  ] as const) {
    it(`is refused for ${what}`, () => {
      assert.throws(() => decodeCommandSet(bytes), InvalidPdu);
    });
  }

  it('has its elements in ascending order in the table, as they are sent', () => {
    const numbers = commandElements.map(([number]) => number);

    assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
  });

  it('comes back as it was from generated commands of every operation', () => {
    const next = seeded(3);
    const value = { UI: () => `1.2.${next(1e9)}`, US: () => next(0x10000), AE: () => `AE ${next(1e6)}`, LO: () => `text ${next(1e6)}`, AT: () => [next(0xffffffff), next(0xffffffff)] };
    for (let round = 0; round < 500; round++) {
      const fields = commandElements.filter(() => next(2) === 0).map(([, name, vr]) => [name, value[vr]()]);
      const [, commandField] = Object.entries(commandFields)[next(12)]!;
      const command = { ...Object.fromEntries(fields), commandField, commandDataSetType: next(0x10000) } as CommandSet;

      assert.deepEqual(decodeCommandSet(encodeCommandSet(command)), command);
    }
  });

  it('is decoded or refused as InvalidPdu, whatever its bytes', () => {
    const next = seeded(11);
    for (let round = 0; round < 10_000; round++) {
      const bytes = Buffer.from(storeRequestBytes);
      for (let change = next(5); change >= 0; change--) bytes[next(bytes.length)] = next(256);

      try {
        decodeCommandSet(bytes.subarray(0, bytes.length - next(3) * next(20)));
      } catch (error) {
        assert.ok(error instanceof InvalidPdu, String(error));
      }
    }
  });
});

describe('a response', () => {
  it('copies what identifies the request (PS3.7 9.3.1.2)', () => {
    assert.deepEqual(responseCommand(storeRequest, { status: 0xb007, errorComment: 'x'.repeat(70), offendingElements: [0x00080016] }), {
      affectedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2', commandField: 0x8001, messageIDBeingRespondedTo: 7, commandDataSetType: 0x101, status: 0xb007,
      offendingElement: [0x00080016], errorComment: 'x'.repeat(64), affectedSOPInstanceUID: '1.2.3',
    });
  });

  it('names the affected instance where the request names the requested one (PS3.7 10.3)', () => {
    const request: CommandSet = { commandField: 0x0130, messageID: 1, commandDataSetType: 1, requestedSOPClassUID: '1.2', requestedSOPInstanceUID: '1.3', actionTypeID: 1 };

    const { affectedSOPClassUID, affectedSOPInstanceUID, requestedSOPClassUID } = responseCommand(request, { status: 0 });

    assert.deepEqual([affectedSOPClassUID, affectedSOPInstanceUID, requestedSOPClassUID], ['1.2', '1.3', undefined]);
  });
});
