import assert from 'node:assert/strict';
import { createTranscoder, type Transcoder } from '../../../codecs/transcoder.ts';
import { targetSyntaxes, uncompressedTargets } from '../../../codecs/syntaxes.ts';
import { encodeFileMeta, parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { deflatedExplicitVRLittleEndian, explicitVRLittleEndian, implicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';

const us = (tag: number, value: number): Buffer => element(tag, 'US', Buffer.from([value & 0xff, value >>> 8]));
const element = (tag: number, vr: string, value: Buffer): Buffer => {
  const long = ['OB', 'OW', 'SQ', 'UN'].includes(vr);
  const header = Buffer.alloc(long ? 12 : 8);
  header.writeUInt16LE(tag >>> 16, 0);
  header.writeUInt16LE(tag & 0xffff, 2);
  header.write(vr, 4, 'latin1');
  if (long) header.writeUInt32LE(value.length, 8);
  else header.writeUInt16LE(value.length, 6);
  return Buffer.concat([header, value]);
};

/** Oddities that a rewriting library would change: a decimal string with zeros, a space before text, a private element, an empty item. */
const oddities = [
  element(0x00080016, 'UI', Buffer.from('1.2.840.10008.5.1.4.1.1.7\0')), element(0x00080018, 'UI', Buffer.from('1.2.3\0')),
  element(0x00081140, 'SQ', Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0])), element(0x00091001, 'UN', Buffer.from([1, 2, 3, 4])),
  element(0x00100010, 'PN', Buffer.from(' A^B= ')), element(0x00181310, 'US', Buffer.alloc(0)), element(0x00201041, 'DS', Buffer.from('-0012.50')),
];

const anImage = (shape: { readonly rows: number; readonly columns: number; readonly frames?: number; readonly colour?: boolean }, pixels: Buffer): Buffer => Buffer.concat([
  encodeFileMeta({ sopClassUID: '1.2.840.10008.5.1.4.1.1.7', sopInstanceUID: '1.2.3', transferSyntaxUID: explicitVRLittleEndian }), ...oddities,
  us(0x00280002, shape.colour ? 3 : 1), element(0x00280004, 'CS', Buffer.from(shape.colour ? 'RGB ' : 'MONOCHROME2 ')), ...(shape.colour ? [us(0x00280006, 0)] : []),
  element(0x00280008, 'IS', Buffer.from(`${shape.frames ?? 1} `)), us(0x00280010, shape.rows), us(0x00280011, shape.columns),
  us(0x00280100, shape.colour ? 8 : 16), us(0x00280101, shape.colour ? 8 : 16), us(0x00280102, shape.colour ? 7 : 15), us(0x00280103, 0),
  element(0x7fe00010, 'OW', pixels), element(0xfffcfffc, 'OB', Buffer.from([7, 7])),
]);

const ramp = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, at) => (at * 7) % 251));
const headerOf = (file: Buffer) => readInstanceHeader({ lengthBytes: file.length, read: async (at, length) => file.subarray(at, at + length) });

