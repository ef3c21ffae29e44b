import assert from 'node:assert/strict';
import { toExplicitLittleEndian } from '../../../dicom/part10/explicitLittleEndian.ts';
import { deflated, encode, explicitBE, explicitLE, file, identityElements, implicitLE, itemHeader, seeded, sequence, type Element } from './dataSetBytes.ts';

const numbers = (bigEndian: boolean): readonly Element[] => {
  const u16 = Buffer.from(bigEndian ? '00010002' : '01000200', 'hex');
  const u32 = Buffer.from(bigEndian ? '00000001' : '01000000', 'hex');
  const f64 = Buffer.from(bigEndian ? '3ff0000000000000' : '000000000000f03f', 'hex');
  return [{ tag: 0x00280009, vr: 'AT', value: u16 }, { tag: 0x00281052, vr: 'DS', value: '1.5 ' }, { tag: 0x00189087, vr: 'FD', value: f64 }, { tag: 0x00720078, vr: 'UL', value: u32 }, { tag: 0x7fe00010, vr: 'OW', value: u16 }]
    .toSorted((a, b) => a.tag - b.tag);
};
const delimited = (elements: readonly Element[]): readonly Element[] => elements.map((element) =>
  Array.isArray(element.value) ? { ...element, undefinedLength: true, value: (element.value as readonly (readonly Element[])[]).map(delimited) } : element);
const known = (elements: readonly Element[]): readonly Element[] => elements.filter(({ tag }) => tag !== 0x00091001);

describe('toExplicitLittleEndian', () => {
  const all = (bigEndian: boolean): readonly Element[] => [...identityElements(), ...numbers(bigEndian)];

  it('gives Implicit VR the VRs of the dictionary, nested sequences included', () => {
    const reencoded = toExplicitLittleEndian(file(encode(known(all(false)), { implicitVR: true }), implicitLE));

    assert.deepEqual(reencoded, file(encode(delimited(known(all(false))), {}), explicitLE));
  });

  it('turns the numbers of Big Endian round, each by its size', () => {
    const reencoded = toExplicitLittleEndian(file(encode(all(true), { bigEndian: true }), explicitBE));

    assert.deepEqual(reencoded, file(encode(delimited(all(false))), explicitLE));
  });

  it('gives US or SS by Pixel Representation, UN to what no dictionary knows or is too long for its VR', () => {
    const signed: readonly Element[] = [{ tag: 0x00091001, vr: 'UN', value: Buffer.alloc(4) }, { tag: 0x00104000, vr: 'UN', value: Buffer.alloc(70_000, 0x20) }, { tag: 0x00280103, vr: 'US', value: Buffer.from('0100', 'hex') }, { tag: 0x00280106, vr: 'SS', value: Buffer.from('feff', 'hex') }];

    assert.deepEqual(toExplicitLittleEndian(file(encode(signed, { implicitVR: true }), implicitLE)), file(encode(signed), explicitLE));
  });

  it('drops group lengths and keeps an empty sequence', () => {
    const elements: readonly Element[] = [{ tag: 0x00080000, vr: 'UL', value: Buffer.alloc(4, 9) }, sequence(0x00081140, [])];

    assert.deepEqual(toExplicitLittleEndian(file(encode(elements, { implicitVR: true }), implicitLE)), file(encode(delimited(elements.slice(1))), explicitLE));
  });

  it('throws Unreadable, and nothing else, at bytes that are cut off or changed', () => {
    const random = seeded(7);
    for (const [uid, layout] of [[implicitLE, { implicitVR: true }], [explicitBE, { bigEndian: true }], [deflated, {}]] as const) {
      const whole = file(encode(all(uid === explicitBE), layout), uid);
      const start = file(Buffer.alloc(0), uid).length;
      for (let round = 0; round < 2000; round++) {
        const bytes = Buffer.from(whole.subarray(0, round % 2 ? whole.length : start + Math.floor(random() * (whole.length - start))));
        if (round % 2) bytes[start + Math.floor(random() * (bytes.length - start))] = Math.floor(random() * 256);
        try {
          toExplicitLittleEndian(bytes);
        } catch (error) {
          assert.equal((error as Error).name, 'Unreadable', String(error));
        }
      }
    }
  });

  it('refuses sequences without end', () => {
    const deep = Buffer.concat(Array.from({ length: 5000 }, () => Buffer.concat([itemHeader(0x00081140, 0xffffffff), itemHeader(0xfffee000, 0xffffffff)])));

    assert.throws(() => toExplicitLittleEndian(file(deep, implicitLE)), { name: 'Unreadable' });
  });
});
