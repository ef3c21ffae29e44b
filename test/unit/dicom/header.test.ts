import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import dicomParser from 'dicom-parser';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { isDataSet, stringifyDicomJson, type DicomJson } from '../../../dicom/json.ts';
import {
  BufferSource, deflated, encode, explicitBE, explicitLE, file, header, identity, identityElements, implicitLE, itemHeader, layoutOf,
  randomBytesOf, seeded, sequence, type Element,
} from './dataSetBytes.ts';

const read = (bytes: Buffer, limits?: Parameters<typeof readInstanceHeader>[1]) => readInstanceHeader(new BufferSource(bytes), limits);
const element = (tag: number, vr: string, value: string | Buffer): Element => ({ tag, vr, value });
const readElement = async (vr: string, value: string | Buffer, before: readonly Element[] = []) =>
  (await read(file(encode([...before, element(0x00090002, vr, value)])))).header['00090002'];

describe('readInstanceHeader', () => {
  for (const transferSyntaxUID of [explicitLE, implicitLE, explicitBE, deflated]) {
    it(`reads ${transferSyntaxUID} into the DICOM JSON Model, sequences included`, async () => {
      const dataSet = encode([
        ...identityElements().filter(({ tag }) => tag !== 0x00091001),
        element(0x00280010, 'US', layoutOf(transferSyntaxUID).bigEndian ? Buffer.from([2, 0]) : Buffer.from([0, 2])),
      ], layoutOf(transferSyntaxUID));

      const reading = await read(file(transferSyntaxUID === deflated ? deflateRawSync(dataSet) : dataSet, transferSyntaxUID));

      assert.deepEqual(reading, {
        transferSyntaxUID,
        header: {
          '00080005': { vr: 'CS', Value: ['ISO_IR 100'] },
          '00080016': { vr: 'UI', Value: [identity.sopClassUID] },
          '00080018': { vr: 'UI', Value: [identity.sopInstanceUID] },
          '00081115': { vr: 'SQ', Value: [{ '0020000D': { vr: 'UI', Value: ['9.9.1'] }, '0020000E': { vr: 'UI', Value: ['9.9.2'] } }] },
          '00081140': {
            vr: 'SQ',
            Value: [{ '00081155': { vr: 'UI', Value: ['9.9.3'] } }, { '0040A170': { vr: 'SQ', Value: [{ '00080100': { vr: 'SH', Value: ['A'] } }] } }],
          },
          '0020000D': { vr: 'UI', Value: [identity.studyInstanceUID] },
          '0020000E': { vr: 'UI', Value: [identity.seriesInstanceUID] },
          '00280010': { vr: 'US', Value: [512] },
        },
      });
    });
  }

  it('drops file meta, group lengths and stray delimiters', async () => {
    const bytes = Buffer.concat([
      encode([element(0x00080000, 'UL', Buffer.alloc(4)), element(0x00080016, 'UI', identity.sopClassUID)]), itemHeader(0xfffee00d, 0),
      encode([element(0x00100020, 'LO', 'A')]),
    ]);

    assert.deepEqual(Object.keys((await read(file(bytes))).header), ['00080016', '00100020']);
  });

  it('tells US from SS by Pixel Representation where the VR is implicit', async () => {
    const elements = [element(0x00280103, 'US', Buffer.from([1, 0])), element(0x00280106, 'SS', Buffer.from([0xff, 0xff]))];

    const { header: found } = await read(file(encode(elements, { implicitVR: true }), implicitLE));

    assert.deepEqual(found['00280106'], { vr: 'SS', Value: [-1] });
  });

  it('reads UN by the dictionary where PS3.6 knows the attribute', async () => {
    const item = encode([element(0x00080100, 'SH', 'A')], { implicitVR: true });
    const codes = Buffer.concat([itemHeader(0xfffee000, item.length), item]);

    const { header: found } = await read(file(encode([element(0x00081032, 'UN', codes), element(0x00091001, 'UN', 'x'), element(0x00100010, 'UN', 'A^B')])));

    assert.deepEqual(found, {
      '00081032': { vr: 'SQ', Value: [{ '00080100': { vr: 'SH', Value: ['A'] } }] },
      '00091001': { vr: 'UN', InlineBinary: Buffer.from('x ').toString('base64') },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'A^B' }] },
    });
  });

  it('lets the character set of an item override that of the data set, and hold only within it', async () => {
    const cyrillic = [element(0x00080005, 'CS', 'ISO_IR 144'), element(0x00080104, 'LO', '\xbb')];
    const inherits = [element(0x00080104, 'LO', '\xe9')];

    const { header: found } = await read(file(encode([element(0x00080005, 'CS', 'ISO_IR 100'), sequence(0x00081032, [cyrillic, inherits]), element(0x00081030, 'LO', '\xe9')])));

    const texts = (found['00081032']?.Value ?? []).map((item) => (isDataSet(item) ? item['00080104']?.Value?.[0] : undefined));
    assert.deepEqual(texts, ['Л', 'é']);
    assert.deepEqual(found['00081030']?.Value, ['é']);
  });

  it('names the place of long binary values instead of holding them', async () => {
    const value = Buffer.alloc(1026, 7);
    const bytes = file(encode([element(0x00091001, 'OB', value), element(0x00091002, 'OB', Buffer.alloc(1024, 7))]));

    const { header: found } = await read(bytes);

    const [, offset, length] = /^#(\d+),(\d+)$/.exec(found['00091001']?.BulkDataURI ?? '') ?? [];
    assert.deepEqual(bytes.subarray(Number(offset), Number(offset) + Number(length)), value);
    assert.equal(found['00091002']?.InlineBinary, Buffer.alloc(1024, 7).toString('base64'));
  });

  it('does not read the long values and the pixels', async () => {
    const bytes = file(encode([element(0x00091001, 'OB', Buffer.alloc(8_000_000)), element(0x00280010, 'US', Buffer.from([4, 0])), element(0x7fe00010, 'OW', Buffer.alloc(8_000_000))]));
    const source = new BufferSource(bytes);

    const reading = await readInstanceHeader(source);

    assert.deepEqual(reading.header['00280010']?.Value, [4]);
    assert.deepEqual(reading.pixelData, { offsetBytes: bytes.length - 8_000_000, lengthBytes: 8_000_000, encapsulated: false });
    assert.ok(source.readBytes < 300_000, `${source.readBytes} bytes read`);
  });

  it('widens its window for one long sequence', async () => {
    const items = Array.from({ length: 5000 }, (_, index) => [element(0x00081155, 'UI', `1.2.${index}`), element(0x00080100, 'SH', 'ABCDEFGHIJ')]);

    for (const undefinedLength of [false, true]) {
      const { header: found, unreadable } = await read(file(encode([sequence(0x00081140, items, undefinedLength), element(0x00100020, 'LO', 'P')])));

      assert.equal(unreadable, undefined);
      assert.equal(found['00081140']?.Value?.length, 5000);
      assert.deepEqual(found['00100020'], { vr: 'LO', Value: ['P'] });
    }
  });

  it('orders the keys, also those that are whole numbers, when it becomes text', async () => {
    const { header: found } = await read(file(encode([sequence(0x30060010, [[element(0x30060024, 'UI', '1.2'), element(0x00081155, 'UI', '1.2')]]), element(0x00080016, 'UI', '1.2')])));

    assert.equal(stringifyDicomJson(found),
      '{"00080016":{"vr":"UI","Value":["1.2"]},"30060010":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]},"30060024":{"vr":"UI","Value":["1.2"]}}]}}');
    assert.deepEqual(JSON.parse(stringifyDicomJson(found)), found);
  });

  it('agrees with dicom-parser on the elements of generated explicit VR little endian data sets', async () => {
    const random = seeded(5);

    for (let round = 0; round < 300; round += 1) {
      const transferSyntaxUID = explicitLE;
      const bytes = file(encode(generated(random, 0), layoutOf(transferSyntaxUID)), transferSyntaxUID);
      const { header: found, unreadable } = await read(bytes);
      assert.equal(unreadable, undefined);
      assert.deepEqual(tagsOf(found), peerTags(dicomParser.parseDicom(bytes)));
    }
  });
});

