import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import { createTranscoder, type Transcoder } from '../../../codecs/transcoder.ts';
import { encodeFileMeta, parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { deflated, explicitBE, type Element } from '../dicom/dataSetBytes.ts';
import { aFile, anApi, anImage, partsOf, stow, type Api } from './support.ts';

const jpegLs = '1.2.840.10008.1.2.4.80';
const instance = '/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1';
const octets = 'multipart/related; type="application/octet-stream"';
const ramp = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, at) => (at * 11) % 253));

describe('api: bulk data (WADO-RS)', () => {
  const pixels = ramp(6 * 5 * 2 * 4);
  const frame = (number: number): Buffer => pixels.subarray((number - 1) * 60, number * 60);
  const waveform = ramp(3000);
  /** A waveform in an item of a sequence, longer than what stands in the metadata. */
  const nested = (value: Buffer): Element => ({ tag: 0x54000100, vr: 'SQ', value: [[{ tag: 0x54001010, vr: 'OW', value: Buffer.alloc(4) }], [{ tag: 0x54001010, vr: 'OW', value }]] });
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
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => api.call(path, { headers, roles: ['viewer'] });
  const bytes = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
  const bodies = async (response: Response): Promise<readonly Buffer[]> => (await partsOf(response)).map(({ body }) => body);

  it('gives a value in an item, alone and in an envelope, by the URL of the metadata', async () => {
    await stow(api, [anImage({ ...image, extra: [nested(waveform)] })]);
    const [metadata] = await (await get(`${instance}/metadata`)).json() as Record<string, { readonly Value?: readonly Record<string, { readonly BulkDataURI?: string }>[] }>[];
    const url = metadata!['54000100']!.Value![1]!['54001010']!.BulkDataURI!;

    assert.equal(url, `${api.url}/tenants/demo${instance}/bulkdata/54000100/2/54001010`);
    const at = url.slice(`${api.url}/tenants/demo`.length);
    assert.deepEqual(await bytes(await get(at)), waveform);
    const [part] = await partsOf(await get(at, { Accept: octets }));
    assert.deepEqual(part?.body, waveform);
    assert.ok(part?.headers.includes(`Content-Location: ${url}`));
    assert.equal((await get(at.replace('/2/', '/3/'))).status, 404);
    assert.equal((await get(at, { Accept: 'image/jpeg' })).status, 406);
  });

  it('gives values of big endian and deflated data sets as Explicit VR Little Endian has them', async () => {
    const plain = anImage({ ...image, extra: [nested(waveform)] });
    const ids = { sopClassUID: '1.2.840.10008.5.1.4.1.1.7', sopInstanceUID: '1.2.3.1.1', transferSyntaxUID: deflated };
    const small = Buffer.concat([encodeFileMeta(ids), deflateRawSync(plain.subarray((parseFileMeta(plain) as { dataSetOffsetBytes: number }).dataSetOffsetBytes))]);
    const swapped = (value: Buffer): Buffer => Buffer.from(value).swap16();
    for (const file of [anImage({ ...image, transferSyntaxUID: explicitBE, pixels: swapped(pixels), extra: [nested(swapped(waveform))] }), small]) {
      const own = await anApi();
      await stow(own, [file]);

      assert.deepEqual(await bytes(await own.call(`${instance}/bulkdata/7FE00010`)), pixels);
      assert.deepEqual(await bytes(await own.call(`${instance}/bulkdata/54000100/2/54001010`, { headers: { Range: 'bytes=100-199' } })), waveform.subarray(100, 200));
      assert.deepEqual(await bodies(await own.call(`${instance}/bulkdata`, { headers: { Accept: octets } })), [waveform, pixels]);
      await own.close();
    }
  });

  it('gives compressed Pixel Data decoded as one value, and frame by frame as stored or decoded', async () => {
    const file = await codecs.transcode(anImage(image), jpegLs);
    await stow(api, [file]);
    const at = `${instance}/bulkdata/7FE00010`;

    const decoded = await get(at, { Accept: 'application/octet-stream' });
    const stored = await get(at, { Accept: 'multipart/related; type="image/jls"' });
    const parts = await partsOf(stored);

    assert.deepEqual(await bytes(decoded), pixels);
    assert.equal(decoded.headers.get('Accept-Ranges'), 'none');
    assert.deepEqual(await bodies(await get(at, { Accept: octets })), [1, 2, 3, 4].map(frame));
    assert.deepEqual(await bodies(await get(at)), [1, 2, 3, 4].map(frame));
    assert.match(stored.headers.get('Content-Type')!, /type="image\/jls"/);
    assert.match(parts[3]!.headers, new RegExp(`^Content-Type: image/jls; transfer-syntax=${jpegLs}\r\nContent-Location: .*/frames/4\r\n`));
    assert.ok(parts.every(({ body }) => file.includes(body)));
    assert.equal((await get(at, { Accept: 'image/png' })).status, 406);
    assert.equal((await get(at, { 'If-None-Match': (await get(at)).headers.get('ETag')! })).status, 304);
  });

  it('gives all bulk data, or all Pixel Data, of an instance, a series and a study', async () => {
    await stow(api, [anImage({ ...image, extra: [nested(waveform)] }), await codecs.transcode(anImage({ ...image, instance: '1.2.3.1.2' }), jpegLs), aFile({ series: '1.2.3.2', instance: '1.2.3.2.1', pixels: pixels.subarray(0, 32) })]);
    const frames = [1, 2, 3, 4].map(frame);

    assert.deepEqual(await bodies(await get(`${instance}/bulkdata`)), [waveform, pixels]);
    assert.deepEqual(await bodies(await get(`${instance}/pixeldata`)), [pixels]);
    assert.deepEqual(await bodies(await get('/dicom-web/studies/1.2.3/series/1.2.3.1/pixeldata', { Accept: octets })), [pixels, ...frames]);
    const study = await get('/dicom-web/studies/1.2.3/bulkdata', { Accept: octets });
    assert.equal(study.status, 200);
    assert.deepEqual(await bodies(study), [waveform, pixels, ...frames, pixels.subarray(0, 32)]);
    assert.equal((await get('/dicom-web/studies/1.2.3/bulkdata', { Accept: octets, 'If-None-Match': study.headers.get('ETag')! })).status, 304);
  });

  it('answers 206 with a warning when some frames cannot be given as asked, 406 when none, 404 when there is nothing', async () => {
    const file = anImage(image);
    const compressed = await codecs.transcode(anImage({ ...image, instance: '1.2.3.1.3' }), jpegLs);
    const ids = { sopClassUID: '1.2.840.10008.5.1.4.1.1.7', sopInstanceUID: '1.2.3.1.3', transferSyntaxUID: '1.2.840.10008.1.2.4.102' };
    const video = Buffer.concat([encodeFileMeta(ids), compressed.subarray((parseFileMeta(compressed) as { dataSetOffsetBytes: number }).dataSetOffsetBytes)]);
    await stow(api, [file, video]);

    const some = await get('/dicom-web/studies/1.2.3/pixeldata', { Accept: octets });
    assert.equal(some.status, 206);
    assert.match(some.headers.get('Warning')!, /^299 pacs "1 instances are not available/);
    assert.deepEqual(await bodies(some), [pixels]);
    assert.equal((await get('/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.3/pixeldata', { Accept: octets })).status, 406);
    assert.equal((await get('/dicom-web/studies/1.2.3/bulkdata', { Accept: 'application/octet-stream' })).status, 406);
    assert.equal((await get('/dicom-web/studies/9.9/bulkdata')).status, 404);
    assert.equal((await get('/dicom-web/studies/x/pixeldata')).status, 400);
  });

  it('reads ranges as RFC 9110 has them, and If-Range', async () => {
    await stow(api, [anImage(image)]);
    const at = `${instance}/bulkdata/7FE00010`;
    const etag = (await get(at)).headers.get('ETag')!;
    const rows: readonly (readonly [range: string, status: number, from: number, to: number])[] = [
      ['bytes=0-0', 206, 0, 1], ['bytes=10-', 206, 10, 240], ['bytes=-5', 206, 235, 240], ['bytes=-500', 206, 0, 240], ['bytes=200-9999', 206, 200, 240],
      ['bytes=9-5', 200, 0, 240], ['bytes=0-1,5-6', 200, 0, 240], ['lines=1-2', 200, 0, 240], ['bytes=', 200, 0, 240], ['bytes=a-b', 200, 0, 240],
    ];
    for (const [Range, status, from, to] of rows) {
      const response = await get(at, { Range });
      assert.equal(response.status, status, Range);
      assert.deepEqual(await bytes(response), pixels.subarray(from, to), Range);
      assert.equal(response.headers.get('Content-Range'), status === 206 ? `bytes ${from}-${to - 1}/240` : null);
    }
    for (const Range of ['bytes=240-', 'bytes=-0']) assert.equal((await get(at, { Range })).status, 416, Range);
    assert.equal((await get(at, { Range: 'bytes=0-9', 'If-Range': etag })).status, 206);
    assert.equal((await get(at, { Range: 'bytes=0-9', 'If-Range': '"another"' })).status, 200);
    assert.equal((await get(at, { Range: 'bytes=0-9', 'If-None-Match': etag })).status, 304);
    assert.equal((await api.call(at, { method: 'HEAD' })).headers.get('Content-Length'), '240');
  });
});
