import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeRle, encodeRle } from '../../../codecs/rle.ts';
import { CodecError } from '../../../codecs/errors.ts';
import type { ImagePixel } from '../../../dicom/imagePixel.ts';

const image = (over: Partial<ImagePixel>): ImagePixel => ({
  rows: 2, columns: 3, samplesPerPixel: 1, photometricInterpretation: 'MONOCHROME2', planarConfiguration: 0,
  bitsAllocated: 8, bitsStored: 8, pixelRepresentation: 0, numberOfFrames: 1, ...over,
});

describe('RLE Lossless (PS3.5 Annex G)', () => {
  it('decodes literal and replicate runs, the most significant byte first', () => {
    const bytes = Buffer.alloc(64 + 12);
    bytes.writeUInt32LE(2, 0);
    bytes.writeUInt32LE(64, 4);
    bytes.writeUInt32LE(68, 8);
    Buffer.from([0xfb, 0x12, 0x80, 0x80, 0x05, 1, 2, 3, 4, 5, 6, 0]).copy(bytes, 64);

    const pixels = decodeRle(bytes, image({ bitsAllocated: 16, bitsStored: 16 }));

    assert.deepEqual([...new Uint16Array(pixels.buffer, pixels.byteOffset, 6)], [0x1201, 0x1202, 0x1203, 0x1204, 0x1205, 0x1206]);
  });

  it('gives back what it encoded, for any pixels', () => {
    const anyImage = fc.record({ rows: fc.integer({ min: 1, max: 9 }), columns: fc.integer({ min: 1, max: 300 }), samplesPerPixel: fc.constantFrom(1, 3), bitsAllocated: fc.constantFrom(8, 16, 32), values: fc.integer({ min: 1, max: 256 }), seed: fc.nat() });
    fc.assert(fc.property(anyImage, ({ values, seed, ...shape }) => {
      const pixel = image({ ...shape, bitsStored: shape.bitsAllocated });
      const pixels = Buffer.alloc(pixel.rows * pixel.columns * pixel.samplesPerPixel * pixel.bitsAllocated / 8);
      let state = seed;
      for (let at = 0; at < pixels.length; at++) {
        state = (state * 1103515245 + 12345) % 0x80000000;
        pixels[at] = (state >>> 8) % values;
      }

      assert.ok(decodeRle(encodeRle(pixels, pixel), pixel).equals(pixels));
    }), { numRuns: 200 });
  });

  it('answers arbitrary bytes with pixels or a CodecError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const frame = Buffer.concat([Buffer.from([1, 0, 0, 0]), Buffer.from(bytes)]);
      try {
        assert.equal(decodeRle(frame, image({})).length, 6);
      } catch (error) {
        assert.ok(error instanceof CodecError);
      }
    }));
  });
});
