import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import { toLittleEndian } from '../../../dicom/part10/littleEndian.ts';
import { deflated, encode, explicitBE, explicitLE, file, header, identityElements, implicitLE, itemHeader, randomBytesOf, seeded, sequence, type Element } from './dataSetBytes.ts';

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

describe('toLittleEndian, to Explicit VR', () => {
  const all = (bigEndian: boolean): readonly Element[] => [...identityElements(), ...numbers(bigEndian)];

  it('gives Implicit VR the VRs of the dictionary, nested sequences included', () => {
    const reencoded = toLittleEndian(file(encode(known(all(false)), { implicitVR: true }), implicitLE), explicitLE);

    assert.deepEqual(reencoded, file(encode(delimited(known(all(false))), {}), explicitLE));
  });

  it('turns the numbers of Big Endian round, each by its size', () => {
    const reencoded = toLittleEndian(file(encode(all(true), { bigEndian: true }), explicitBE), explicitLE);

    assert.deepEqual(reencoded, file(encode(delimited(all(false))), explicitLE));
  });

  it('gives US or SS by Pixel Representation, UN to what no dictionary knows or is too long for its VR', () => {
    const signed: readonly Element[] = [{ tag: 0x00091001, vr: 'UN', value: Buffer.alloc(4) }, { tag: 0x00104000, vr: 'UN', value: Buffer.alloc(70_000, 0x20) }, { tag: 0x00280103, vr: 'US', value: Buffer.from('0100', 'hex') }, { tag: 0x00280106, vr: 'SS', value: Buffer.from('feff', 'hex') }];

    assert.deepEqual(toLittleEndian(file(encode(signed, { implicitVR: true }), implicitLE), explicitLE), file(encode(signed), explicitLE));
  });

  it('drops group lengths and keeps an empty sequence', () => {
    const elements: readonly Element[] = [{ tag: 0x00080000, vr: 'UL', value: Buffer.alloc(4, 9) }, sequence(0x00081140, [])];

    assert.deepEqual(toLittleEndian(file(encode(elements, { implicitVR: true }), implicitLE), explicitLE), file(encode(delimited(elements.slice(1))), explicitLE));
  });

  it('throws what it says, and nothing else, at bytes that are cut off or changed', () => {
    const random = seeded(7);
    for (const [uid, layout] of [[implicitLE, { implicitVR: true }], [explicitBE, { bigEndian: true }], [deflated, {}]] as const) {
      const whole = file(encode(all(uid === explicitBE), layout), uid);
      const start = file(Buffer.alloc(0), uid).length;
      for (let round = 0; round < 2000; round++) {
        const bytes = Buffer.from(whole.subarray(0, round % 2 ? whole.length : start + Math.floor(random() * (whole.length - start))));
        if (round % 2) bytes[start + Math.floor(random() * (bytes.length - start))] = Math.floor(random() * 256);
        try {
          toLittleEndian(bytes, round % 4 < 2 ? explicitLE : implicitLE);
        } catch (error) {
          assert.ok(['Unreadable', 'Inexpressible'].includes((error as Error).name), String(error));
        }
      }
    }
  });

  it('refuses sequences without end', () => {
    const deep = Buffer.concat(Array.from({ length: 5000 }, () => Buffer.concat([itemHeader(0x00081140, 0xffffffff), itemHeader(0xfffee000, 0xffffffff)])));

    assert.throws(() => toLittleEndian(file(deep, implicitLE), explicitLE), { name: 'Unreadable' });
  });
});

