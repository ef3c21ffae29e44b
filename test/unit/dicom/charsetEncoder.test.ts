import assert from 'node:assert/strict';
import { textDecoderFor } from '../../../dicom/charset.ts';
import { textEncoderFor } from '../../../dicom/charsetEncoder.ts';

describe('encoding text in a Specific Character Set', () => {
  for (const [terms, text] of [
    [[], 'Doe^Jane'], [['ISO_IR 100'], 'Müller^Jörg'], [['ISO_IR 101'], 'Dvořák'], [['ISO_IR 144'], 'Люкceмбypг'], [['ISO_IR 126'], 'Διονυσιος'],
    [['ISO_IR 192'], 'Yamada^Tarou=山田^太郎'], [['GB18030'], 'Wang^XiaoDong=王^小东'], [['GBK'], '王^小东'], [['ISO_IR 13'], 'ﾔﾏﾀﾞ'], [['ISO_IR 166'], 'นามสกุล'],
  ] as const) {
    it(`says what its decoder reads: ${terms[0] ?? 'ISO 646'}`, () => {
      const bytes = textEncoderFor(terms)(text);

      assert.equal(textDecoderFor(terms)(bytes!), text);
    });
  }

  it('has no code for what is not in the set', () => {
    assert.equal(textEncoderFor([])('ü'), undefined);
    assert.equal(textEncoderFor(['ISO_IR 100'])('山'), undefined);
    assert.equal(textEncoderFor(['', 'ISO 2022 IR 87'])('山'), undefined);
    assert.equal(textEncoderFor(['ISO_IR 999'])('山'), undefined);
  });
});
