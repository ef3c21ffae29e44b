import assert from 'node:assert/strict';
import type { InstanceHeader } from '../../../domain/instance.ts';
import { judgeInstance, validationRules } from '../../../domain/validation.ts';
import { dataSet } from '../../support/aStudy.ts';

const pack = { tenantId: 'demo', studyInstanceUID: '1.2.3', seriesInstanceUID: '1.2.4', packId: 'a'.repeat(64) };
const uids = { SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', SOPInstanceUID: '1.2.5', StudyInstanceUID: '1.2.3', SeriesInstanceUID: '1.2.4' };
const pixels = { Rows: 10, Columns: 20, BitsAllocated: 16, SamplesPerPixel: 1 };
const native = (lengthBytes: number) => ({ offsetBytes: 1_000, lengthBytes, encapsulated: false });

const instance = (attributes: Parameters<typeof dataSet>[0] = {}, more: Partial<InstanceHeader> = {}): InstanceHeader => ({
  sopInstanceUID: '1.2.5', sopClassUID: uids.SOPClassUID, transferSyntaxUID: '1.2.840.10008.1.2.1', offsetBytes: 512, lengthBytes: 9_000, sha256: 'b'.repeat(64),
  header: dataSet({ ...uids, PatientName: 'Secret^Person', PatientID: 'SECRET1', ...attributes }), ...more,
});
const ruleOf = (given: InstanceHeader): string | undefined => {
  const judgement = judgeInstance(given, pack);
  if (judgement.verdict === 'accepted') return undefined;
  assert.ok(!/secret/i.test(judgement.reason), judgement.reason);
  return judgement.rule;
};

describe('judgeInstance', () => {
  const accepted: Readonly<Record<string, InstanceHeader>> = {
    'an instance without Pixel Data': instance(),
    'an image as long as it should be': instance(pixels, { pixelData: native(400) }),
    'an image that is longer': instance(pixels, { pixelData: native(402) }),
    'bits packed into bytes': instance({ ...pixels, BitsAllocated: 1, NumberOfFrames: 3 }, { pixelData: native(75) }),
    'YBR_FULL_422, two samples a pixel': instance({ ...pixels, BitsAllocated: 8, SamplesPerPixel: 3, PhotometricInterpretation: 'YBR_FULL_422' }, { pixelData: native(400) }),
    'an image whose depth is not told': instance({ Rows: 10, Columns: 20 }, { pixelData: native(2) }),
    'an encapsulated image of any length': instance(pixels, { pixelData: { ...native(2), encapsulated: true } }),
    'a deflated image of any length': instance(pixels, { pixelData: native(2), transferSyntaxUID: '1.2.840.10008.1.2.1.99' }),
    'an empty encapsulated Pixel Data without size': instance({}, { pixelData: { ...native(0), encapsulated: true } }),
    'a value that only breaks its VR': instance({ StudyDate: 'yesterday', PatientName: 'x'.repeat(500) }),
  };
  for (const [what, given] of Object.entries(accepted)) it(`accepts ${what}`, () => assert.equal(ruleOf(given), undefined));

  it('accepts UIDs with leading zeros, as equipment in the field sends them', () => {
    const odd = { studyInstanceUID: '1.02.3', seriesInstanceUID: '1.02.4' };

    assert.deepEqual(judgeInstance(instance({ StudyInstanceUID: '1.02.3', SeriesInstanceUID: '1.02.4' }), { ...pack, ...odd }), { verdict: 'accepted' });
  });

  const broken: readonly (readonly [string, string, InstanceHeader])[] = [
    ['readable', 'what cannot be parsed', instance({}, { unreadable: 'Parsing stopped at byte 700.', header: {} })],
    ['uids-match', 'a missing SOP Class UID', instance({ SOPClassUID: [] })],
    ['uids-match', 'an empty SOP Instance UID', instance({ SOPInstanceUID: '' })],
    ['uids-match', 'an ill-formed Study Instance UID', instance({ StudyInstanceUID: 'Secret' })],
    ['uids-match', 'an overlong Series Instance UID', instance({ SeriesInstanceUID: `1.${'2'.repeat(64)}` })],
    ['uids-match', 'another SOP Class than was received', instance({ SOPClassUID: '1.2.840.10008.5.1.4.1.1.4' })],
    ['uids-match', 'another instance than was received', instance({ SOPInstanceUID: '1.2.6' })],
    ['uids-match', 'another study than the pack\'s', instance({ StudyInstanceUID: '1.2.6' })],
    ['uids-match', 'another series than the pack\'s', instance({ SeriesInstanceUID: '1.2.6' })],
    ['storable-class', 'a DICOMDIR', instance({ SOPClassUID: '1.2.840.10008.1.3.10' }, { sopClassUID: '1.2.840.10008.1.3.10' })],
    ['image-size', 'Pixel Data without Rows', instance({ ...pixels, Rows: [] }, { pixelData: native(400) })],
    ['image-size', 'Pixel Data with no Columns', instance({ ...pixels, Columns: 0 }, { pixelData: native(400) })],
    ['pixel-data-whole', 'an image that is too short', instance(pixels, { pixelData: native(399) })],
    ['pixel-data-whole', 'a last frame that is missing', instance({ ...pixels, NumberOfFrames: 2 }, { pixelData: native(400) })],
    ['pixel-data-whole', 'a data set that ends in Pixel Data', instance(pixels, { pixelData: native(-1) })],
    ['pixel-data-whole', 'encapsulated Pixel Data without its end', instance(pixels, { pixelData: { ...native(-1), encapsulated: true } })],
  ];
  for (const [rule, what, given] of broken) it(`quarantines ${what}: ${rule}`, () => assert.equal(ruleOf(given), rule));

  it('has a case here for every rule', () => {
    assert.deepEqual(validationRules.map(({ rule }) => rule).filter((rule) => !broken.some(([name]) => name === rule)), []);
  });

  it('names both missing attributes of an image', () => {
    const judgement = judgeInstance(instance({}, { pixelData: native(400) }), pack);

    assert.match((judgement as { readonly reason: string }).reason, /Rows \(0028,0010\) and Columns \(0028,0011\) are missing or zero/);
  });
});
