import assert from 'node:assert/strict';
import sharp from 'sharp';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { encode, explicitLE, layoutOf, type Element } from '../dicom/dataSetBytes.ts';
import { aFile, anApi, anImage, partsOf, stow, type Api } from './support.ts';

const at = '/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1';
const pdfStorage = '1.2.840.10008.5.1.4.1.1.104.1';
/** Sixteen values from 0 to 3000. */
const pixels = Buffer.from(new Uint16Array(Array.from({ length: 16 }, (_, each) => each * 200)).buffer);

describe('api: rendered pictures (WADO-RS, WADO-URI)', () => {
  let api: Api;
  beforeEach(async () => { api = await anApi(); });
  afterEach(() => api.close());
  const get = (path: string, accept?: string): Promise<Response> => api.call(path, { headers: accept === undefined ? {} : { Accept: accept }, roles: ['viewer'] });
  const grey = async (response: Response): Promise<readonly number[]> => [...await sharp(Buffer.from(await response.arrayBuffer())).toColourspace('b-w').raw().toBuffer()];

  it('shows the window asked for, and from least to greatest without one', async () => {
    await stow(api, [aFile({ pixels })]);

    const plain = await get(`${at}/rendered`, 'image/png');
    const windowed = await get(`${at}/frames/1/rendered?window=1500,1001,linear`, 'image/png');

    assert.deepEqual([plain.status, plain.headers.get('Content-Type')], [200, 'image/png']);
    assert.deepEqual(await grey(plain), Array.from({ length: 16 }, (_, each) => Math.round(each * 17)));
    const expected = Array.from({ length: 16 }, (_, each) => Math.round(Math.min(255, Math.max(0, ((each * 200 - 1499.5) / 1000 + 0.5) * 255))));
    assert.deepEqual(await grey(windowed), expected);
  });

  it('gives JPEG by default, PNG and GIF when asked, in the size of the viewport', async () => {
    await stow(api, [aFile({ pixels })]);

    const sizes: unknown[] = [];
    for (const [path, accept] of [['/rendered', undefined], ['/rendered?viewport=20,10', 'image/png'], ['/rendered?viewport=8,8,0,0,2,2', 'image/gif'], ['/thumbnail', '*/*'], ['/thumbnail?viewport=2,2', 'image/jpeg']] as const) {
      const { format, width, height } = await sharp(Buffer.from(await (await get(`${at}${path}`, accept)).arrayBuffer())).metadata();
      sizes.push([format, width, height]);
    }

    assert.deepEqual(sizes, [['jpeg', 4, 4], ['png', 10, 10], ['gif', 8, 8], ['jpeg', 4, 4], ['jpeg', 2, 2]]);
  });

  it('shows the part that the viewport names, flipped where it is negative', async () => {
    await stow(api, [aFile({ pixels })]);
    const rows: readonly (readonly [viewport: string, values: readonly number[]])[] = [
      ['2,2,0,0,2,2', [0, 1, 4, 5]], ['2,2,2,2,,', [10, 11, 14, 15]], ['4,4,,,,', Array.from({ length: 16 }, (_, each) => each)], ['2,2,1.4,0.6,2.0,2.0', [5, 6, 9, 10]],
      ['2,2,0,0,-2,2', [1, 0, 5, 4]], ['2,2,0,0,2,-2', [4, 5, 0, 1]], ['2,2,0,0,-2,-2', [5, 4, 1, 0]], ['2,2,2,2,9,9', [10, 11, 14, 15]],
    ];
    for (const [viewport, values] of rows) assert.deepEqual(await grey(await get(`${at}/rendered?viewport=${viewport}`, 'image/png')), values.map((value) => value * 17), viewport);
    for (const viewport of ['2,2,-1,0,1,1', '2,2,0,0,0,1', '2,2,,', '2,2,a,b,c,d', '2,2,1e3,0,1,1', '-2,2', '2.5,2']) assert.equal((await get(`${at}/rendered?viewport=${viewport}`)).status, 400, viewport);
  });

  it('gives an instance of several frames as a GIF that moves, at its pace', async () => {
    const frames = Buffer.concat([0, 1000, 3000].map((value) => Buffer.from(Uint16Array.from({ length: 16 }, (_, each) => (each === 0 ? 3000 : each === 1 ? 0 : value)).buffer)));
    await stow(api, [anImage({ rows: 4, columns: 4, frames: 3, bits: 16, pixels: frames, extra: [{ tag: 0x00281050, vr: 'DS', value: '1500' }, { tag: 0x00281051, vr: 'DS', value: '3000' }], timing: [{ tag: 0x00181063, vr: 'DS', value: '40' }] })]);

    const film = Buffer.from(await (await get(`${at}/rendered?viewport=8,8`, 'image/gif')).arrayBuffer());
    const still = Buffer.from(await (await get(`${at}/frames/2/rendered`, 'image/gif')).arrayBuffer());
    const { format, pages, delay, loop, width, pageHeight } = await sharp(film, { animated: true }).metadata();
    const middles = await Promise.all([0, 1, 2].map(async (page) => (await sharp(film, { page }).removeAlpha().toColourspace('b-w').raw().toBuffer())[63]!));

    assert.deepEqual({ format, pages, delay, loop, width, pageHeight }, { format: 'gif', pages: 3, delay: [40, 40, 40], loop: 0, width: 8, pageHeight: 8 });
    for (const [page, expected] of [0, 85, 255].entries()) assert.ok(Math.abs(middles[page]! - expected) < 8, `${middles}`);
    assert.equal((await sharp(still).metadata()).pages ?? 1, 1);
    assert.equal((await get(`${at}/rendered`)).headers.get('Content-Type'), 'image/jpeg');
    assert.equal((await partsOf(await get(`${at}/rendered`, 'multipart/related; type="image/gif"'))).length, 3);
  });

  it('gives a picture of each instance of a series and a study, and one thumbnail', async () => {
    await stow(api, [aFile({ pixels }), aFile({ instance: '1.2.3.1.2', instanceNumber: '2', pixels }), aFile({ series: '1.2.3.2', instance: '1.2.3.2.1', pixels })]);

    const series = await partsOf(await get('/dicom-web/studies/1.2.3/series/1.2.3.1/rendered'));
    const study = await partsOf(await get('/dicom-web/studies/1.2.3/rendered', 'multipart/related; type="image/png"'));
    const thumbnail = await get('/dicom-web/studies/1.2.3/thumbnail');

    assert.equal(series.length, 2);
    assert.equal(study.length, 3);
    assert.match(study[2]?.headers ?? '', /Content-Type: image\/png\r\nContent-Location: .*\/instances\/1\.2\.3\.2\.1\/rendered\r\n/);
    assert.equal(thumbnail.headers.get('Content-Type'), 'image/jpeg');
  });

  it('answers 400 for parameters that are wrong, 406 for types it has not, 404 for what is not there', async () => {
    await stow(api, [aFile({ pixels })]);

    for (const query of ['window=1', 'window=1,0,linear', 'window=a,b,linear', 'window=1,2,cubic', 'viewport=0,1', 'viewport=1', 'viewport=99999,1', 'viewport=1,2,3', 'quality=0', 'quality=101', 'quality=x']) {
      assert.equal((await get(`${at}/rendered?${query}`)).status, 400, query);
    }
    for (const accept of ['image/tiff', 'video/mp4', 'application/dicom']) assert.equal((await get(`${at}/rendered`, accept)).status, 406, accept);
    for (const path of [`${at}/frames/2/rendered`, '/dicom-web/studies/9.9/rendered', '/dicom-web/studies/9.9/thumbnail', `${at}/frames/2/thumbnail`]) assert.equal((await get(path)).status, 404, path);
    assert.match((await get(`${at}/rendered?annotation=patient&iccprofile=srgb`)).headers.get('Warning') ?? '', /annotation, iccprofile/);
  });

  it('answers 304 to who holds the picture', async () => {
    await stow(api, [aFile({ pixels })]);
    for (const path of [`${at}/rendered`, `${at}/thumbnail`, '/dicom-web/studies/1.2.3/rendered']) {
      const etag = (await get(path)).headers.get('ETag') ?? '';
      assert.equal((await api.call(path, { headers: { 'If-None-Match': etag } })).status, 304, path);
    }
  });

  it('gives an encapsulated document as it is, and lets no script of it run', async () => {
    const document = Buffer.from('%PDF-1.4 hello');
    const elements: Element[] = [
      { tag: 0x00080016, vr: 'UI', value: pdfStorage }, { tag: 0x00080018, vr: 'UI', value: '1.2.3.1.1' }, { tag: 0x0020000d, vr: 'UI', value: '1.2.3' },
      { tag: 0x0020000e, vr: 'UI', value: '1.2.3.1' }, { tag: 0x00420011, vr: 'OB', value: document }, { tag: 0x00420012, vr: 'LO', value: 'application/pdf' },
    ];
    await stow(api, [Buffer.concat([encodeFileMeta({ sopClassUID: pdfStorage, sopInstanceUID: '1.2.3.1.1', transferSyntaxUID: explicitLE }), encode(elements, layoutOf(explicitLE))])]);

    const response = await get(`${at}/rendered`);

    assert.equal(response.status, 200, response.status === 200 ? '' : await response.clone().text());
    assert.equal(response.headers.get('Content-Type'), 'application/pdf');
    assert.match(response.headers.get('Content-Security-Policy') ?? '', /sandbox/);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), document);
    assert.equal((await get(`${at}/rendered`, 'image/jpeg')).status, 406);
  });

  it('answers WADO-URI: a file, a picture, and 400 for what is missing', async () => {
    const file = aFile({ pixels });
    await stow(api, [file]);
    const uri = '/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.1&objectUID=1.2.3.1.1';

    const dicom = await get(`${uri}&contentType=application%2Fdicom`);
    const jpeg = await get(uri);
    const png = await get(`${uri}&contentType=image/png&windowCenter=1500&windowWidth=1001&rows=2&columns=2`);

    assert.equal(dicom.headers.get('Content-Type'), 'application/dicom');
    assert.deepEqual(Buffer.from(await dicom.arrayBuffer()), file);
    assert.equal(jpeg.headers.get('Content-Type'), 'image/jpeg');
    assert.deepEqual((await sharp(Buffer.from(await png.arrayBuffer())).metadata()).width, 2);
    for (const wrong of [uri.replace('WADO&', 'X&'), uri.replace('objectUID', 'x'), uri.replace('1.2.3.1.1', 'a'), `${uri}&rows=0`, `${uri}&windowCenter=1`, `${uri}&imageQuality=0`, `${uri}&frameNumber=x`]) assert.equal((await get(wrong)).status, 400, wrong);
    for (const missing of [uri.replace('1.2.3.1.1', '9.9'), `${uri}&frameNumber=2`]) assert.equal((await get(missing)).status, 404, missing);
    assert.equal((await get(`${uri}&contentType=text/html`)).status, 406);
  });
});