/** A data set of public attributes in ascending order, with sequences down to three levels. */
const generated = (random: () => number, depth: number): Element[] => {
  const candidates: Element[] = [
    element(0x00080060, 'CS', 'CT'), element(0x00081030, 'LO', 'X'.repeat(Math.floor(random() * 40))),
    sequence(0x00081140, depth < 3 ? Array.from({ length: Math.floor(random() * 3) }, () => generated(random, depth + 1)) : [], random() < 0.5),
    element(0x00100020, 'LO', 'P'), element(0x00201041, 'DS', '-1.5'), element(0x00280010, 'US', Buffer.alloc(2)),
    sequence(0x0040a730, depth < 3 ? [generated(random, depth + 1)] : [], random() < 0.5), element(0x0040a160, 'UT', 'x'.repeat(Math.floor(random() * 300))),
  ];
  return candidates.filter(() => random() < 0.7).sort((a, b) => a.tag - b.tag);
};

const tagsOf = (dataSet: DicomJson): string[] =>
  Object.entries(dataSet).flatMap(([tag, { Value = [] }]) => [tag, ...Value.flatMap((item) => (isDataSet(item) ? tagsOf(item as DicomJson) : []))]);

const peerTags = (dataSet: dicomParser.DataSet): string[] =>
  Object.values(dataSet.elements)
    .filter(({ tag }) => !tag.startsWith('x0002') && tag !== 'xfffee00d')
    .flatMap(({ tag, items = [] }) => [tag.slice(1).toUpperCase(), ...items.flatMap((item) => (item.dataSet ? peerTags(item.dataSet) : []))]);

