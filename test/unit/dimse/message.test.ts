import assert from 'node:assert/strict';
import { MessageReader, encodeCommandMessage, fragmentLength, type Message } from '../../../edge-gateway/dimse/message.ts';
import { InvalidPdu } from '../../../edge-gateway/upper-layer/fields.ts';
import { echoRQ, storeRQ } from '../../support/scriptedPeer.ts';

function aReader(): { reader: MessageReader; messages: Message[] } {
  const messages: Message[] = [];
  return { reader: new MessageReader((message) => void messages.push(message)), messages };
}

describe('the message reader (PS3.8 Annex E)', () => {
  it('joins the fragments of a command, however they are cut', () => {
    const { reader, messages } = aReader();
    const command = echoRQ(3);

    reader.fragment(1, 1, command.subarray(0, 5), false);
    reader.fragment(1, 1, command.subarray(5, 9), true);
    reader.fragment(1, 3, command.subarray(9, 30), false);
    assert.ok(reader.insideMessage);
    reader.fragment(1, 3, command.subarray(30), true);

    assert.equal(messages[0]!.command.messageID, 3);
    assert.equal(messages[0]!.dataSet, undefined);
    assert.ok(!reader.insideMessage);
  });

  it('hands a message over when its command is there, before its data set', async () => {
    const { reader, messages } = aReader();

    reader.fragment(3, 3, storeRQ(1), true);
    const reading = messages[0]!.dataSet!.consume(() => undefined);
    reader.fragment(3, 0, Buffer.alloc(10), true);
    reader.fragment(3, 2, Buffer.alloc(7), false);
    assert.ok(reader.insideMessage);
    reader.fragment(3, 2, Buffer.alloc(3), true);

    assert.equal(await reading, 20);
    assert.ok(!reader.insideMessage);
  });

  it('ignores the reserved bits of the message control header', () => {
    const { reader, messages } = aReader();

    reader.fragment(1, 0xff, echoRQ(1), true);

    assert.equal(messages.length, 1);
  });

  it('refuses interleaved messages, data without a command and a command without an end', () => {
    const otherContext = aReader().reader;
    otherContext.fragment(3, 3, storeRQ(1), true);
    const secondCommand = aReader().reader;
    secondCommand.fragment(3, 3, storeRQ(1), true);
    const endless = aReader().reader;
    endless.fragment(1, 1, Buffer.alloc(65_536), true);

    assert.throws(() => otherContext.fragment(1, 0, Buffer.alloc(1), true), InvalidPdu);
    assert.throws(() => secondCommand.fragment(3, 3, echoRQ(1), true), InvalidPdu);
    assert.throws(() => endless.fragment(1, 1, Buffer.alloc(1), true), InvalidPdu);
    assert.throws(() => aReader().reader.fragment(1, 0, Buffer.alloc(1), true), InvalidPdu);
  });
});

describe('fragments that we send', () => {
  it('fit the peer\'s maximum length, are even, and never beyond 128 KiB (PS3.8 D.1)', () => {
    assert.equal(fragmentLength(0), 131_072);
    assert.equal(fragmentLength(4_096), 4_090);
    assert.equal(fragmentLength(16_383), 16_376);
    assert.equal(fragmentLength(1 << 20), 131_072);
    assert.equal(fragmentLength(8), 2);
    assert.equal(fragmentLength(7), 0);
  });

  it('make up the command again', () => {
    const command = { affectedSOPClassUID: '1.2.840.10008.1.1', commandField: 0x30, messageID: 9, commandDataSetType: 0x101 };
    for (const maxLengthBytes of [8, 9, 10, 31, 64, 4_096, 0]) {
      const { reader, messages } = aReader();
      const bytes = encodeCommandMessage(1, command, maxLengthBytes);
      for (let at = 0; at < bytes.length;) {
        const length = bytes.readUInt32BE(at + 2);
        assert.ok(maxLengthBytes === 0 || length <= maxLengthBytes);
        reader.fragment(bytes[at + 10]!, bytes[at + 11]!, bytes.subarray(at + 12, at + 6 + length), true);
        at += 6 + length;
      }

      assert.deepEqual(messages[0]!.command, command);
    }
  });
});
