import assert from 'node:assert/strict';
import type { DicomJson } from '../../../dicom/json.ts';
import { CommitmentFault, commitmentReportInformation, commitmentRequestInformation, eventOf, readCommitmentReport, readCommitmentRequest } from '../../../dicom/storageCommitment.ts';

const ct = (sopInstanceUID: string) => ({ sopClassUID: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUID });

describe('data sets of storage commitment', () => {
  it('are read as they were written, and an instance that is named twice counts once', () => {
    const request = { transactionUID: '1.2.3', references: [ct('1.1'), ct('1.2')] };
    const report = { transactionUID: '1.2.3', committed: [ct('1.1')], failed: [{ ...ct('1.2'), failureReason: 0x0112 }] };

    const twice = readCommitmentRequest(commitmentRequestInformation({ ...request, references: [...request.references, ct('1.1')] }));

    assert.deepEqual(twice, request);
    assert.deepEqual(readCommitmentReport(commitmentReportInformation(report)), report);
  });

  it('hold a sequence only when it has items, and the event type says whether there are failures', () => {
    const all = { transactionUID: '1.2', committed: [ct('1.1')], failed: [] };
    const none = { transactionUID: '1.2', committed: [], failed: [{ ...ct('1.1'), failureReason: 0x0119 }] };

    assert.deepEqual([all, none].map((report) => [eventOf(report), Object.keys(commitmentReportInformation(report)).toSorted()]),
      [[1, ['00081195', '00081199']], [2, ['00081195', '00081198']]]);
    assert.deepEqual(commitmentReportInformation(none)['00081198']!.Value,
      [{ '00081150': { vr: 'UI', Value: [ct('1.1').sopClassUID] }, '00081155': { vr: 'UI', Value: ['1.1'] }, '00081197': { vr: 'US', Value: [0x0119] } }]);
  });

  const whole = commitmentRequestInformation({ transactionUID: '1.2.3', references: [ct('1.1')] });
  const without = (tag: string): DicomJson => Object.fromEntries(Object.entries(whole).filter(([key]) => key !== tag));
  const wrong: readonly (readonly [string, DicomJson, CommitmentFault['kind'], string])[] = [
    ['no Transaction UID', without('00081195'), 'missing', '00081195'],
    ['an empty Transaction UID', { ...whole, '00081195': { vr: 'UI' } }, 'empty', '00081195'],
    ['a Transaction UID that is a path', { ...whole, '00081195': { vr: 'UI', Value: ['../../etc'] } }, 'invalid', '00081195'],
    ['no references', without('00081199'), 'missing', '00081199'],
    ['an empty list of references', { ...whole, '00081199': { vr: 'SQ', Value: [] } }, 'empty', '00081199'],
    ['a reference without a class', { ...whole, '00081199': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: ['1.1'] } }] } }, 'missing', '00081150'],
  ];
  for (const [what, information, kind, tag] of wrong) {
    it(`are refused with ${what}`, () => {
      assert.throws(() => readCommitmentRequest(information), (error) => error instanceof CommitmentFault && error.kind === kind && error.tag === tag);
    });
  }
});