describe('values in the DICOM JSON Model', () => {
  it('are numbers for DS and IS that are decimal numbers, and strings for those that are not', async () => {
    assert.deepEqual(await readElement('DS', '1.50\\-2e3\\ 7 \\\\abc\\0x10\\1e999'), { vr: 'DS', Value: [1.5, -2000, 7, null, 'abc', '0x10', '1e999'] });
    assert.deepEqual(await readElement('IS', '+12\\1A'), { vr: 'IS', Value: [12, '1A'] });
  });

  it('are hex digits for AT, base64 for OB, little endian words for OW', async () => {
    assert.deepEqual(await readElement('AT', Buffer.from([0x08, 0, 0x16, 0])), { vr: 'AT', Value: ['00080016'] });
    assert.deepEqual(await readElement('OB', Buffer.from([1, 2])), { vr: 'OB', InlineBinary: 'AQI=' });
    const { header: found } = await read(file(encode([element(0x00281201, 'OW', Buffer.from([1, 2]))], { bigEndian: true }), explicitBE));
    assert.deepEqual(found['00281201'], { vr: 'OW', InlineBinary: 'AgE=' });
  });

  it('keep every digit of 64-bit integers, and NaN as text', async () => {
    const uv = Buffer.alloc(16);
    uv.writeBigUInt64LE(2n ** 64n - 1n);
    uv.writeBigUInt64LE(5n, 8);
    const fd = Buffer.alloc(16);
    fd.writeDoubleLE(NaN);
    fd.writeDoubleLE(0.5, 8);

    assert.deepEqual(await readElement('UV', uv), { vr: 'UV', Value: ['18446744073709551615', 5] });
    assert.deepEqual(await readElement('FD', fd), { vr: 'FD', Value: ['NaN', 0.5] });
  });

  it('are component groups for PN', async () => {
    assert.deepEqual(await readElement('PN', 'A^B=C=D\\\\=E'), {
      vr: 'PN', Value: [{ Alphabetic: 'A^B', Ideographic: 'C', Phonetic: 'D' }, null, { Ideographic: 'E' }],
    });
  });

  it('keep backslashes and leading spaces of LT, and no Value when there is none', async () => {
    assert.deepEqual(await readElement('LT', ' a\\b '), { vr: 'LT', Value: [' a\\b'] });
    assert.deepEqual(await readElement('LO', ' a\\b '), { vr: 'LO', Value: ['a', 'b'] });
    assert.deepEqual(await readElement('LO', '  '), { vr: 'LO' });
    assert.deepEqual(await readElement('OB', ''), { vr: 'OB' });
  });

  it('are split between GBK characters, not within them', async () => {
    const charset = [element(0x00080005, 'CS', 'GBK')];

    assert.deepEqual(await readElement('LO', Buffer.from([0x81, 0x5c, 0x5c, 0x41]), charset), { vr: 'LO', Value: ['乗', 'A'] });
  });
});

