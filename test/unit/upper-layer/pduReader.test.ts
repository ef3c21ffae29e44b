import assert from 'node:assert/strict';
import { InvalidPdu } from '../../../edge-gateway/upper-layer/fields.ts';
import { PduReader, type PduLimits } from '../../../edge-gateway/upper-layer/pduReader.ts';
import { seeded } from '../../support/aDicomServer.ts';
import { abortPdu, associateRQ, pdu, pdv, releaseRQ } from '../../support/scriptedPeer.ts';

const limits: PduLimits = { maxLengthBytes: 1_000, maxAssociateLengthBytes: 10_000 };

interface Reading {
  readonly reader: PduReader;
  readonly seen: string[];
}

/** Fragments are joined in `seen` so that the way they were cut does not matter. */
function aReader(options: Partial<PduLimits> & { readonly takesData?: boolean } = {}): Reading {
  const seen: string[] = [];
  let joined = '';
  const reader = new PduReader({
    pdu: ({ type }) => void seen.push(type),
    data: () => {
      seen.push('data');
      return options.takesData ?? true;
    },
    fragment: (contextId, control, bytes, ends) => {
      joined += bytes.toString('latin1');
      if (ends) seen.push(`${contextId}/${control} ${joined}`);
      if (ends) joined = '';
    },
  }, { ...limits, ...options });
  return { reader, seen };
}

const stream = Buffer.concat([
  associateRQ(),
  pdu(4, Buffer.concat([pdv(1, 3, Buffer.from('command')), pdv(1, 0, Buffer.from('first ')), pdv(1, 2, Buffer.alloc(0))])),
  pdu(4, pdv(3, 2, Buffer.from('second'))),
  releaseRQ, abortPdu,
]);
const whole = ['associateRequest', 'data', '1/3 command', '1/0 first ', '1/2 ', 'data', '3/2 second', 'releaseRequest', 'abort'];

describe('the PDU reader', () => {
  it('reads a stream in one piece', () => {
    const { reader, seen } = aReader();

    reader.push(stream);

    assert.deepEqual(seen, whole);
  });

  it('reads the same from single bytes and from pieces of any size', () => {
    const next = seeded(99);
    for (let most = 1; most < 60; most++) {
      const { reader, seen } = aReader();
      for (let at = 0; at < stream.length;) {
        const length = 1 + next(most);
        reader.push(stream.subarray(at, at + length));
        at += length;
      }

      assert.deepEqual(seen, whole);
    }
  });

  it('passes fragments on as slices of what it was given', () => {
    const chunk = pdu(4, pdv(1, 2, Buffer.from('pixels')));
    let passed: Buffer | undefined;
    const reader = new PduReader({ pdu: () => undefined, data: () => true, fragment: (_id, _control, bytes) => void (passed = bytes) }, limits);

    reader.push(chunk);

    assert.equal(passed?.buffer, chunk.buffer);
  });

  it('holds everything behind a fragment back until its promise settles', async () => {
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    const reader = new PduReader({
      pdu: ({ type }) => void seen.push(type), data: () => true,
      fragment: (_id, _control, bytes) => {
        seen.push(bytes.toString());
        return seen.length === 1 ? gate.promise : undefined;
      },
    }, limits);

    const wait = reader.push(Buffer.concat([pdu(4, Buffer.concat([pdv(1, 0, Buffer.from('a')), pdv(1, 2, Buffer.from('b'))])), releaseRQ]));
    assert.deepEqual(seen, ['a']);
    gate.resolve();
    await wait;

    assert.deepEqual(seen, ['a', 'b', 'releaseRequest']);
  });

  it('passes over a P-DATA-TF that is not wanted', () => {
    const { reader, seen } = aReader({ takesData: false });

    reader.push(stream);

    assert.deepEqual(seen, ['associateRequest', 'data', 'data', 'releaseRequest', 'abort']);
  });

  it('takes a P-DATA-TF of exactly the maximum length', () => {
    const { reader, seen } = aReader();

    reader.push(pdu(4, pdv(1, 2, Buffer.alloc(994, 'x'))));

    assert.deepEqual(seen.length, 2);
  });

  for (const [what, bytes, reason] of [
    ['a P-DATA-TF that is one byte longer than the maximum length', pdu(4, Buffer.alloc(0), 1_001), 6],
    ['a P-DATA-TF of 4 GiB', pdu(4, Buffer.alloc(0), 0xffffffff), 6],
    ['a P-DATA-TF without room for a PDV', pdu(4, Buffer.alloc(5)), 6],
    ['a PDV that is longer than its PDU', pdu(4, pdv(1, 3, Buffer.alloc(10), 13)), 6],
    ['a PDV length of 4 GiB', pdu(4, pdv(1, 3, Buffer.alloc(10), 0xffffffff)), 6],
    ['a PDV length of 1', pdu(4, pdv(1, 3, Buffer.alloc(10), 1)), 6],
    ['a PDV length of 0', pdu(4, pdv(1, 3, Buffer.alloc(10), 0)), 6],
    ['bytes behind the last PDV', pdu(4, Buffer.concat([pdv(1, 3, Buffer.alloc(4)), Buffer.alloc(3)])), 6],
    ['an A-ASSOCIATE-RQ beyond the limit', pdu(1, Buffer.alloc(0), 10_001), 6],
    ['an A-ASSOCIATE-RQ without its fixed fields', pdu(1, Buffer.alloc(0), 67), 6],
    ['an A-RELEASE-RQ of another length', pdu(5, Buffer.alloc(0), 5), 6],
    ['an A-ABORT of another length', pdu(7, Buffer.alloc(0), 1 << 20), 6],
    ['PDU type 0', pdu(0, Buffer.alloc(0)), 1],
    ['PDU type 8', pdu(8, Buffer.alloc(0)), 1],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 1],
  ] as const) {
    it(`refuses ${what} as soon as its header is there, with reason ${reason}`, () => {
      const { reader } = aReader();

      assert.throws(() => reader.push(bytes), (error) => error instanceof InvalidPdu && error.reason === reason);
    });
  }

  it('reads or refuses arbitrary bytes and throws nothing but InvalidPdu', () => {
    const next = seeded(4711);
    for (let round = 0; round < 5_000; round++) {
      const { reader } = aReader();
      const bytes = Buffer.from(stream);
      for (let change = next(4); change >= 0; change--) bytes[next(bytes.length)] = next(256);

      try {
        for (let at = 0; at < bytes.length; at += 37) reader.push(bytes.subarray(at, at + 37));
      } catch (error) {
        assert.ok(error instanceof InvalidPdu, String(error));
      }
    }
  });
});
