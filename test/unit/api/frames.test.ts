import assert from 'node:assert/strict';
import { createTranscoder, type Transcoder } from '../../../codecs/transcoder.ts';
import { explicitBE, explicitLE, implicitLE } from '../dicom/dataSetBytes.ts';
import { anApi, anImage, partsOf, stow, type Api } from './support.ts';

const jpegLs = '1.2.840.10008.1.2.4.80';
const rle = '1.2.840.10008.1.2.5';
const at = '/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1';

const ramp = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, each) => (each * 11) % 253));

describe('api: frames (WADO-RS)', () => {
  const pixels = ramp(6 * 5 * 2 * 4);
  const frame = (number: number): Buffer => pixels.subarray((number - 1) * 60, number * 60);
  const image = { rows: 6, columns: 5, frames: 4, bits: 16, pixels } as const;
  let api: Api;
  let codecs: Transcoder;
  beforeEach(async () => {
    api = await anApi();
    codecs = createTranscoder({ threads: 1 });
  });
  afterEach(async () => {
    await api.close();
    await codecs.close();
  });
  const get = (frames: string, headers: Record<string, string> = {}): Promise<Response> => api.call(`${at}/frames/${frames}`, { headers, roles: ['viewer'] });
  const bodies = async (response: Response): Promise<readonly Buffer[]> => (await partsOf(response)).map(({ body }) => body);

  for (const transferSyntaxUID of [explicitLE, implicitLE]) {
    it(`gives frames stored in ${transferSyntaxUID} in the order asked for, one read each`, async () => {
      await stow(api, [anImage({ ...image, transferSyntaxUID })]);
      let reads = 0;
      const readRange = api.archive.readRange.bind(api.archive);
      api.archive.readRange = (...args) => { reads += 1; return readRange(...args); };

      const response = await get('3,1,3');
      const parts = await partsOf(response);

      assert.equal(response.status, 200);
      assert.equal(reads, 3);
      assert.match(response.headers.get('Content-Type') ?? '', /^multipart\/related; type="application\/octet-stream"/);
      assert.deepEqual(parts.map(({ body }) => body), [frame(3), frame(1), frame(3)]);
      assert.match(parts[0]?.headers ?? '', /Content-Type: application\/octet-stream; transfer-syntax=1\.2\.840\.10008\.1\.2\.1\r\nContent-Location: .*\/frames\/3\r\n/);
    });
  }

  it('gives big endian pixels as little endian', async () => {
    await stow(api, [anImage({ ...image, transferSyntaxUID: explicitBE, pixels: Buffer.from(pixels).swap16() })]);

    assert.deepEqual(await bodies(await get('2,4')), [frame(2), frame(4)]);
  });

  it('gives compressed frames decoded, as stored, and in another compression, as the client asks', async () => {
    await stow(api, [await codecs.transcode(anImage(image), jpegLs)]);

    const decoded = await get('2');
    const octets = await get('2', { Accept: 'application/octet-stream' });
    const stored = await partsOf(await get('2,3', { Accept: 'multipart/related; type="image/jls"' }));
    const any = await get('2', { Accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*' });
    const other = await get('2', { Accept: 'image/dicom-rle' });

    assert.deepEqual(await bodies(decoded), [frame(2)]);
    assert.deepEqual(Buffer.from(await octets.arrayBuffer()), frame(2));
    assert.equal(octets.headers.get('Content-Type'), `application/octet-stream; transfer-syntax=${explicitLE}`);
    assert.match(stored[1]?.headers ?? '', new RegExp(`Content-Type: image/jls; transfer-syntax=${jpegLs}\r\n`));
    assert.equal(stored[1]?.body.readUInt32BE(0), 0xffd8fff7);
    assert.equal((await bodies(any))[0]?.readUInt32BE(0), 0xffd8fff7);
    assert.equal(other.headers.get('Content-Type'), `image/dicom-rle; transfer-syntax=${rle}`);
    assert.equal(Buffer.from(await other.arrayBuffer()).readUInt32LE(0), 2);
  });

  it('joins the fragments of a frame without their item tags', async () => {
    const compressed = await codecs.transcode(anImage({ ...image, frames: 1, pixels: frame(1) }), jpegLs);
    await stow(api, [inFragments(compressed, 10)]);

    const [stored] = await bodies(await get('1', { Accept: 'multipart/related; type="image/jls"' }));

    assert.ok(compressed.includes(stored!.subarray(0, -1)));
    assert.deepEqual(await bodies(await get('1')), [frame(1)]);
  });

  it('realigns frames of one bit that start within a byte', async () => {
    const bits = Array.from({ length: 3 * 35 }, (_, each) => Number(each % 3 === 0 || each % 7 === 1));
    const packed = (some: readonly number[]): Buffer => {
      const out = Buffer.alloc(Math.ceil(some.length / 8));
      some.forEach((bit, each) => { out[each >>> 3]! |= bit << (each & 7); });
      return out;
    };
    await stow(api, [anImage({ rows: 7, columns: 5, frames: 3, bits: 1, pixels: packed(bits) })]);

    assert.deepEqual(await bodies(await get('1,2,3')), [0, 1, 2].map((each) => packed(bits.slice(each * 35, each * 35 + 35))));
  });

  it('answers 404 for frames that are not there, 400 for what is no list, 406 for types it has not', async () => {
    await stow(api, [anImage(image)]);

    for (const list of ['5', '1,5', '99999']) assert.equal((await get(list)).status, 404, list);
    for (const list of ['0', '1,', 'a', '-1', '1.5', '1,2,x']) assert.equal((await get(list)).status, 400, list);
    for (const accept of ['image/png', 'text/html', 'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50', 'video/mp4', `multipart/related; type="application/octet-stream"; transfer-syntax=${implicitLE}`]) {
      assert.equal((await get('1', { Accept: accept })).status, 406, accept);
    }
    assert.equal((await get('1,2', { Accept: 'application/octet-stream' })).status, 406);
    assert.equal((await get('1', { Accept: 'image/png, multipart/related; type="application/octet-stream"; q=0.1' })).status, 200);
    assert.equal((await api.call(`${at.replace('1.2.3.1.1', '1.9')}/frames/1`)).status, 404);
  });

  it('answers 406 with a sentence, without a read, when a frame would be larger than memory', async () => {
    const bomb = await codecs.transcode(anImage(image), jpegLs);
    for (const [from, to] of [[6, 65535], [5, 65534]] as const) {
      const element = Buffer.from([0x28, 0, from === 6 ? 0x10 : 0x11, 0, 0x55, 0x53, 2, 0, from, 0]);
      bomb.writeUInt16LE(to, bomb.indexOf(element) + 8);
    }
    await stow(api, [bomb]);

    const response = await get('1');

    assert.equal(response.status, 406);
    assert.match((await response.json() as { detail: string }).detail, /limit/);
  });

  it('answers 304 to who holds the frames', async () => {
    await stow(api, [anImage(image)]);
    const etag = (await get('1')).headers.get('ETag') ?? '';

    assert.equal((await get('1', { 'If-None-Match': etag })).status, 304);
    assert.equal((await get('2', { 'If-None-Match': etag })).status, 200);
  });

  it('gives a compressed instance as Explicit VR Little Endian by default, in other lossless syntaxes when asked', async () => {
    await stow(api, [await codecs.transcode(anImage(image), jpegLs)]);
    const type = 'multipart/related; type="application/dicom"';

    const plain = await bodies(await api.call('/dicom-web/studies/1.2.3'));
    const stored = await partsOf(await api.call('/dicom-web/studies/1.2.3', { headers: { Accept: `${type}; transfer-syntax=*` } }));
    const other = await partsOf(await api.call('/dicom-web/studies/1.2.3', { headers: { Accept: `${type}; transfer-syntax=${rle}` } }));
    const preferred = await partsOf(await api.call('/dicom-web/studies/1.2.3', { headers: { Accept: `${type}; transfer-syntax=${rle};q=0.2, ${type}; transfer-syntax=1.2.840.10008.1.2.4.50, ${type}; transfer-syntax=${jpegLs}; q=0.4` } }));

    assert.deepEqual(plain, [anImage(image)]);
    assert.match(stored[0]?.headers ?? '', new RegExp(`transfer-syntax=${jpegLs}\r\n`));
    assert.match(other[0]?.headers ?? '', new RegExp(`transfer-syntax=${rle}\r\n`));
    assert.match(preferred[0]?.headers ?? '', new RegExp(`transfer-syntax=${jpegLs}\r\n`));
    assert.deepEqual(await codecs.transcode(other[0]!.body, explicitLE), plain[0]);
  });
});

/** The same file with its one frame in fragments of a few bytes. */
function inFragments(file: Buffer, bytes: number): Buffer {
  const start = file.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff])) + 12;
  const frameAt = start + 12;
  const length = file.readUInt32LE(frameAt + 4);
  const item = (value: Buffer): Buffer => {
    const header = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    header.writeUInt32LE(value.length, 4);
    return Buffer.concat([header, value]);
  };
  const frame = file.subarray(frameAt + 8, frameAt + 8 + length);
  const fragments = Array.from({ length: Math.ceil(length / bytes) }, (_, each) => item(frame.subarray(each * bytes, (each + 1) * bytes)));
  return Buffer.concat([file.subarray(0, start), item(Buffer.alloc(0)), ...fragments, file.subarray(frameAt + 8 + length)]);
}
