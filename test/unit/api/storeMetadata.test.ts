import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { DicomJson } from '../../../dicom/json.ts';
import { stringifyDicomXml } from '../../../dicom/xml.ts';
import { anApi, partsOf, valuesIn, type Api } from './support.ts';

type Answer = Parameters<typeof valuesIn>[0];
interface BodyPart { readonly type: string; readonly location?: string; readonly body: Buffer | string }

const ct = '1.2.840.10008.5.1.4.1.1.2';
const pixelURI = 'bulk/1/pixels';

/** An image as metadata; its pixels are at a location. */
const anImage = (instance = '1.2.3.1.1', more: DicomJson = {}): DicomJson => ({
  '00080005': { vr: 'CS', Value: ['ISO_IR 100'] }, '00080016': { vr: 'UI', Value: [ct] }, '00080018': { vr: 'UI', Value: [instance] }, '00080060': { vr: 'CS', Value: ['CT'] },
  '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Jürgen', Ideographic: '山田^太郎' }] }, '00100020': { vr: 'LO', Value: ['P1'] },
  '0020000D': { vr: 'UI', Value: ['1.2.3'] }, '0020000E': { vr: 'UI', Value: ['1.2.3.1'] }, '00280002': { vr: 'US', Value: [1] }, '00280004': { vr: 'CS', Value: ['MONOCHROME2'] },
  '00280010': { vr: 'US', Value: [4] }, '00280011': { vr: 'US', Value: [4] }, '00280100': { vr: 'US', Value: [16] }, '00280101': { vr: 'US', Value: [16] }, '00280102': { vr: 'US', Value: [15] }, '00280103': { vr: 'US', Value: [0] },
  '7FE00010': { vr: 'OW', BulkDataURI: pixelURI }, ...more,
});

