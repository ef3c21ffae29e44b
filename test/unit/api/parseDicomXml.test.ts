import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseDicomXml } from '../../../api/dicomweb/store/parseDicomXml.ts';
import type { DicomJson } from '../../../dicom/json.ts';
import { stringifyDicomXml } from '../../../dicom/xml.ts';

const document = (content: string): string => `<NativeDicomModel>${content}</NativeDicomModel>`;
const roundTrip = (dataSet: DicomJson): DicomJson => parseDicomXml(stringifyDicomXml(dataSet));

/** One attribute of each kind of content, and what PS3.19 A.1 writes for it. */
const golden: readonly (readonly [string, DicomJson[string], string])[] = [
  ['00080008', { vr: 'CS', Value: ['ORIGINAL', null, 'AXIAL'] }, '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">ORIGINAL</Value><Value number="2"/><Value number="3">AXIAL</Value></DicomAttribute>'],
  ['00081140', { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.2'] } }, {}] },
    '<DicomAttribute tag="00081140" vr="SQ" keyword="ReferencedImageSequence"><Item number="1"><DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID"><Value number="1">1.2</Value></DicomAttribute></Item><Item number="2"/></DicomAttribute>'],
  ['00090010', { vr: 'LO', Value: ['A & B'] }, '<DicomAttribute tag="00090010" vr="LO"><Value number="1">A &amp; B</Value></DicomAttribute>'],
  ['00091001', { vr: 'US', Value: [7] }, '<DicomAttribute tag="00090001" vr="US" privateCreator="A &amp; B"><Value number="1">7</Value></DicomAttribute>'],
  ['00091101', { vr: 'US', Value: [8] }, '<DicomAttribute tag="00091101" vr="US"><Value number="1">8</Value></DicomAttribute>'],
  ['00100010', { vr: 'PN', Value: [{ Alphabetic: 'Yamada^Tarou^^Dr', Ideographic: '山田^太郎' }] },
    '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1"><Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName><NamePrefix>Dr</NamePrefix></Alphabetic><Ideographic><FamilyName>山田</FamilyName><GivenName>太郎</GivenName></Ideographic></PersonName></DicomAttribute>'],
  ['00100020', { vr: 'LO' }, '<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"/>'],
  ['00104000', { vr: 'LT', Value: [' <a>\r\n"b"\t'] }, '<DicomAttribute tag="00104000" vr="LT" keyword="PatientComments"><Value number="1"> &lt;a&gt;&#13;&#10;&quot;b&quot;&#9;</Value></DicomAttribute>'],
  ['00280030', { vr: 'DS', Value: [0.5, 2] }, '<DicomAttribute tag="00280030" vr="DS" keyword="PixelSpacing"><Value number="1">0.5</Value><Value number="2">2</Value></DicomAttribute>'],
  ['00420011', { vr: 'OB', InlineBinary: 'AQI=' }, '<DicomAttribute tag="00420011" vr="OB" keyword="EncapsulatedDocument"><InlineBinary>AQI=</InlineBinary></DicomAttribute>'],
  ['7FE00010', { vr: 'OW', BulkDataURI: 'http://a.example/b?c=1&d=2' }, '<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData"><BulkData uri="http://a.example/b?c=1&amp;d=2"/></DicomAttribute>'],
];
const goldenDataSet: DicomJson = Object.fromEntries(golden.map(([tag, attribute]) => [tag, attribute]));

describe('DICOM XML', () => {
  it('is the Native DICOM Model, letter by letter, and comes back', () => {
    const text = stringifyDicomXml(goldenDataSet);

    assert.equal(text, `<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">${golden.map(([,, xml]) => xml).join('')}</NativeDicomModel>`);
    assert.deepEqual(parseDicomXml(text), goldenDataSet);
  });

  it('comes back as it was', () => fc.assert(fc.property(dataSets, (dataSet) => assert.deepEqual(roundTrip(dataSet), dataSet)), { numRuns: 300 }));

  it('replaces characters that XML cannot hold', () => {
    assert.deepEqual(roundTrip({ '00104000': { vr: 'LT', Value: ['a\u0000\u001B\uD800\uFFFFb'] } })['00104000']?.Value, ['a\uFFFD\uFFFD\uFFFD\uFFFDb']);
  });

  it('keeps two blocks of one creator apart', () => {
    const dataSet: DicomJson = {
      '00090010': { vr: 'LO', Value: ['A'] }, '00090011': { vr: 'LO', Value: ['A'] }, '00091001': { vr: 'US', Value: [1] }, '00091101': { vr: 'US', Value: [2] },
    };

    assert.deepEqual(roundTrip(dataSet), dataSet);
  });

  it('reserves a block for a creator that has none, also in an item', () => {
    const own = '<DicomAttribute tag="00090001" vr="US" privateCreator="B"><Value number="1">7</Value></DicomAttribute>';
    const dataSet = parseDicomXml(document(`<DicomAttribute tag="00090010" vr="LO"><Value number="1">A</Value></DicomAttribute>${own}<DicomAttribute tag="00081140" vr="SQ"><Item number="1">${own}</Item></DicomAttribute>`));

    assert.deepEqual(dataSet, {
      '00081140': { vr: 'SQ', Value: [{ '00090010': { vr: 'LO', Value: ['B'] }, '00091001': { vr: 'US', Value: [7] } }] },
      '00090010': { vr: 'LO', Value: ['A'] }, '00090011': { vr: 'LO', Value: ['B'] }, '00091101': { vr: 'US', Value: [7] },
    });
  });

  it('reads what other writers write: prefixes, CDATA, comments, white space, tags in small letters, a uuid', () => {
    const dataSet = parseDicomXml(`<?xml version='1.0'?><!-- x -->\n<d:NativeDicomModel xmlns:d="http://dicom.nema.org/PS3.19/models/NativeDICOM">\n  <d:DicomAttribute tag="0020000d" vr="UI">
      <d:Value number="1"><![CDATA[1.2]]></d:Value>\n  </d:DicomAttribute><d:DicomAttribute tag="7fe00010" vr="OW"><d:BulkData uuid="a-b"/></d:DicomAttribute></d:NativeDicomModel>`);

    assert.deepEqual(dataSet, { '0020000D': { vr: 'UI', Value: ['1.2'] }, '7FE00010': { vr: 'OW', BulkDataURI: 'a-b' } });
  });

  const nested = (depth: number): string => document('<DicomAttribute tag="00081140" vr="SQ"><Item number="1">'.repeat(depth) + '</Item></DicomAttribute>'.repeat(depth));
  it('reads sequences 40 deep', () => assert.ok(parseDicomXml(nested(40))['00081140']));

  const one = (attributes: string, content = ''): string => document(`<DicomAttribute ${attributes}>${content}</DicomAttribute>`);
  const refused: readonly (readonly [string, string])[] = [
    ['a DOCTYPE with entities', '<!DOCTYPE a [<!ENTITY secret "x"><!ENTITY b "&secret;&secret;">]><NativeDicomModel/>'], ['a DOCTYPE that names a file', '<!DOCTYPE a SYSTEM "file:///secret"><NativeDicomModel/>'],
    ['an entity', one('tag="00100020" vr="LO"', '<Value number="1">&secret;</Value>')], ['sequences 5000 deep', nested(5000)],
    ['text that is no XML', 'secret'], ['nothing', ''], ['half a document', '<NativeDicomModel><DicomAttribute tag="00100020" vr="LO">'], ['another model', '<secret/>'], ['another namespace', '<NativeDicomModel xmlns="secret"/>'],
    ['another encoding', '<?xml version="1.0" encoding="utf-16"?><NativeDicomModel/>'], ['an attribute twice', document('<DicomAttribute tag="00100020" vr="LO"/>'.repeat(2))], ['two models', '<NativeDicomModel/><NativeDicomModel/>'],
    ['a value far behind', one('tag="00100020" vr="LO"', '<Value number="4000000000">secret</Value>')], ['text between elements', document('secret')], ['a tag that is none', one('tag="__proto__" vr="LO"')], ['no VR', one('tag="00100020"')],
    ['an element where none belongs', document('<Value number="1">secret</Value>')], ['a name with a value', one('tag="00100010" vr="PN"', '<Value number="1">secret</Value>')], ['an inline value that is no base64', one('tag="00420011" vr="OB"', '<InlineBinary>secret!</InlineBinary>')],
    ['bulk data without a place', one('tag="7FE00010" vr="OW"', '<BulkData/>')], ['a creator of a standard attribute', one('tag="00100020" vr="LO" privateCreator="secret"')],
    ['a block that another holds', document('<DicomAttribute tag="00090010" vr="LO"><Value number="1">A</Value></DicomAttribute><DicomAttribute tag="00091001" vr="LO" privateCreator="secret"/>')],
  ];
  for (const [what, text] of refused) {
    it(`refuses ${what}, and says no value`, () => {
      assert.throws(() => parseDicomXml(text), (error: unknown) => error instanceof SyntaxError && !error.message.includes('secret'));
    });
  }

  it('gives a data set or a SyntaxError for any text', () => fc.assert(fc.property(
    fc.array(fc.oneof(fc.string(), fc.constantFrom('<DicomAttribute tag="00100020" vr="LO">', '</DicomAttribute>', '<Value number="1">', '</Value>', '<Item/>', '&#0;', ']]>', '<!--'))),
    (pieces) => {
      try {
        assert.equal(typeof parseDicomXml(document(pieces.join(''))), 'object');
      } catch (error) {
        assert.ok(error instanceof SyntaxError, String(error));
      }
    }), { numRuns: 500 }));
});

/** Any text that XML holds; a name has no caret at a component's end, which would be left out. */
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((each) => !/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/.test(each));
const name = fc.array(text.map((each) => each.replaceAll(/[\^=]/g, '-')), { minLength: 1, maxLength: 5 }).map((components) => components.join('^'));
const attribute = (tag: string, vr: string, value: fc.Arbitrary<unknown>) => fc.array(value, { minLength: 1, maxLength: 3 }).map((Value) => [tag, { vr, Value }] as const);
const flat = (more: readonly fc.Arbitrary<readonly [string, unknown]>[]) => fc.subarray([
  attribute('00080070', 'LO', fc.option(text)), attribute('00100010', 'PN', fc.oneof(fc.tuple(name, name).map(([Alphabetic, Phonetic]) => ({ Alphabetic, Phonetic })), name.map((Ideographic) => ({ Ideographic })), fc.constant(null))),
  attribute('00186020', 'SL', fc.integer()), attribute('00189073', 'FD', fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n))), attribute('00189074', 'FL', fc.constantFrom('NaN', 'Infinity', 1e20)),
  attribute('00720082', 'SV', fc.constantFrom(5, '9223372036854775807')), attribute('00280009', 'AT', fc.constant('00181063')), attribute('00090010', 'LO', fc.constant('MAKER')).map(([tag]) => [tag, { vr: 'LO', Value: ['MAKER'] }] as const),
  fc.uint8Array({ minLength: 1 }).map((bytes) => ['00091002', { vr: 'UN', InlineBinary: Buffer.from(bytes).toString('base64') }] as const),
  fc.webUrl().map((uri) => ['7FE00010', { vr: 'OW', BulkDataURI: uri }] as const), fc.constant(['00100040', { vr: 'CS' }] as const), ...more,
]).chain((chosen) => fc.tuple(...chosen)).map((entries) => Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))) as DicomJson);
const items = fc.array(flat([]), { minLength: 1, maxLength: 2 });
const dataSets: fc.Arbitrary<DicomJson> = flat([items.map((Value) => ['00081140', { vr: 'SQ', Value }] as const)]);
