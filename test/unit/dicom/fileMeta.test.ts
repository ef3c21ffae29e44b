import assert from 'node:assert/strict';
import { encodeFileMeta, parseFileMeta, PartTenError } from '../../../dicom/part10/fileMeta.ts';
import { implementationClassUID, implementationVersionName } from '../../../dicom/uid.ts';
import { encode, explicitLE, identity, randomBytesOf, seeded } from './dataSetBytes.ts';

const meta = { ...identity, transferSyntaxUID: explicitLE };
const dataSet = encode([{ tag: 0x00080016, vr: 'UI', value: identity.sopClassUID }]);
const ui = (tag: number, value: string) => ({ tag, vr: 'UI', value });
const prefix = Buffer.concat([Buffer.alloc(128), Buffer.from('DICM')]);

describe('file meta information', () => {
  it('is written as PS3.10 7.1 lays it out', () => {
    const expected = Buffer.concat([
      Buffer.alloc(128), // preamble
      Buffer.from('4449434d', 'hex'), // DICM
      Buffer.from('02000000554c0400', 'hex'), // (0002,0000) UL, 4 bytes
      Buffer.from('00000000', 'hex'), // the length of what follows, set below
      Buffer.from('020001004f42000002000000' + '0001', 'hex'), // (0002,0001) OB, 2 bytes: 00\01
      Buffer.from('0200020055491a00', 'hex'), Buffer.from('1.2.840.10008.5.1.4.1.1.2\0'), // (0002,0002) UI, 26 bytes
      Buffer.from('0200030055490e00', 'hex'), Buffer.from('1.2.826.0.1.1\0'), // (0002,0003) UI, 14 bytes
      Buffer.from('0200100055491400', 'hex'), Buffer.from('1.2.840.10008.1.2.1\0'), // (0002,0010) UI, 20 bytes
      encode([ui(0x00020012, implementationClassUID), { tag: 0x00020013, vr: 'SH', value: implementationVersionName }]),
    ]);

    const written = encodeFileMeta(meta);

    expected.writeUInt32LE(expected.length - 144, 140);
    assert.equal(written.toString('hex'), expected.toString('hex'));
  });

  it('is the same for the same UIDs', () => {
    assert.deepEqual(encodeFileMeta(meta), encodeFileMeta({ ...meta }));
  });

  it('reads back what was written and tells where the data set starts', () => {
    const head = encodeFileMeta(meta);

    assert.deepEqual(parseFileMeta(Buffer.concat([head, dataSet])), {
      transferSyntaxUID: explicitLE,
      mediaStorageSOPClassUID: identity.sopClassUID,
      mediaStorageSOPInstanceUID: identity.sopInstanceUID,
      dataSetOffsetBytes: head.length,
    });
  });

  it('asks for more bytes wherever the file is cut off within it', () => {
    const head = encodeFileMeta(meta);

    for (let length = 0; length < head.length; length += 1) {
      assert.deepEqual(parseFileMeta(head.subarray(0, length)), { needMore: true }, `${length} bytes`);
    }
    assert.ok('transferSyntaxUID' in parseFileMeta(head));
  });

  it('finds the data set in spite of a wrong or missing group length', () => {
    const wrong = Buffer.concat([encodeFileMeta(meta), dataSet]);
    wrong.writeUInt32LE(7, 140);
    const without = Buffer.concat([prefix, encode([ui(0x00020010, explicitLE)]), dataSet]);

    const [first, second] = [parseFileMeta(wrong), parseFileMeta(without)];

    assert.ok('dataSetOffsetBytes' in first && first.dataSetOffsetBytes === wrong.length - dataSet.length);
    assert.ok('dataSetOffsetBytes' in second && second.dataSetOffsetBytes === without.length - dataSet.length);
    assert.equal(second.mediaStorageSOPInstanceUID, undefined);
  });

  it('says what is missing from a file that is no Part 10 file', () => {
    const cases: readonly (readonly [Buffer, PartTenError['problem']])[] = [
      [dataSet, 'noDicomPrefix'],
      [Buffer.alloc(200), 'noDicomPrefix'],
      [Buffer.concat([prefix, dataSet, dataSet]), 'noTransferSyntax'],
      [Buffer.concat([prefix, encode([ui(0x00020003, '1.2.3')]), dataSet]), 'noTransferSyntax'],
      [Buffer.concat([prefix, Buffer.from('0200100014000000', 'hex'), dataSet]), 'malformedFileMeta'],
      [Buffer.concat([prefix, Buffer.from('020002014f420000ffffff7f', 'hex'), dataSet]), 'malformedFileMeta'],
    ];

    for (const [bytes, problem] of cases) {
      const padded = bytes.length < 132 ? Buffer.concat([bytes, Buffer.alloc(132)]) : bytes;
      assert.throws(() => parseFileMeta(padded), (error: unknown) => error instanceof PartTenError && error.problem === problem, problem);
    }
  });

  it('ends arbitrary bytes behind the prefix with a result or a PartTenError', () => {
    const random = seeded(1);

    for (let round = 0; round < 2000; round += 1) {
      const bytes = Buffer.concat([prefix, Buffer.from([2, 0]), randomBytesOf(random, Math.floor(random() * 80))]);
      try {
        parseFileMeta(bytes);
      } catch (error) {
        assert.ok(error instanceof PartTenError);
      }
    }
  });
});