describe('api: store metadata and bulk data (STOW-RS)', () => {
  let api: Api;
  beforeEach(async () => { api = await anApi(); });
  afterEach(() => api.close());

  const send = async (parts: readonly BodyPart[], type = 'application/dicom+json', at = '/dicom-web/studies'): Promise<{ readonly status: number; readonly answer: Answer }> => {
    const body = Buffer.concat([...parts.flatMap(({ type: own, location, body: bytes }) => [
      Buffer.from(`--b0undary\r\nContent-Type: ${own}\r\n${location === undefined ? '' : `Content-Location: ${location}\r\n`}\r\n`), Buffer.from(bytes), Buffer.from('\r\n'),
    ]), Buffer.from('--b0undary--\r\n')]);
    const response = await api.call(at, { method: 'POST', headers: { 'Content-Type': `multipart/related; type="${type}"; boundary=b0undary` }, body });
    return { status: response.status, answer: await response.json() as Answer };
  };
  const json = (dataSets: unknown): BodyPart => ({ type: 'application/dicom+json', body: JSON.stringify(dataSets) });
  const metadataOf = async (instance = '1.2.3.1.1'): Promise<DicomJson> =>
    (await (await api.call(`/dicom-web/studies/1.2.3/series/1.2.3.1/instances/${instance}/metadata`)).json() as readonly DicomJson[])[0]!;

  it('puts an instance together, pixels and text as they were', async () => {
    const pixels = randomBytes(32);

    const { status, answer } = await send([json([anImage()]), { type: 'application/octet-stream', location: pixelURI, body: pixels }]);

    assert.equal(status, 200);
    assert.deepEqual(valuesIn(answer, '00081199', '00081155'), ['1.2.3.1.1']);
    const stored = await metadataOf();
    assert.deepEqual(stored['00100010'], anImage()['00100010']);
    assert.deepEqual(stored['00080005']?.Value, ['ISO_IR 192']);
    const [file] = await partsOf(await api.call('/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1', { headers: { Accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' } }));
    assert.ok(file?.body.subarray(-32).equals(pixels));
    assert.deepEqual(await readdir(api.folder), []);
  });

  it('takes metadata in XML, each part a data set, and stores what the same in JSON stores', async () => {
    const xml = (dataSet: DicomJson): BodyPart => ({ type: 'application/dicom+xml', body: stringifyDicomXml(dataSet) });
    const more: DicomJson = { '00091001': { vr: 'LO', Value: ['Zoë'] }, '00090010': { vr: 'LO', Value: ['MAKER & SON'] }, '00280030': { vr: 'DS', Value: [0.5, 0.25] } };
    const pixels: BodyPart = { type: 'application/octet-stream', location: pixelURI, body: randomBytes(32) };

    const { status, answer } = await send([xml(anImage('1.2.3.1.1', more)), xml(anImage('1.2.3.1.2')), pixels], 'application/dicom+xml');
    const stored = await metadataOf();
    const again = await send([json([anImage('1.2.3.1.1', more)]), pixels]);

    assert.deepEqual([status, again.status], [200, 200]);
    assert.deepEqual(valuesIn(answer, '00081199', '00081155'), ['1.2.3.1.1', '1.2.3.1.2']);
    assert.deepEqual([stored['00100010'], stored['00091001'], stored['00090010'], stored['00280030']], [anImage()['00100010'], more['00091001'], more['00090010'], more['00280030']]);
  });

  it('answers 400 to XML that is none, or hostile, without its values', async () => {
    for (const body of ['<NativeDicomModel>Müller', '<!DOCTYPE NativeDicomModel [<!ENTITY a "Müller">]><NativeDicomModel/>', '<study name="Müller"/>']) {
      const { status, answer } = await send([{ type: 'application/dicom+xml', body }], 'application/dicom+xml');

      assert.equal(status, 400);
      assert.doesNotMatch(JSON.stringify(answer), /Müller|stack/);
    }
    assert.doesNotMatch(api.logLines.join('\n'), /Müller/);
    assert.equal(api.archive.packs.size, 0);
  });

  it('takes the same again as a duplicate', async () => {
    const parts = [json([anImage()]), { type: 'application/octet-stream', location: pixelURI, body: Buffer.alloc(32, 1) }];

    const statuses = [(await send(parts)).status, (await send(parts)).status];

    assert.deepEqual(statuses, [200, 200]);
    assert.equal(api.archive.indexes.size, 1);
  });

  it('takes bulk data before the metadata, by an absolute location, and for two attributes', async () => {
    const image = anImage('1.2.3.1.1', { '00420011': { vr: 'OB', BulkDataURI: `http://other.example/${pixelURI}` }, '7FE00010': { vr: 'OW', BulkDataURI: `/${pixelURI}` } });

    const { status } = await send([{ type: 'application/octet-stream', location: `http://other.example/${pixelURI}`, body: Buffer.alloc(32, 7) }, json([image])]);

    assert.equal(status, 200);
  });

  it('encapsulates compressed pixels, a part a frame', async () => {
    const frames = [randomBytes(101), randomBytes(50)];
    const image = anImage('1.2.3.1.1', { '00280008': { vr: 'IS', Value: [2] }, '7FE00010': { vr: 'OB', BulkDataURI: pixelURI } });

    const { status } = await send([json([image]), ...frames.map((body) => ({ type: 'image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90', location: pixelURI, body }))]);

    assert.equal(status, 200);
    assert.deepEqual((await metadataOf())['00083002']?.Value, ['1.2.840.10008.1.2.4.90']);
    const [header] = [...api.archive.headers.values()].flat();
    assert.deepEqual(header?.pixelData?.frames?.map((fragments) => fragments.map(([, lengthBytes]) => lengthBytes)), [[102], [50]]);
  });

  it('fails the instance whose bulk data did not come, and stores its sibling', async () => {
    const { status, answer } = await send([json([anImage(), anImage('1.2.3.1.2', { '7FE00010': { vr: 'OW', BulkDataURI: 'elsewhere' } })]), { type: 'application/octet-stream', location: pixelURI, body: Buffer.alloc(32) }]);

    assert.equal(status, 202);
    assert.deepEqual(valuesIn(answer, '00081199', '00081155'), ['1.2.3.1.1']);
    assert.deepEqual(valuesIn(answer, '00081198', '00081155'), ['1.2.3.1.2']);
    assert.deepEqual(valuesIn(answer, '00081198', '00081197'), [0xa922]);
  });

  it('fails what cannot be written, what has no UIDs, and what is of another study', async () => {
    const { status, answer } = await send([json([
      anImage('1.2.3.1.3', { '00280010': { vr: 'US', Value: ['tall'] } }), { '00080060': { vr: 'CS' } }, anImage('1.2.3.1.4', { '0020000D': { vr: 'UI', Value: ['9.9'] } }),
    ]), { type: 'application/octet-stream', location: pixelURI, body: Buffer.alloc(32) }], 'application/dicom+json', '/dicom-web/studies/1.2.3');

    assert.equal(status, 409);
    assert.deepEqual(valuesIn(answer, '00081198', '00081197'), [0xa901, 0xc000]);
    assert.deepEqual(valuesIn(answer, '0008119A', '00081197'), [0xc000]);
  });

  const malformed: readonly (readonly [string, readonly BodyPart[]])[] = [
    ['text that is no JSON', [{ type: 'application/dicom+json', body: '[{' }]],
    ['metadata that is no array of data sets', [{ type: 'application/dicom+json', body: '["a"]' }]],
    ['a request without metadata', [{ type: 'application/octet-stream', location: pixelURI, body: 'x' }]],
    ['bulk data without a location', [json([anImage()]), { type: 'application/octet-stream', body: 'x' }]],
  ];
  for (const [what, parts] of malformed) {
    it(`answers 400 to ${what}, in words and without values`, async () => {
      const { status, answer } = await send(parts);

      assert.equal(status, 400);
      assert.doesNotMatch(JSON.stringify(answer), /Müller|stack/);
      assert.equal(api.archive.packs.size, 0);
      assert.deepEqual(await readdir(api.folder), []);
    });
  }
});
