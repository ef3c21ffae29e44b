import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { deflateRawSync } from 'node:zlib';
import { parseDicomXml } from '../../../api/dicomweb/store/parseDicomXml.ts';
import { packKey } from '../../../domain/keys.ts';
import { encodeFileMeta, parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { MemoryArchive } from '../../../stores/memory/memoryStores.ts';
import { deflated, explicitBE, explicitLE, implicitLE, jpegBaseline } from '../dicom/dataSetBytes.ts';
import { aFile, anApi, partsOf, stow, type Api } from './support.ts';

const dicomParts = 'multipart/related; type="application/dicom"';
const asStored = `${dicomParts}; transfer-syntax=*`;

/** Counts ranged reads, and streams in small pieces so that a reader can stop half-way. */
class CountingArchive extends MemoryArchive {
  readonly ranges: (readonly [number, number])[] = [];
  readonly streams: Readable[] = [];
  pieceBytes = 1024 * 1024;
  pauseMs = 0;

  override async readRange(...[pack, offset, length, signal]: [...Parameters<MemoryArchive['readRange']>, AbortSignal?]): Promise<Readable> {
    this.ranges.push([offset, length]);
    const bytes = Buffer.concat(await Array.fromAsync(await super.readRange(pack, offset, length))) as Buffer;
    const { pieceBytes, pauseMs } = this;
    const stream = Readable.from((async function* () {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        if (pauseMs) await sleep(pauseMs);
        yield bytes.subarray(at, at + pieceBytes);
      }
    })(), { objectMode: false });
    signal?.addEventListener('abort', () => stream.destroy());
    this.streams.push(stream);
    return stream;
  }
}