describe('the transcoder', function () {
  this.timeout(60_000);
  let transcoder: Transcoder;
  before(() => { transcoder = createTranscoder({ threads: 1, maxBytes: 4 * 1024 * 1024 }); });
  after(() => transcoder.close());

  for (const to of targetSyntaxes.filter((uid) => !uncompressedTargets.includes(uid))) {
    it(`writes ${to} and reads it back: two frames, grey, and the whole file is as it was`, async () => {
      const file = anImage({ rows: 40, columns: 30, frames: 2 }, ramp(40 * 30 * 4));

      const compressed = await transcoder.transcode(file, to);
      const back = await transcoder.transcode(compressed, explicitVRLittleEndian);

      assert.equal((await headerOf(compressed)).transferSyntaxUID, to);
      assert.equal((await headerOf(compressed)).pixelData?.frames?.length, 2);
      assert.ok(back.equals(file));
    });

    it(`keeps every byte of a colour image but pixels, and the attributes that describe them, in ${to}`, async () => {
      const file = anImage({ rows: 17, columns: 19, colour: true }, ramp(17 * 19 * 3 + 1));
      const before = await headerOf(file);

      const compressed = await transcoder.transcode(file, to);

      const odd = Buffer.concat(oddities);
      const meta = parseFileMeta(compressed) as { readonly dataSetOffsetBytes: number };
      assert.ok(compressed.subarray(meta.dataSetOffsetBytes, meta.dataSetOffsetBytes + odd.length).equals(odd));
      assert.ok(compressed.subarray(-2).equals(Buffer.from([7, 7])));
      const after = await headerOf(compressed);
      const changed = Object.keys(before.header).filter((tag) => JSON.stringify(before.header[tag]) !== JSON.stringify(after.header[tag]));
      assert.deepEqual(changed.filter((tag) => tag !== '00280004'), ['7FE00010']);
    });
  }

  it('gives a compressed image in Implicit VR Little Endian with the same values, and the pixels it was made of', async () => {
    const pixels = ramp(40 * 30 * 4);
    const compressed = await transcoder.transcode(anImage({ rows: 40, columns: 30, frames: 2 }, pixels), '1.2.840.10008.1.2.4.90');

    const implicit = await transcoder.transcode(compressed, implicitVRLittleEndian);

    const [before, after] = [await headerOf(compressed), await headerOf(implicit)];
    assert.equal(after.transferSyntaxUID, implicitVRLittleEndian);
    assert.deepEqual({ ...after.header, '7FE00010': undefined, '00091001': undefined }, { ...before.header, '7FE00010': undefined, '00091001': undefined });
    assert.ok(implicit.subarray(after.pixelData!.offsetBytes, after.pixelData!.offsetBytes + after.pixelData!.lengthBytes).equals(pixels));
  });

  it('gives one frame of many without the others', async () => {
    const pixels = ramp(16 * 16 * 2 * 5);
    const file = anImage({ rows: 16, columns: 16, frames: 5 }, pixels);
    const jpegLs = await transcoder.transcode(file, '1.2.840.10008.1.2.4.80');
    const { header, pixelData } = await headerOf(jpegLs);
    const [offset, length] = pixelData!.frames![3]![0]!;

    const frame = await transcoder.decodeFrame({ header, bytes: jpegLs.subarray(offset, offset + length), transferSyntaxUID: '1.2.840.10008.1.2.4.80' });

    assert.ok(frame.bytes.equals(pixels.subarray(3 * 512, 4 * 512)));
  });

  it('refuses a frame of 65535 × 65535 before it allocates anything', async () => {
    const file = anImage({ rows: 65535, columns: 65535 }, Buffer.alloc(64));
    const rle = await transcoder.transcode(anImage({ rows: 8, columns: 8 }, Buffer.alloc(128)), '1.2.840.10008.1.2.5');
    const { header } = await headerOf(file);

    await assert.rejects(transcoder.transcode(file, '1.2.840.10008.1.2.4.90'), { problem: 'tooLarge' });
    await assert.rejects(transcoder.decodeFrame({ header, bytes: rle, transferSyntaxUID: '1.2.840.10008.1.2.4.90' }), { problem: 'tooLarge' });
  });

  it('refuses a compressed frame whose own size differs from the attributes, whatever it would decode to', async () => {
    for (const transferSyntaxUID of ['1.2.840.10008.1.2.4.70', '1.2.840.10008.1.2.4.80', '1.2.840.10008.1.2.4.90', '1.2.840.10008.1.2.4.201']) {
      const small = await transcoder.transcode(anImage({ rows: 8, columns: 8 }, ramp(128)), transferSyntaxUID);
      const { header: claimed } = await headerOf(anImage({ rows: 800, columns: 800 }, Buffer.alloc(2)));
      const [offset, length] = (await headerOf(small)).pixelData!.frames![0]![0]!;

      await assert.rejects(transcoder.decodeFrame({ header: claimed, bytes: small.subarray(offset, offset + length), transferSyntaxUID }), { problem: 'corrupt' });
    }
  });

  it('goes on after damaged frames', async () => {
    for (const transferSyntaxUID of ['1.2.840.10008.1.2.4.70', '1.2.840.10008.1.2.4.80', '1.2.840.10008.1.2.4.90', '1.2.840.10008.1.2.4.201']) {
      const good = await transcoder.transcode(anImage({ rows: 64, columns: 64 }, ramp(8192)), transferSyntaxUID);
      const { header, pixelData } = await headerOf(good);
      const [offset, length] = pixelData!.frames![0]![0]!;
      const frame = good.subarray(offset, offset + length);
      for (let cut = 0; cut < length; cut += Math.ceil(length / 9)) {
        const damaged = Buffer.concat([frame.subarray(0, cut), Buffer.from(frame.subarray(cut)).reverse()]);
        const outcome = await transcoder.decodeFrame({ header, bytes: damaged, transferSyntaxUID }).catch((error: unknown) => error);
        assert.ok(!(outcome instanceof Error) || outcome.name === 'CodecError', String(outcome));
      }

      assert.ok((await transcoder.decodeFrame({ header, bytes: frame, transferSyntaxUID })).bytes.equals(ramp(8192)));
    }
  });

  it('says which ways there are', () => {
    assert.ok(transcoder.canTranscode('1.2.840.10008.1.2.4.50', explicitVRLittleEndian));
    assert.ok(transcoder.canTranscode(implicitVRLittleEndian, '1.2.840.10008.1.2.4.90'));
    assert.ok(transcoder.canTranscode(deflatedExplicitVRLittleEndian, explicitVRLittleEndian));
    assert.ok(!transcoder.canTranscode(explicitVRLittleEndian, '1.2.840.10008.1.2.4.50'));
    assert.ok(transcoder.canTranscode('1.2.840.10008.1.2.4.90', implicitVRLittleEndian));
    assert.ok(!transcoder.canTranscode(explicitVRLittleEndian, deflatedExplicitVRLittleEndian));
    assert.ok(!transcoder.canTranscode('1.2.840.10008.1.2.4.102', explicitVRLittleEndian));
  });
});
