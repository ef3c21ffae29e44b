import assert from 'node:assert/strict';
import { isAcceptableForStorage, isRetiredSopClass, isStorageSopClass, nonPatientStorageSopClasses, otherSopClasses, sopClassName, storageSopClasses, verificationSopClassUID } from '../../../dicom/sopClasses.ts';
import { describeStatus, resend, status, statusClass, statusTable } from '../../../dicom/status.ts';
import { isNegotiableTransferSyntax, transferSyntax, transferSyntaxes } from '../../../dicom/transferSyntaxes.ts';
import { implementationClassUID, implementationVersionName, isUid, isUidShaped, trimUid } from '../../../dicom/uid.ts';

describe('a UID (PS3.5 9.1)', () => {
  it('is components of digits without leading zeros, at most 64 characters', () => {
    for (const uid of ['1.2', '0.0', '1.2.840.10008.1.1', '2.25.0', `1.${'2'.repeat(62)}`]) assert.ok(isUid(uid), uid);
    for (const uid of ['', '1', '.1.2', '1.2.', '1..2', '1.02', '1.2a', '1.2 ', '1.2\n', '1/2', `1.${'2'.repeat(63)}`]) assert.ok(!isUid(uid), uid);
  });

  it('has at least its shape when equipment wrote a leading zero', () => {
    for (const uid of ['1.02.3', '00.1']) assert.ok(isUidShaped(uid) && !isUid(uid), uid);
    for (const uid of ['', '..', '1..2', '../1', '1.2.', '1.2\n', '1'.repeat(65)]) assert.ok(!isUidShaped(uid), uid);
  });

  it('loses its padding', () => {
    assert.deepEqual(['1.2\0', '1.2 ', '1.2'].map(trimUid), ['1.2', '1.2', '1.2']);
  });

  it('of this implementation is derived from a UUID, and the version name fits its field', () => {
    assert.match(implementationClassUID, /^2\.25\.\d+$/);
    assert.ok(isUid(implementationClassUID));
    assert.ok(BigInt(implementationClassUID.slice(5)) < 2n ** 128n);
    assert.ok(implementationVersionName.length <= 16);
  });
});

describe('the tables of SOP Classes (PS3.4 Table B.5-1, PS3.6 Table A-1)', () => {
  it('hold UIDs, each in one table', () => {
    const uids = [storageSopClasses, nonPatientStorageSopClasses, otherSopClasses].flatMap(Object.keys);

    assert.ok(uids.every(isUid));
    assert.equal(new Set(uids).size, uids.length);
    assert.ok(Object.keys(storageSopClasses).length >= 190);
  });

  it('name current and retired storage classes', () => {
    for (const [uid, name, retired] of [
      ['1.2.840.10008.5.1.4.1.1.2', 'CT Image Storage', false],
      ['1.2.840.10008.5.1.4.1.1.66.7', 'Label Map Segmentation Storage', false],
      ['1.2.840.10008.5.1.4.34.7', 'RT Beams Delivery Instruction Storage', false],
      ['1.2.840.10008.5.1.4.1.1.5', 'Nuclear Medicine Image Storage', true],
    ] as const) {
      assert.deepEqual([isStorageSopClass(uid), sopClassName(uid), isRetiredSopClass(uid)], [true, name, retired]);
    }
  });

  it('keep other services, and what has no Study, out of storage', () => {
    for (const uid of [verificationSopClassUID, '1.2.840.10008.5.1.4.1.2.2.1', '1.2.840.10008.5.1.4.31', '1.2.840.10008.5.1.4.38.1', '1.2.840.10008.3.1.1.1', 'constructor']) {
      assert.ok(!isAcceptableForStorage(uid), uid);
    }
  });

  it('let private classes and newer ones be storage', () => {
    for (const uid of ['1.3.12.2.1107.5.9.1', '1.2.840.10008.5.1.4.1.1.777.1']) assert.ok(isAcceptableForStorage(uid), uid);
  });
});

describe('the table of transfer syntaxes (PS3.6 Table A-1, PS3.5 Annex A)', () => {
  const flags = (uid: string): string => {
    const { explicit, bigEndian, deflated, encapsulated, lossy } = transferSyntax(uid)!;
    return Object.entries({ explicit, bigEndian, deflated, encapsulated, lossy }).filter(([, set]) => set).map(([name]) => name).join(' ');
  };

  for (const [uid, expected] of [
    ['1.2.840.10008.1.2', ''],
    ['1.2.840.10008.1.2.1', 'explicit'],
    ['1.2.840.10008.1.2.1.98', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.1.99', 'explicit deflated'],
    ['1.2.840.10008.1.2.2', 'explicit bigEndian'],
    ['1.2.840.10008.1.2.4.50', 'explicit encapsulated lossy'],
    ['1.2.840.10008.1.2.4.57', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.4.70', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.4.81', 'explicit encapsulated lossy'],
    ['1.2.840.10008.1.2.4.90', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.4.94', 'explicit'],
    ['1.2.840.10008.1.2.4.106.1', 'explicit encapsulated lossy'],
    ['1.2.840.10008.1.2.4.110', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.4.202', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.5', 'explicit encapsulated'],
    ['1.2.840.10008.1.2.8.1', 'explicit encapsulated'],
  ] as const) {
    it(`describes ${transferSyntax(uid)!.name} as ${expected || 'implicit VR'}`, () => {
      assert.equal(flags(uid), expected);
    });
  }

  it('offers none for data sets on an association that is real-time video, MIME or unknown', () => {
    for (const uid of ['1.2.840.10008.1.2.7.1', '1.2.840.10008.1.2.6.1', '1.2.3']) assert.ok(!isNegotiableTransferSyntax(uid), uid);
  });

  it('holds UIDs, and only explicit VR where Pixel Data is encapsulated', () => {
    for (const { uid, encapsulated, explicit, lossy } of transferSyntaxes.values()) {
      assert.ok(isUid(uid));
      assert.ok(!encapsulated || explicit, uid);
      assert.ok(!lossy || encapsulated, uid);
    }
  });
});

describe('the table of status codes (PS3.7 Annex C, PS3.4 B.2.3)', () => {
  for (const [code, expected, advice] of [
    [0x0000, 'success', 'none'], [0xb000, 'warning', 'none'], [0xb007, 'warning', 'none'], [0xbabc, 'warning', 'none'], [0x0107, 'warning', 'none'],
    [0xa700, 'failure', 'later'], [0xa7ff, 'failure', 'later'], [0x0110, 'failure', 'later'], [0x0213, 'failure', 'later'],
    [0xa900, 'failure', 'never'], [0xa9ff, 'failure', 'never'], [0xc000, 'failure', 'never'], [0xcfff, 'failure', 'never'],
    [0x0117, 'failure', 'never'], [0x0122, 'failure', 'never'], [0x0124, 'failure', 'never'],
    [0xfe00, 'cancel', 'none'], [0xff00, 'pending', 'none'], [0xff01, 'pending', 'none'],
    [0x4321, 'failure', 'later'],
  ] as const) {
    it(`takes ${describeStatus(code)} as ${expected}, to be resent: ${advice}`, () => {
      assert.deepEqual([statusClass(code), resend(code)], [expected, advice]);
    });
  }

  it('tells a sender to come again exactly when a failure may pass', () => {
    for (const row of statusTable) assert.equal(row.resend !== 'none', row.class === 'failure', row.meaning);
  });

  it('has a row of its own for every status that this product sends', () => {
    for (const code of Object.values(status)) assert.ok(statusTable.some((row) => row.from === code), describeStatus(code));
  });
});
