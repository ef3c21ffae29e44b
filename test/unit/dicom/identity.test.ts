import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import { IdentityScanner } from '../../../dicom/part10/identity.ts';
import {
  deflated, encode, explicitBE, explicitLE, header, identity, identityElements, implicitLE, itemHeader, layoutOf,
  randomBytesOf, seeded, sequence,
} from './dataSetBytes.ts';

/** What a scanner says after a data set that comes in chunks of the given sizes, the last repeated. */
const scan = (bytes: Buffer, transferSyntaxUID: string, ...chunkBytes: readonly number[]) => {
  const scanner = new IdentityScanner(transferSyntaxUID);
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const length = chunkBytes[Math.min(n, chunkBytes.length - 1)] ?? bytes.length;
    scanner.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
  }
  scanner.end();
  return { state: scanner.state, result: scanner.result, problem: scanner.problem };
};

const dataSetIn = (transferSyntaxUID: string): Buffer => {
  const bytes = encode([...identityElements(), { tag: 0x00200013, vr: 'IS', value: '1' }], layoutOf(transferSyntaxUID));
  return transferSyntaxUID === deflated ? deflateRawSync(bytes) : bytes;
};

describe('IdentityScanner', () => {
  for (const transferSyntaxUID of [explicitLE, implicitLE, explicitBE, deflated]) {
    it(`finds the four UIDs in ${transferSyntaxUID}, however the bytes are split`, () => {
      const bytes = dataSetIn(transferSyntaxUID);
      const found = { state: 'found', result: identity, problem: undefined };

      for (let split = 1; split <= bytes.length; split += 1) {
        assert.deepEqual(scan(bytes, transferSyntaxUID, split, bytes.length), found, `split at ${split}`);
      }
      for (const size of [1, 2, 3, 7, 13]) assert.deepEqual(scan(bytes, transferSyntaxUID, size), found, `chunks of ${size}`);
    });
  }

  it('knows the UIDs before the rest of the instance has come', () => {
    const scanner = new IdentityScanner(explicitLE);

    scanner.push(encode(identityElements()));

    assert.equal(scanner.state, 'found');
  });

  it('names the UIDs that are not there once it is past their place', () => {
    const elements = identityElements().filter(({ tag }) => tag !== 0x00080018 && tag !== 0x0020000e);
    const scanner = new IdentityScanner(explicitLE);

    scanner.push(encode([...elements, { tag: 0x00200013, vr: 'IS', value: '1' }]));

    assert.equal(scanner.state, 'absent');
    assert.equal(scanner.problem, 'The data set has no value for (0008,0018), (0020,000E).');
    assert.equal(scanner.result.studyInstanceUID, identity.studyInstanceUID);
  });

  it('takes an empty UID for an absent one', () => {
    const elements = identityElements().map((element) => (element.tag === 0x0020000d ? { ...element, value: '' } : element));

    assert.equal(scan(encode(elements), explicitLE).state, 'absent');
  });

  it('does not mind group lengths, or the UIDs in another order', () => {
    const [first, ...rest] = identityElements();
    const shuffled = [rest[2], first, rest[0], rest[1], ...rest.slice(3)].filter((element) => element !== undefined);
    const groupLength = Buffer.concat([header(0x00080000, 'UL', 4), Buffer.from([1, 0, 0, 0])]);

    assert.equal(scan(Buffer.concat([groupLength, encode(shuffled)]), explicitLE).state, 'found');
  });

  it('ignores UIDs within sequences', () => {
    const bytes = encode([sequence(0x00081115, [identityElements()], true), { tag: 0x00200013, vr: 'IS', value: '1' }]);

    assert.deepEqual(scan(bytes, explicitLE, 5).result, {});
  });

  it('reads a UN sequence of undefined length as implicit VR', () => {
    const inner = encode([{ tag: 0x00080100, vr: 'SH', value: 'A' }], { implicitVR: true });
    const bytes = Buffer.concat([
      header(0x00091002, 'UN', 0xffffffff), itemHeader(0xfffee000, 0xffffffff), inner, itemHeader(0xfffee00d, 0), itemHeader(0xfffee0dd, 0),
      encode(identityElements().filter(({ tag }) => tag !== 0x00091001)),
    ]);

    assert.equal(scan(bytes, explicitLE, 3).state, 'found');
  });

  it('calls a data set unreadable that is in another encoding than its transfer syntax', () => {
    assert.equal(scan(dataSetIn(implicitLE), explicitLE).state, 'unreadable');
    assert.equal(scan(dataSetIn(explicitLE), implicitLE).state, 'unreadable');
    assert.equal(scan(dataSetIn(explicitLE), deflated).state, 'unreadable');
  });

  it('calls a data set unreadable that ends within an element', () => {
    const bytes = encode(identityElements()).subarray(0, -3);

    assert.equal(scan(bytes, explicitLE).state, 'unreadable');
  });

  it('survives forged lengths, deep nesting and endless empty elements', () => {
    const forged = Buffer.concat([header(0x00080008, 'UT', 0xfffffffe), Buffer.alloc(100_000)]);
    const deep = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.concat([header(0x00081115, 'SQ', 0xffffffff), itemHeader(0xfffee000, 0xffffffff)])));
    const longUID = Buffer.concat([header(0x00080016, 'UN', 0x7fffffff), Buffer.alloc(1000)]);

    assert.equal(scan(forged, explicitLE).state, 'unreadable');
    assert.equal(scan(deep, explicitLE, 11).problem, 'Sequences are nested too deeply.');
    assert.equal(scan(longUID, explicitLE).state, 'unreadable');
    assert.equal(scan(Buffer.alloc(9_000_000), implicitLE, 65536).state, 'unreadable');
  });

  it('gives up on a deflated data set that swells or hides its UIDs', () => {
    const bomb = deflateRawSync(encode([{ tag: 0x00080008, vr: 'UT', value: Buffer.alloc(32 * 1024 * 1024) }, ...identityElements()]));
    const random = seeded(4);
    const late = deflateRawSync(encode([{ tag: 0x00080008, vr: 'UT', value: randomBytesOf(random, 200_000) }, ...identityElements()]));

    assert.equal(scan(bomb, deflated, 4096).state, 'unreadable');
    assert.equal(scan(late, deflated, 4096).problem, 'The identifying UIDs do not lie within the first 64 KiB of the deflated data set.');
  });

  it('ends on arbitrary bytes without an exception, and alike for every split', () => {
    const random = seeded(2);

    for (let round = 0; round < 1500; round += 1) {
      const transferSyntaxUID = [explicitLE, implicitLE, explicitBE, deflated][round % 4] ?? explicitLE;
      const bytes = randomBytesOf(random, Math.floor(random() * 300));
      const original = dataSetIn(transferSyntaxUID);
      const mutated = Buffer.from(original);
      mutated[Math.floor(random() * original.length)] = Math.floor(random() * 256);
      for (const input of [bytes, mutated]) {
        assert.deepEqual(scan(input, transferSyntaxUID, 1 + Math.floor(random() * 20)), scan(input, transferSyntaxUID));
      }
    }
  });
});