describe('a damaged file', () => {
  const whole = file(encode([...identityElements(), element(0x7fe00010, 'OW', Buffer.alloc(64))]));
  const pixelsAt = whole.length - 64;

  it('is unreadable, or short of pixels, wherever it is cut off, and keeps what was read', async () => {
    const boundaries = new Set<number>();
    const dataSetAt = file(Buffer.alloc(0)).length;
    for (let count = 0; count <= identityElements().length; count += 1) boundaries.add(dataSetAt + encode(identityElements().slice(0, count)).length);

    for (let length = 0; length < whole.length; length += 1) {
      const { header: found, pixelData, unreadable } = await read(whole.subarray(0, length));
      if (length >= pixelsAt) assert.equal(pixelData?.lengthBytes, -1);
      else assert.equal(unreadable === undefined, boundaries.has(length), `${length} bytes: ${unreadable}`);
      if (length > pixelsAt - 12) assert.equal(found['0020000E']?.Value?.[0], identity.seriesInstanceUID);
    }
  });

  it('says which attribute it ends in', async () => {
    const { unreadable } = await read(file(Buffer.concat([encode(identityElements()), header(0x00400275, 'SQ', 5000), Buffer.alloc(20)])));

    assert.equal(unreadable, 'The data set ends in the middle of (0040,0275).');
  });

  it('is unreadable when an element reaches beyond its item, nests too deeply or has too many elements', async () => {
    const beyond = Buffer.concat([header(0x00081140, 'SQ', 18), itemHeader(0xfffee000, 10), header(0x00080100, 'SH', 8), Buffer.from('AB'), Buffer.alloc(60)]);
    const deep = Buffer.concat(Array.from({ length: 5000 }, () => Buffer.concat([header(0x00081115, 'SQ', 0xffffffff), itemHeader(0xfffee000, 0xffffffff)])));
    const many = encode([element(0x00080008, 'CS', '\\'.repeat(60_000))]);

    assert.equal((await read(file(beyond))).unreadable, '(0008,0100) reaches beyond the item that holds it.');
    assert.equal((await read(file(deep))).unreadable, 'Sequences are nested too deeply.');
    assert.equal((await read(file(many), { count: 10_000 })).unreadable, 'The data set has more elements than are read.');
  });

  it('is unreadable when one element is longer than a header may be', async () => {
    const source = new BufferSource(file(encode([sequence(0x00081140, [[element(0x00204000, 'LO', 'x'.repeat(60_000)), element(0x00204001, 'LO', 'x'.repeat(60_000))]])])));

    assert.equal((await readInstanceHeader(source, { elementBytes: 100_000 })).unreadable, 'An element is longer than a header may be.');
    assert.ok(source.readBytes < 100_000);
  });

  it('is unreadable when its deflated data set is damaged, cut off or swells', async () => {
    const random = seeded(6);
    const dataSet = deflateRawSync(encode([...identityElements(), element(0x00204000, 'LT', randomBytesOf(random, 5000).toString('hex'))]));
    const bomb = deflateRawSync(encode([element(0x00091001, 'OB', Buffer.alloc(8_000_000)), ...identityElements().slice(6)]));

    assert.equal((await read(file(randomBytesOf(random, 500), deflated))).unreadable, 'The deflated data set cannot be inflated.');
    assert.ok((await read(file(dataSet.subarray(0, 900), deflated))).unreadable);
    assert.equal((await read(file(bomb, deflated), { inflatedBytes: 1_000_000 })).unreadable, 'The deflated data set inflates to more than is read.');
    assert.equal((await read(file(bomb, deflated))).header['0020000D']?.Value?.[0], identity.studyInstanceUID);
  });

  it('never ends in an exception, and its sentence has no value in it', async () => {
    const random = seeded(7);
    const dataSetAt = file(Buffer.alloc(0)).length;

    for (let round = 0; round < 3000; round += 1) {
      const bytes = Buffer.from(whole);
      for (let change = 0; change < 1 + (round % 4); change += 1) bytes[dataSetAt + Math.floor(random() * (bytes.length - dataSetAt))] = Math.floor(random() * 256);
      const { unreadable } = await read(bytes);
      assert.ok(unreadable === undefined || /^[A-Z(][^"'\\]*\.$/.test(unreadable), unreadable);
      await read(file(randomBytesOf(random, 120), [explicitLE, implicitLE, explicitBE, deflated][round % 4]));
    }
  });

  it('throws only what reading itself throws', async () => {
    const broken = { lengthBytes: 1000, read: () => Promise.reject(new Error('disk')) };

    await assert.rejects(readInstanceHeader(broken), /disk/);
  });
});