describe('api: retrieve (WADO-RS)', () => {
  let api: Api;
  let archive: CountingArchive;
  beforeEach(async () => {
    archive = new CountingArchive();
    api = await anApi({ archive });
  });
  afterEach(() => api.close());

  const get = (at: string, headers: Record<string, string> = {}): Promise<Response> => api.call(`/dicom-web${at}`, { headers, roles: ['viewer'] });

  it('gives back every byte of a study, a series and an instance, by one read for a pack', async () => {
    const files = Array.from({ length: 5 }, (_, at) => aFile({ instance: `1.2.3.1.${at + 1}`, instanceNumber: String(at + 1) }));
    const other = aFile({ series: '1.2.3.2', instance: '1.2.3.2.1' });
    await stow(api, [...files, other]);

    const study = await partsOf(await get('/studies/1.2.3', { Accept: asStored }));
    const reads = archive.ranges.length;
    const series = await partsOf(await get('/studies/1.2.3/series/1.2.3.1', { Accept: dicomParts }));
    const instance = await partsOf(await get('/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2'));
    const single = await get('/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2', { Accept: 'application/dicom' });

    assert.deepEqual(study.map(({ body }) => body), [...files, other]);
    assert.equal(reads, 2);
    assert.deepEqual(series.map(({ body }) => body), files);
    assert.deepEqual(instance.map(({ body }) => body), [files[1]]);
    assert.match(study[0]?.headers ?? '', /Content-Type: application\/dicom; transfer-syntax=1\.2\.840\.10008\.1\.2\.1\r\nContent-Location: http:\/\/.*\/studies\/1\.2\.3\/series\/1\.2\.3\.1\/instances\/1\.2\.3\.1\.1\r\n/);
    assert.equal(single.headers.get('Content-Type'), 'application/dicom; transfer-syntax=1.2.840.10008.1.2.1');
    assert.deepEqual(Buffer.from(await single.arrayBuffer()), files[1]);
  });

  it('answers 404 for what is unknown, 400 for what is no UID', async () => {
    await stow(api, [aFile()]);
    for (const at of ['/studies/9.9', '/studies/1.2.3/series/9.9', '/studies/1.2.3/series/1.2.3.1/instances/9.9', '/studies/9.9/metadata', '/studies/1.2.3/series/9.9/metadata']) assert.equal((await get(at)).status, 404, at);
    for (const at of ['/studies/x', '/studies/1.2.3/series/a%2fb', `/studies/${'1'.repeat(65)}`, '/studies/1..2/metadata']) assert.equal((await get(at)).status, 400, at);
  });

  it('answers 304 to who holds it, until the study grows', async () => {
    await stow(api, [aFile()]);
    for (const at of ['/studies/1.2.3', '/studies/1.2.3/metadata']) {
      const etag = (await get(at)).headers.get('ETag') ?? '';
      assert.equal((await get(at, { 'If-None-Match': etag })).status, 304);
      await stow(api, [aFile({ instance: `1.2.3.1.${at.length}` })]);
      assert.equal((await get(at, { 'If-None-Match': etag })).status, 200);
    }
    const at = '/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1';
    const etag = (await get(at, { Accept: 'application/dicom' })).headers.get('ETag') ?? '';
    assert.equal((await get(at, { Accept: 'application/dicom', 'If-None-Match': etag })).status, 304);
  });

  for (const [name, uid] of [['Implicit VR Little Endian', implicitLE], ['Explicit VR Big Endian', explicitBE]] as const) {
    it(`gives what is stored in ${name} as Explicit VR Little Endian, and as stored when asked for`, async () => {
      const pixels = Buffer.from('0001020304050607080910111213141516171819202122232425262728293031'.slice(0, 64), 'hex');
      const options = { pixels, extra: [{ tag: 0x00081140, vr: 'SQ', value: [[{ tag: 0x00081155, vr: 'UI', value: '1.9' }]] }] };
      const swapped = Buffer.from(pixels).swap16();
      await stow(api, [aFile({ ...options, pixels: uid === explicitBE ? swapped : pixels, transferSyntaxUID: uid })]);

      const [given] = await partsOf(await get('/studies/1.2.3'));
      const [stored] = await partsOf(await get('/studies/1.2.3', { Accept: asStored }));
      const [explicit] = await partsOf(await get('/studies/1.2.3', { Accept: `${dicomParts}; transfer-syntax=${explicitLE}` }));

      const expected = aFile({ ...options, extra: [{ ...options.extra[0]!, undefinedLength: true }] });
      assert.deepEqual(given?.body, expected);
      assert.deepEqual(explicit?.body, expected);
      assert.equal((parseFileMeta(stored!.body) as { transferSyntaxUID: string }).transferSyntaxUID, uid);
    });
  }

  it('inflates what is stored deflated', async () => {
    const plain = aFile();
    const meta = parseFileMeta(plain) as { dataSetOffsetBytes: number };
    const ids = { sopClassUID: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUID: '1.2.3.1.1' };
    await stow(api, [Buffer.concat([encodeFileMeta({ ...ids, transferSyntaxUID: deflated }), deflateRawSync(plain.subarray(meta.dataSetOffsetBytes))])]);

    assert.deepEqual((await partsOf(await get('/studies/1.2.3')))[0]?.body, plain);
  });

  it('gives Implicit VR Little Endian to who asks for it, and to nobody else', async () => {
    const pixels = Buffer.alloc(32, 7);
    await stow(api, [aFile({ pixels })]);
    const uri = '/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.1&objectUID=1.2.3.1.1&contentType=application/dicom';

    const [part] = await partsOf(await get('/studies/1.2.3', { Accept: `${dicomParts}; transfer-syntax=${implicitLE}` }));
    const [byDefault] = await partsOf(await get('/studies/1.2.3'));
    const file = await api.call(`${uri}&transferSyntax=${implicitLE}`);

    assert.deepEqual(part?.body, aFile({ pixels, transferSyntaxUID: implicitLE }));
    assert.deepEqual(byDefault?.body, aFile({ pixels }));
    assert.deepEqual(Buffer.from(await file.arrayBuffer()), part?.body);
  });

  it('answers 406 when nothing fits, 206 with a warning when some instances do not', async () => {
    await stow(api, [aFile(), aFile({ instance: '1.2.3.1.2', transferSyntaxUID: explicitBE })]);
    const one = '/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1';

    const some = await get('/studies/1.2.3', { Accept: `${dicomParts}; transfer-syntax=${explicitBE}` });

    assert.equal(some.status, 206);
    assert.match(some.headers.get('Warning') ?? '', /^299 pacs "1 instances are not available/);
    assert.equal((await partsOf(some)).length, 1);
    for (const accept of [`${dicomParts}; transfer-syntax=${jpegBaseline}`, 'text/html', 'multipart/related; type="image/jpeg"', 'application/dicom']) assert.equal((await get('/studies/1.2.3', { Accept: accept })).status, 406, accept);
    assert.equal((await get(one, { Accept: `${dicomParts}; transfer-syntax=1.2, ${dicomParts};transfer-syntax=${explicitLE};q=0.1` })).status, 200);
  });

  it('breaks off a single instance whose bytes were changed in the archive', async () => {
    await stow(api, [aFile()]);
    const [tar] = [...archive.packs.values()] as [Buffer];
    const first = [...archive.indexes.values()][0]!.instances[0]!;
    tar[first.offsetBytes + first.lengthBytes - 1] = (tar[first.offsetBytes + first.lengthBytes - 1] ?? 0) ^ 1;

    for (const Accept of ['application/dicom', dicomParts]) {
      const response = await get('/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1', { Accept }).catch(() => undefined);
      if (response?.status === 200) await assert.rejects(response.arrayBuffer());
      else assert.equal(response?.status ?? 500, 500);
    }
  });

  it('stops reading the archive when the client goes away', async () => {
    await stow(api, [aFile({ pixels: Buffer.alloc(8 * 1024 * 1024) })]);
    archive.pieceBytes = 64 * 1024;
    archive.pauseMs = 5;
    const client = new AbortController();

    const response = await api.call('/dicom-web/studies/1.2.3', { signal: client.signal });
    await response.body!.getReader().read();
    client.abort();

    const [stream] = archive.streams as [Readable];
    if (!stream.closed) await once(stream, 'close');
    assert.ok(!stream.readableEnded);
  });

  it('breaks the connection off when the archive fails after the first byte', async () => {
    await stow(api, [aFile({ pixels: Buffer.alloc(3 * 1024 * 1024) })]);
    archive.readRange = async () => Readable.from((async function* () {
      yield Buffer.alloc(1024 * 1024);
      throw new Error('the archive went away');
    })(), { objectMode: false });

    const response = await get('/studies/1.2.3', { Accept: asStored });

    assert.equal(response.status, 200);
    await assert.rejects(response.arrayBuffer());
  });

  it('answers a problem document when the archive fails before', async () => {
    await stow(api, [aFile()]);
    archive.readRange = () => Promise.reject(Object.assign(new Error('secret'), { code: 'ECONNREFUSED' }));

    const response = await get('/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1', { Accept: 'application/dicom' });

    assert.equal(response.status, 503);
    assert.equal(response.headers.get('Retry-After'), '5');
    assert.doesNotMatch(await response.text(), /secret/);
  });

  it('gives metadata in XML, a part an instance, with what the JSON says', async () => {
    await stow(api, [aFile({ patientName: 'Doe^Jane' }), aFile({ series: '1.2.3.2', instance: '1.2.3.2.1' })]);
    const xml = { Accept: 'multipart/related; type="application/dicom+xml", application/dicom+json;q=0.5' };
    const json = await get('/studies/1.2.3/metadata');
    const response = await get('/studies/1.2.3/metadata', xml);
    const parts = await partsOf(response);

    assert.deepEqual(parts.map(({ body }) => parseDicomXml(body.toString('utf8'))), await json.json());
    assert.match(parts[0]?.headers ?? '', /Content-Type: application\/dicom\+xml\r\nContent-Location: http\S+\/studies\/1\.2\.3\/series\//);
    assert.match(parts[0]?.body.toString() ?? '', /<BulkData uri="http/);
    assert.notEqual(response.headers.get('ETag'), json.headers.get('ETag'));
    assert.equal((await get('/studies/1.2.3/metadata', { ...xml, 'If-None-Match': response.headers.get('ETag')! })).status, 304);
    assert.equal((await get('/studies/9.9/metadata', xml)).status, 404);
    assert.equal((await get('/studies/1.2.3/metadata', { Accept: 'application/xml' })).status, 406);
  });

  it('gives metadata of every level with bulk data URLs that lead to the bytes, whole and in part', async () => {
    const pixels = Buffer.from(Array.from({ length: 4096 }, (_, at) => at % 251));
    const files = [aFile({ pixels }), aFile({ series: '1.2.3.2', instance: '1.2.3.2.1' })];
    await stow(api, files);
    const all = await (await get('/studies/1.2.3/metadata')).json() as Record<string, { vr: string; Value?: unknown[]; BulkDataURI?: string }>[];
    const [one] = await (await get('/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/metadata')).json() as typeof all;
    const url = one?.['7FE00010']?.BulkDataURI ?? '';
    const at = url.slice(`${api.url}/tenants/demo`.length);

    const whole = await api.call(at);
    const part = await api.call(at, { headers: { Range: 'bytes=10-19' } });
    const tail = await api.call(at, { headers: { Range: 'bytes=-4' } });

    assert.equal(all.length, 2);
    assert.deepEqual(one?.['00083002']?.Value, [explicitLE]);
    assert.equal(one?.['7FE00010']?.Value, undefined);
    assert.deepEqual(Buffer.from(await whole.arrayBuffer()), pixels);
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('Content-Range'), 'bytes 10-19/4096');
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), pixels.subarray(10, 20));
    assert.deepEqual(Buffer.from(await tail.arrayBuffer()), pixels.subarray(-4));
    assert.equal((await api.call(at, { headers: { Range: 'bytes=9999-' } })).status, 416);
    assert.equal((await api.call(at.replace('7FE00010', '00100010'))).status, 404);
    assert.equal((await api.call(at.replace('7FE00010', '7FE00010/0/1'))).status, 400);
  });

  it('lays a pack that tar readers and every digest in it agree with', async () => {
    const files = [aFile(), aFile({ instance: '1.2.3.1.2' })];
    await stow(api, files);
    const [index] = [...archive.indexes.values()];
    const tar = archive.packs.get(packKey(index!, 'tar'))!;

    for (const [at, { offsetBytes, lengthBytes, sha256 }] of index!.instances.entries()) {
      const bytes = tar.subarray(offsetBytes, offsetBytes + lengthBytes);
      assert.deepEqual(bytes, files[at]);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
    }
    assert.equal(tar.length % 512, 0);
    assert.equal(tar.length, index!.lengthBytes);
  });
});