describe('toLittleEndian, to Implicit VR', () => {
  const toImplicit = (elements: readonly Element[], layout = {}, uid: string = explicitLE): Buffer => toLittleEndian(file(encode(elements, layout), uid), implicitLE);
  const implicit = (elements: readonly Element[]): Buffer => file(encode(delimited(elements), { implicitVR: true }), implicitLE);

  it('leaves out the VRs, private ones and those of sequences within sequences included', () => {
    assert.deepEqual(toImplicit([...identityElements(), ...numbers(false)]), implicit([...identityElements(), ...numbers(false)]));
  });

  it('turns the numbers of Big Endian round', () => {
    assert.deepEqual(toImplicit([...identityElements(), ...numbers(true)], { bigEndian: true }, explicitBE), implicit([...identityElements(), ...numbers(false)]));
  });

  it('inflates a deflated data set first', () => {
    const whole = file(deflateRawSync(encode(identityElements())), deflated);

    assert.deepEqual(toLittleEndian(whole, implicitLE), implicit(identityElements()));
  });

  it('gives values beyond 64 KiB the length that explicit VR has no room for, and takes it back as UN', () => {
    const long: readonly Element[] = [{ tag: 0x00104000, vr: 'UN', value: Buffer.alloc(70_000, 0x20) }, { tag: 0x7fe00010, vr: 'OB', value: Buffer.alloc(66_000, 7) }];
    const there = toImplicit(long);

    assert.deepEqual(there, implicit(long));
    assert.deepEqual(toLittleEndian(there, explicitLE), file(encode(long.map((each) => ({ ...each, vr: each.vr === 'OB' ? 'OW' : each.vr }))), explicitLE));
  });

  it('reads a sequence that lies in UN of undefined length as implicit VR, and writes it as one', () => {
    const inner = encode([{ tag: 0x00080100, vr: 'SH', value: 'A ' }], { implicitVR: true });
    const hidden = Buffer.concat([header(0x00091002, 'UN', 0xffffffff), itemHeader(0xfffee000, inner.length), inner, itemHeader(0xfffee0dd, 0)]);

    assert.deepEqual(toLittleEndian(file(hidden, explicitLE), implicitLE), implicit([sequence(0x00091002, [[{ tag: 0x00080100, vr: 'SH', value: 'A ' }]])]));
  });

  it('refuses a number that a reader without VRs would take for text, or for a number of another size', () => {
    const windowAsFloat: readonly Element[] = [{ tag: 0x00281050, vr: 'FL', value: Buffer.alloc(4) }];
    const rowsAsLong: readonly Element[] = [{ tag: 0x00280010, vr: 'UL', value: Buffer.alloc(4) }];

    assert.throws(() => toImplicit(windowAsFloat), { name: 'Inexpressible', message: /\(0028,1050\) has VR FL/ });
    assert.throws(() => toImplicit(rowsAsLong), { name: 'Inexpressible' });
  });

  it('comes back as it was from every made-up data set of attributes that the dictionary knows', () => {
    const random = seeded(11);
    for (let round = 0; round < 500; round++) {
      const elements = delimited(aDataSet(random, 0));
      const there = toLittleEndian(file(encode(elements), explicitLE), implicitLE);

      assert.deepEqual(there, implicit(elements));
      assert.deepEqual(toLittleEndian(there, explicitLE), file(encode(elements), explicitLE));
    }
  });
});

/** Attributes of each kind of VR, some of them in items of sequences, up to four deep. */
const attributes: readonly (readonly [tag: number, vr: string])[] = [
  [0x00080020, 'DA'], [0x00080060, 'CS'], [0x00081030, 'LO'], [0x00081140, 'SQ'], [0x00082112, 'SQ'], [0x00100010, 'PN'], [0x00181310, 'US'], [0x00186020, 'SL'],
  [0x00189087, 'FD'], [0x00200013, 'IS'], [0x00209228, 'UL'], [0x00280009, 'AT'], [0x00281050, 'DS'], [0x0040a043, 'SQ'], [0x0040a160, 'UT'], [0x00660016, 'OF'],
];
function aDataSet(random: () => number, depth: number): readonly Element[] {
  const chosen = attributes.filter(([, vr]) => random() < 0.4 && (vr !== 'SQ' || depth < 4));
  return chosen.map(([tag, vr]) => ({ tag, vr, value: vr === 'SQ' ? Array.from({ length: Math.floor(random() * 3) }, () => aDataSet(random, depth + 1)) : randomBytesOf(random, 8 * Math.floor(random() * 4)) }));
}
