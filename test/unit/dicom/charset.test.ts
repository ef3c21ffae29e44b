import assert from 'node:assert/strict';
import { textDecoderFor } from '../../../dicom/charset.ts';
import { randomBytesOf, seeded } from './dataSetBytes.ts';

/** Bytes as the examples of PS3.5 print them: three octal digits behind a backslash. */
const octal = (text: string): Uint8Array =>
  Uint8Array.from(text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))), (c) => c.charCodeAt(0));

const examples: readonly (readonly [section: string, terms: string, bytes: string, text: string])[] = [
  ['PS3.5 H.3.1', '\\ISO 2022 IR 87', 'Yamada^Tarou=\\033$B;3ED\\033(B^\\033$BB@O:\\033(B=\\033$B$d$^$@\\033(B^\\033$B$?$m$&\\033(B', 'Yamada^Tarou=山田^太郎=やまだ^たろう'],
  ['PS3.5 H.3.2', 'ISO 2022 IR 13\\ISO 2022 IR 87', '\\324\\317\\300\\336^\\300\\333\\263=\\033$B;3ED\\033(J^\\033$BB@O:\\033(J=\\033$B$d$^$@\\033(J^\\033$B$?$m$&\\033(J', 'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう'],
  ['PS3.5 I.2', '\\ISO 2022 IR 149', 'Hong^Gildong=\\033$)C\\373\\363^\\033$)C\\321\\316\\324\\327=\\033$)C\\310\\253^\\033$)C\\261\\346\\265\\277', 'Hong^Gildong=洪^吉洞=홍^길동'],
  ['PS3.5 J.1', 'ISO_IR 192', 'Wang^XiaoDong=\\347\\216\\213^\\345\\260\\217\\346\\235\\261=', 'Wang^XiaoDong=王^小東='],
  ['PS3.5 J.3', 'GB18030', 'Wang^XiaoDong=\\315\\365^\\320\\241\\266\\253=', 'Wang^XiaoDong=王^小东='],
  ['PS3.5 K.2', '\\ISO 2022 IR 58', 'Zhang^XiaoDong=\\033$)A\\325\\305^\\033$)A\\320\\241\\266\\253=', 'Zhang^XiaoDong=张^小东='],
  ['Latin alphabet 1', 'ISO_IR 100', 'Buc^J\\351r\\364me', 'Buc^Jérôme'],
  ['Cyrillic', 'ISO_IR 144', '\\273\\356\\332', 'Люк'],
  ['Greek', 'ISO_IR 126', '\\304\\351\\357\\355', 'Διον'],
  ['Arabic', 'ISO_IR 127', '\\342\\350\\307', 'قوا'],
  ['Hebrew', 'ISO_IR 138', '\\371\\370\\345\\357', 'שרון'],
  ['Latin 1 and Greek side by side', 'ISO 2022 IR 100\\ISO 2022 IR 126', '\\351\\033-F\\304\\033-A\\351', 'éΔé'],
];

describe('Specific Character Set', () => {
  for (const [section, terms, bytes, text] of examples) {
    it(`decodes the example of ${section}`, () => {
      assert.equal(textDecoderFor(terms.split('\\'))(octal(bytes), true), text);
    });
  }

  it('goes back to the first character set at a delimiter', () => {
    const decode = textDecoderFor(['ISO 2022 IR 100', 'ISO 2022 IR 126']);

    assert.equal(decode(octal('\\033-F\\304^\\351'), true), 'Δ^é');
    assert.equal(decode(octal('\\033-F\\304^\\351')), 'Δ^ι', '^ is no delimiter outside a PN');
  });

  it('understands the spellings that occur in the field', () => {
    for (const term of ['ISO_IR 192', 'ISO IR 192', 'iso-ir-192', 'UTF-8', 'ISO_IR_192 ']) {
      assert.equal(textDecoderFor([term])(octal('\\303\\251')), 'é', term);
    }
  });

  it('takes bytes beyond ISO 646 as Latin-1 where no set, or an unknown one, is named', () => {
    assert.equal(textDecoderFor([])(octal('\\351')), 'é');
    assert.equal(textDecoderFor(['KLINGON'])(octal('\\351')), 'é');
  });

  it('decodes arbitrary bytes in every set without an exception', () => {
    const random = seeded(3);
    const sets = [...examples.map(([, terms]) => terms.split('\\')), ['', 'ISO 2022 IR 87', 'ISO 2022 IR 159', 'ISO 2022 IR 149'], ['GBK']];

    for (let round = 0; round < 3000; round += 1) {
      const bytes = randomBytesOf(random, Math.floor(random() * 40)).map((byte) => (byte % 5 === 0 ? 0x1b : byte));
      assert.equal(typeof textDecoderFor(sets[round % sets.length] ?? [])(bytes, round % 2 === 0), 'string');
    }
  });
});
