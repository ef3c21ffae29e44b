import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { DicomJson, JsonAttribute } from '../../../dicom/json.ts';
import { dataSetPieces, encodeDataSet, Unwritable } from '../../../dicom/part10/dataSetWriter.ts';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { BufferSource, explicitLE, file, implicitLE } from './dataSetBytes.ts';

const inUTF8: DicomJson = { '00080005': { vr: 'CS', Value: ['ISO_IR 192'] } };
const readBack = async (dataSet: Buffer, transferSyntaxUID = explicitLE): Promise<DicomJson> => {
  const { header, unreadable } = await readInstanceHeader(new BufferSource(file(dataSet, transferSyntaxUID)));
  assert.equal(unreadable, undefined);
  return header;
};

describe('data set writer', () => {
  it('writes an element of each kind of header, byte for byte', () => {
    const bytes = encodeDataSet({
      '00080018': { vr: 'UI', Value: ['1.2.3'] }, '00280010': { vr: 'US', Value: [512] }, '00081140': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.2'] } }] }, '7FE00010': { vr: 'OW', InlineBinary: 'AQID' },
    });

    assert.equal(bytes.toString('hex'), [
      '08001800', '5549', '0600', '312e322e3300',
      '08004011', '5351', '0000', 'ffffffff', 'feff00e0ffffffff', '08005511', '5549', '0400', '312e3200', 'feff0de000000000', 'feffdde000000000',
      '28001000', '5553', '0200', '0002',
      'e07f1000', '4f57', '0000', '04000000', '01020300',
    ].join(''));
  });

  it('writes implicit VR', () => {
    assert.equal(encodeDataSet({ '00280010': { vr: 'US', Value: [1] } }, { implicitVR: true }).toString('hex'), '28001000020000000100');
  });

  it('gives back what the reader read, in both encodings', () => fc.assert(fc.asyncProperty(dataSets, async (dataSet) => {
    assert.deepEqual(await readBack(encodeDataSet({ ...inUTF8, ...dataSet })), { ...inUTF8, ...dataSet });
    assert.deepEqual(await readBack(encodeDataSet({ ...inUTF8, ...dataSet }, { implicitVR: true }), implicitLE), { ...inUTF8, ...dataSet });
  }), { numRuns: 200 }));

  it('leaves group lengths, command and file meta elements out', () => {
    assert.equal(encodeDataSet({ '00080000': { vr: 'UL', Value: [4] }, '00020010': { vr: 'UI', Value: ['1.2'] }, '00000100': { vr: 'US', Value: [1] } }).length, 0);
  });

  it('puts bulk values into their places, padded, and frames into items', () => {
    const frame = (name: string, lengthBytes: number) => ({ name, lengthBytes });
    const places: Record<string, ReturnType<typeof frame> | { readonly fragments: readonly ReturnType<typeof frame>[] }> =
      { a: frame('a', 3), b: { fragments: [frame('b1', 5), frame('b2', 2)] } };
    const pieces = [...dataSetPieces({ '00420011': { vr: 'OB', BulkDataURI: 'a' }, '7FE00010': { vr: 'OB', BulkDataURI: 'b' } }, { bulk: (uri) => places[uri] })];

    assert.deepEqual(pieces.map((piece) => (Buffer.isBuffer(piece) ? piece.toString('hex') : piece.name)), [
      '420011004f42000004000000', 'a', '00',
      'e07f10004f420000ffffffff', 'feff00e000000000', 'feff00e006000000', 'b1', '00', 'feff00e002000000', 'b2', 'feffdde000000000',
    ]);
  });

  it('rounds a decimal string to the 16 characters that it may have', async () => {
    const header = await readBack(encodeDataSet({ '00280030': { vr: 'DS', Value: [0.1 + 0.2, -1 / 3, 1e-7 / 3] } }));

    const values = header['00280030']?.Value as readonly number[];
    for (const [at, value] of [0.1 + 0.2, -1 / 3, 1e-7 / 3].entries()) assert.ok(Math.abs(values[at]! - value) < Math.abs(value) * 1e-8);
  });

  const unwritable: readonly (readonly [string, DicomJson])[] = [
    ['a number that does not fit', { '00280010': { vr: 'US', Value: [65536] } }],
    ['text where a number stands', { '00280010': { vr: 'US', Value: ['wide'] } }],
    ['a tag that is none', { '00280009': { vr: 'AT', Value: ['PatientName'] } }],
    ['a VR that does not exist', { '00280009': { vr: 'XX', Value: ['1'] } }],
    ['a value longer than its header can say', { '00080070': { vr: 'LO', Value: ['x'.repeat(70_000)] } }],
    ['bulk data that did not come', { '7FE00010': { vr: 'OW', BulkDataURI: 'somewhere' } }],
    ['a key that is no tag', { PatientName: { vr: 'PN' } }],
    ['an item that is no data set', { '00081140': { vr: 'SQ', Value: ['x'] } }],
    ['an attribute that is no attribute', { '00080070': 'x' as unknown as JsonAttribute }],
  ];
  for (const [what, dataSet] of unwritable) {
    it(`refuses ${what}, and says no value`, () => {
      assert.throws(() => encodeDataSet(dataSet), (error: unknown) => error instanceof Unwritable && !/wide|PatientName|xxx|somewhere/.test(error.message));
    });
  }
});

/** Text as it comes back: no padding, no backslash, no empty value. */
const word = fc.stringMatching(/^[A-Za-zäöüßéあ漢字한 ]{1,12}$/u).map((text) => text.trim()).filter((text) => text !== '');
const attribute = (tag: string, vr: string, value: fc.Arbitrary<string | number>) =>
  fc.array(value, { minLength: 1, maxLength: 3 }).map((Value) => [tag, { vr, Value }] as const);
const attributes = [
  attribute('00080060', 'CS', fc.constantFrom('CT', 'MR')), attribute('00080020', 'DA', fc.constant('20240501')),
  attribute('00080018', 'UI', fc.constantFrom('1.2.3', '1.2.34')), attribute('00080070', 'LO', word), attribute('00280010', 'US', fc.nat(65535)),
  attribute('00186020', 'SL', fc.integer()), attribute('00189074', 'DT', fc.constant('20240501101112.123')), attribute('00280030', 'DS', fc.integer({ min: -9999, max: 9999 }).map((n) => n / 8)),
  attribute('00200013', 'IS', fc.integer({ min: 0, max: 99999 })), attribute('00189073', 'FD', fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n))),
  attribute('00280009', 'AT', fc.constant('00181063')), fc.constant(['00091001', { vr: 'UN', InlineBinary: 'AQI=' }] as const),
  fc.tuple(word, word).map(([Alphabetic, Ideographic]) => ['00100010', { vr: 'PN', Value: [{ Alphabetic, Ideographic }] }] as const),
  fc.tuple(word, fc.nat(9)).map(([text, number]) => ['00081140', { vr: 'SQ', Value: [{ '00080070': { vr: 'LO', Value: [text] } }, { '00280010': { vr: 'US', Value: [number] } }] }] as const),
];
const dataSets: fc.Arbitrary<DicomJson> = fc.subarray(attributes, { minLength: 1 }).chain((chosen) => fc.tuple(...chosen))
  .map((entries) => Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))) as unknown as DicomJson);
