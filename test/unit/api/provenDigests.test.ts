import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { giveInstance } from '../../../api/dicomweb/retrieve/givenInstance.ts';
import { WrongDigest } from '../../../api/dicomweb/retrieve/instanceStream.ts';
import { ProvenDigests } from '../../../api/dicomweb/retrieve/provenDigests.ts';
import type { InstanceLocation } from '../../../stores/ports.ts';

/** One byte: `a`. */
const location: InstanceLocation = {
  tenantId: 't', studyInstanceUID: '1.2', seriesInstanceUID: '1.2.1', sopInstanceUID: '1.2.1.1', sopClassUID: '1.2.840.10008.5.1.4.1.1.2', transferSyntaxUID: explicitVRLittleEndian,
  packId: 'p', offsetBytes: 1536, lengthBytes: 1, sha256: createHash('sha256').update('a').digest('hex'), verdict: 'accepted',
};
async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
const give = async (text: string, packId: string, isKept: boolean): Promise<string> => {
  const given = await giveInstance({ location: { ...location, packId }, isKept, bytes: bytesOf(text) }, { how: 'stored', transferSyntaxUID: explicitVRLittleEndian, orStored: false },
    { codecs: { transcode: () => Promise.reject(new Error('not asked for')) }, verify: true, signal: new AbortController().signal });
  return Buffer.concat(await Array.fromAsync(given.bytes as AsyncIterable<Uint8Array>)).toString();
};

describe('digests of what is retrieved', () => {
  it('compares what comes from S3 every time', async () => {
    assert.equal(await give('a', 'from-s3', false), 'a');
    await assert.rejects(give('b', 'from-s3', false), WrongDigest);
  });

  it('compares a kept instance the first time, and trusts nothing that was wrong', async () => {
    await assert.rejects(give('b', 'kept', true), WrongDigest);
    await assert.rejects(give('b', 'kept', true), WrongDigest);
    assert.equal(await give('a', 'kept', true), 'a');
    assert.equal(await give('b', 'kept', true), 'b');
    await assert.rejects(give('b', 'kept', false), WrongDigest);
  });

  it('compares again after ten minutes, and each tenant\'s own', () => {
    let now = 0;
    const proven = new ProvenDigests(() => now);
    proven.add(location);

    assert.equal(proven.has(location), true);
    assert.equal(proven.has({ ...location, tenantId: 'other' }), false);
    now = 10 * 60_000;
    assert.equal(proven.has(location), false);
  });
});
