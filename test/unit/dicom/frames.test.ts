import assert from 'node:assert/strict';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { BufferSource, encode, file, header, itemHeader, jpegBaseline, type Element } from './dataSetBytes.ts';

const u32s = (values: readonly number[]): Buffer => Buffer.concat(values.map((value) => (Buffer.from(Uint32Array.of(value).buffer))));
const u64s = (values: readonly number[]): Buffer => Buffer.concat(values.map((value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer)));
const item = (bytes: Buffer): Buffer => Buffer.concat([itemHeader(0xfffee000, bytes.length), bytes]);
const delimiter = itemHeader(0xfffee0dd, 0);

interface Pixels {
  readonly frameCount?: number;
  readonly offsetTable?: readonly number[];
  readonly fragments: readonly string[];
  readonly before?: readonly Element[];
  readonly cutBytes?: number;
  readonly after?: Buffer;
}

/** A file whose encapsulated Pixel Data has the fragments given; the reading, with the bytes of every frame. */
const frames = async ({ frameCount, offsetTable = [], fragments, before = [], cutBytes = 0, after = Buffer.alloc(0) }: Pixels) => {
  const count: readonly Element[] = frameCount === undefined ? [] : [{ tag: 0x00280008, vr: 'IS', value: String(frameCount) }];
  const bytes = file(Buffer.concat([
    encode([...count, ...before]), header(0x7fe00010, 'OB', 0xffffffff), item(u32s(offsetTable)),
    ...fragments.map((fragment) => item(Buffer.from(fragment))), delimiter, after,
  ]), jpegBaseline);
  const source = new BufferSource(bytes.subarray(0, bytes.length - cutBytes));
  const { pixelData, header: found, unreadable } = await readInstanceHeader(source);
  const texts = pixelData?.frames?.map((parts) => parts.map(([offset, length]) => bytes.toString('latin1', offset, offset + length)));
  return { pixelData, texts, found, unreadable, source, bytes };
};

describe('frames of encapsulated Pixel Data', () => {
  it('are one when Number of Frames is absent, whatever the number of fragments', async () => {
    const { texts, pixelData, found, bytes } = await frames({ fragments: ['aa', 'bbbb', 'cc'] });

    assert.deepEqual(texts, [['aa', 'bbbb', 'cc']]);
    assert.equal(pixelData?.encapsulated, true);
    assert.equal(pixelData.lengthBytes, 8 + 10 + 12 + 10);
    assert.equal(pixelData.offsetBytes + pixelData.lengthBytes + 8, bytes.length);
    assert.equal(found['7FE00010']?.BulkDataURI, `#${pixelData.offsetBytes},${pixelData.lengthBytes}`);
  });

  it('are one fragment each when there are as many and no table', async () => {
    assert.deepEqual((await frames({ frameCount: 2, fragments: ['aa', 'bb'] })).texts, [['aa'], ['bb']]);
  });

  it('are left out when nothing tells the fragments apart', async () => {
    const { pixelData } = await frames({ frameCount: 2, fragments: ['aa', 'bb', 'cc'] });

    assert.equal(pixelData?.frames, undefined);
    assert.equal(pixelData?.lengthBytes, 38);
  });

  it('follow the Basic Offset Table', async () => {
    const { texts } = await frames({ frameCount: 2, offsetTable: [0, 22], fragments: ['aa', 'bbbb', 'cc', 'dd'] });

    assert.deepEqual(texts, [['aa', 'bbbb'], ['cc', 'dd']]);
  });

  it('do not follow a Basic Offset Table that fits no fragment', async () => {
    assert.deepEqual((await frames({ frameCount: 2, offsetTable: [0, 7], fragments: ['aa', 'bb'] })).texts, [['aa'], ['bb']]);
    assert.equal((await frames({ frameCount: 2, offsetTable: [0, 7], fragments: ['aa', 'bb', 'cc'] })).texts, undefined);
  });

  it('follow the Extended Offset Table, whose lengths leave the padding out', async () => {
    const before: Element[] = [{ tag: 0x7fe00001, vr: 'OV', value: u64s([0, 12]) }, { tag: 0x7fe00002, vr: 'OV', value: u64s([3, 2]) }];

    const { texts } = await frames({ frameCount: 2, before, fragments: ['aaa\0', 'bb'] });

    assert.deepEqual(texts, [['aaa'], ['bb']]);
  });

  it('are not there, and the length is -1, when the file ends within the fragments', async () => {
    for (const cutBytes of [1, 8, 9, 12, 20, 30]) {
      const { pixelData, unreadable, found } = await frames({ fragments: ['aa', 'bbbb', 'cc'], cutBytes });

      assert.deepEqual(pixelData, { offsetBytes: pixelData?.offsetBytes, encapsulated: true, lengthBytes: -1 });
      assert.equal(found['7FE00010']?.BulkDataURI?.endsWith(',-1'), true);
      assert.equal(unreadable, undefined);
    }
  });

  it('are found behind thousands of fragments without reading the pixels', async () => {
    const fragments = Array.from({ length: 3000 }, () => 'x'.repeat(10_000));

    const { pixelData, source } = await frames({ frameCount: 3000, fragments });

    assert.equal(pixelData?.frames?.length, 3000);
    assert.ok(source.readBytes < 15_000_000, `${source.readBytes}`);
  });

  it('are not confused by an encapsulated icon before, or padding behind', async () => {
    const icon = Buffer.concat([header(0x7fe00010, 'OB', 0xffffffff), item(Buffer.alloc(0)), item(Buffer.from('ii')), delimiter]);
    const iconItem = Buffer.concat([itemHeader(0xfffee000, icon.length), icon]);
    const bytes = file(Buffer.concat([
      header(0x00880200, 'SQ', iconItem.length), iconItem, header(0x7fe00010, 'OB', 0xffffffff), item(Buffer.alloc(0)),
      item(Buffer.from('aa')), delimiter, encode([{ tag: 0xfffcfffc, vr: 'OB', value: Buffer.alloc(50) }]),
    ]), jpegBaseline);

    const { pixelData, header: found, unreadable } = await readInstanceHeader(new BufferSource(bytes));

    assert.equal(unreadable, undefined);
    assert.equal(pixelData?.frames?.length, 1);
    assert.equal(found['00880200']?.Value?.length, 1);
  });
});
