import assert from 'node:assert/strict';
import { InvalidPdu, codecs } from '../../../edge-gateway/upper-layer/fields.ts';
import { itemTables } from '../../../edge-gateway/upper-layer/items.ts';
import {
  dataHeader, decodePdu, encodeAbort, encodeAssociateAccept, encodeAssociateReject, encodeAssociateRequest, encodeReleaseRequest,
  encodeReleaseResponse, pduTables, type AssociateAccept, type AssociateRequest,
} from '../../../edge-gateway/upper-layer/pdu.ts';
import { seeded } from '../../support/aDicomServer.ts';

/** Hex digits with spaces, and comments from `#` to the end of the line. */
const hex = (text: string): Buffer => Buffer.from(text.replace(/#.*$/gm, '').replace(/\s+/g, ''), 'hex');
const ascii = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

const request: AssociateRequest = {
  protocolVersion: 1, calledAETitle: 'PACS', callingAETitle: 'CT1', applicationContextUID: '1.2.840.10008.3.1.1.1',
  presentationContexts: [{ id: 1, abstractSyntaxUID: '1.2.840.10008.1.1', transferSyntaxUIDs: ['1.2.840.10008.1.2', '1.2.840.10008.1.2.1'] }],
  userInformation: {
    maxLengthBytes: 262_144, implementationClassUID: '1.2.3', implementationVersionName: 'V1',
    asynchronousOperations: { maxInvoked: 5, maxPerformed: 1 },
    roleSelections: [{ sopClassUID: '1.2', scuRole: 1, scpRole: 0 }],
    extendedNegotiations: [{ sopClassUID: '1.3', information: hex('0200') }],
    commonExtendedNegotiations: [{ sopClassUID: '1.4', serviceClassUID: '1.5', relatedGeneralSopClassUIDs: ['1.6', '1.77'] }],
    userIdentity: { type: 2, positiveResponseRequested: 1, primary: Buffer.from('me'), secondary: Buffer.from('pw') },
  },
};

const requestBytes = hex(`
  01 00 00000108                                      # A-ASSOCIATE-RQ, PS3.8 Table 9-11
  0001 0000                                           # protocol version 1, reserved
  ${ascii('PACS            ')}                        # called AE title
  ${ascii('CT1             ')}                        # calling AE title
  ${'00'.repeat(32)}                                  # reserved
  10 00 0015 ${ascii('1.2.840.10008.3.1.1.1')}        # application context
  20 00 0045 01 00 00 00                              # presentation context 1
     30 00 0011 ${ascii('1.2.840.10008.1.1')}
     40 00 0011 ${ascii('1.2.840.10008.1.2')}
     40 00 0013 ${ascii('1.2.840.10008.1.2.1')}
  50 00 005e                                          # user information
     51 00 0004 00040000                              # maximum length 262144
     52 00 0005 ${ascii('1.2.3')}                     # implementation class UID
     53 00 0004 0005 0001                             # asynchronous operations window
     54 00 0007 0003 ${ascii('1.2')} 01 00            # role selection: SCU
     55 00 0002 ${ascii('V1')}                        # implementation version name
     56 00 0007 0003 ${ascii('1.3')} 0200             # SOP Class Extended Negotiation
     57 00 0017 0003 ${ascii('1.4')} 0003 ${ascii('1.5')} 000b 0003 ${ascii('1.6')} 0004 ${ascii('1.77')}   # Common Extended
     58 00 000a 02 01 0002 ${ascii('me')} 0002 ${ascii('pw')}   # user identity: name and passcode
`);

const accept: AssociateAccept = {
  ...request,
  presentationContexts: [{ id: 1, result: 0, transferSyntaxUID: '1.2.840.10008.1.2' }, { id: 3, result: 4, transferSyntaxUID: '1.2' }],
  userInformation: {
    maxLengthBytes: 0, implementationClassUID: '1.2.3', roleSelections: [], extendedNegotiations: [], commonExtendedNegotiations: [],
    userIdentityResponse: { serverResponse: Buffer.alloc(0) },
  },
};

const acceptBytes = hex(`02 00 000000a4 0001 0000 ${ascii('PACS            ')} ${ascii('CT1             ')} ${'00'.repeat(32)}
  10 00 0015 ${ascii('1.2.840.10008.3.1.1.1')}
  21 00 0019 01 00 00 00 40 00 0011 ${ascii('1.2.840.10008.1.2')}
  21 00 000b 03 00 04 00 40 00 0003 ${ascii('1.2')}
  50 00 0017 51 00 0004 00000000 52 00 0005 ${ascii('1.2.3')} 59 00 0002 0000`);

describe('a PDU (PS3.8 9.3)', () => {
  it('encodes an A-ASSOCIATE-RQ with every item to its golden bytes', () => {
    assert.equal(encodeAssociateRequest(request).toString('hex'), requestBytes.toString('hex'));
  });

  it('decodes the golden A-ASSOCIATE-RQ to what was encoded', () => {
    assert.deepEqual(decodePdu(1, requestBytes.subarray(6)), { type: 'associateRequest', request });
  });

  it('encodes and decodes an A-ASSOCIATE-AC', () => {
    assert.equal(encodeAssociateAccept(accept).toString('hex'), acceptBytes.toString('hex'));
    assert.deepEqual(decodePdu(2, acceptBytes.subarray(6)), { type: 'associateAccept', accept });
  });

  it('encodes the PDUs of fixed length to their golden bytes', () => {
    assert.equal(encodeAssociateReject({ result: 1, source: 1, reason: 7 }).toString('hex'), '03000000000400010107');
    assert.equal(encodeReleaseRequest().toString('hex'), '05000000000400000000');
    assert.equal(encodeReleaseResponse().toString('hex'), '06000000000400000000');
    assert.equal(encodeAbort({ source: 2, reason: 6 }).toString('hex'), '07000000000400000206');
    assert.equal(dataHeader(3, 2, 0x1000).toString('hex'), '040000001006000010020302');
  });

  it('decodes the PDUs of fixed length', () => {
    assert.deepEqual(decodePdu(3, hex('00020301')), { type: 'associateReject', reject: { result: 2, source: 3, reason: 1 } });
    assert.deepEqual(decodePdu(5, hex('00000000')), { type: 'releaseRequest' });
    assert.deepEqual(decodePdu(6, hex('00000000')), { type: 'releaseResponse' });
    assert.deepEqual(decodePdu(7, hex('00000201')), { type: 'abort', abort: { source: 2, reason: 1 } });
  });

  it('drops the spaces around AE titles and the padding of UIDs', () => {
    const bytes = Buffer.from(requestBytes.subarray(6));
    bytes.write('  PACS\0\0', 4, 'latin1');

    const decoded = decodePdu(1, bytes);

    assert.equal(decoded.type === 'associateRequest' && decoded.request.calledAETitle, 'PACS');
  });

  it('passes over items that it does not know', () => {
    const unknown = hex('7700000301020399000000');

    const decoded = decodePdu(1, Buffer.concat([requestBytes.subarray(6), unknown]));

    assert.deepEqual(decoded, { type: 'associateRequest', request });
  });

  it('has reason 1 for a type that the Standard does not have', () => {
    assert.throws(() => decodePdu(9, Buffer.alloc(4)), (error) => error instanceof InvalidPdu && error.reason === 1);
  });

  for (const [what, from, to] of [
    ['an even context ID', '200000450100', '200000450200'],
    ['a context without an abstract syntax', '30000011', '31000011'],
    ['an item that is longer than the PDU', '5000005e', '5000005f'],
    ['a sub-item that is longer than its item', '5800000a', '5800000b'],
    ['a UID that is longer than its item', '570000170003', '57000017ffff'],
  ] as const) {
    it(`has reason 6 for ${what}`, () => {
      const text = requestBytes.toString('hex');
      const forged = hex(text.replace(from, to));

      assert.notEqual(forged.toString('hex'), text);
      assert.throws(() => decodePdu(1, forged.subarray(6)), (error) => error instanceof InvalidPdu && error.reason === 6);
    });
  }

  it('has reason 6 for a context ID that comes twice, and for no context at all', () => {
    const [context] = request.presentationContexts;
    const twice = encodeAssociateRequest({ ...request, presentationContexts: [context!, context!] });
    const none = encodeAssociateRequest({ ...request, presentationContexts: [] });

    assert.throws(() => decodePdu(1, twice.subarray(6)), InvalidPdu);
    assert.throws(() => decodePdu(1, none.subarray(6)), InvalidPdu);
  });

  it('comes back as it was from generated A-ASSOCIATE-RQs', () => {
    const next = seeded(20240);
    const uid = (): string => `1.2.${next(1e6)}.${next(1e6)}`;
    const some = <T>(make: (index: number) => T, most: number): T[] => Array.from({ length: next(most + 1) }, (_, index) => make(index));
    for (let round = 0; round < 200; round++) {
      const generated: AssociateRequest = {
        ...request,
        calledAETitle: `AE${next(1e9)}`,
        presentationContexts: [{ id: 255, abstractSyntaxUID: uid(), transferSyntaxUIDs: some(uid, 5) },
          ...some((index) => ({ id: 2 * index + 1, abstractSyntaxUID: uid(), transferSyntaxUIDs: some(uid, 5) }), 126)],
        userInformation: {
          ...request.userInformation, maxLengthBytes: next(0xffffffff),
          roleSelections: some(() => ({ sopClassUID: uid(), scuRole: next(2), scpRole: next(2) }), 10),
          commonExtendedNegotiations: some(() => ({ sopClassUID: uid(), serviceClassUID: uid(), relatedGeneralSopClassUIDs: some(uid, 4) }), 10),
        },
      };

      const decoded = decodePdu(1, encodeAssociateRequest(generated).subarray(6));

      assert.deepEqual(decoded, { type: 'associateRequest', request: generated });
    }
  });

  it('is decoded or refused as InvalidPdu, whatever its bytes', () => {
    const next = seeded(7);
    for (let round = 0; round < 20_000; round++) {
      const body = Buffer.from(requestBytes.subarray(6));
      for (let change = next(6); change >= 0; change--) body[next(body.length)] = next(256);

      try {
        decodePdu(1 + next(2), body.subarray(0, body.length - next(3) * next(100)));
      } catch (error) {
        assert.ok(error instanceof InvalidPdu, String(error));
      }
    }
  });
});

describe('a field table', () => {
  const lengths = { uint8: 1, uint16: 2, uint32: 4, aeTitle: 16, reserved1: 1, reserved2: 2, reserved32: 32 } as Record<string, number>;

  it('knows every kind of field that a table names', () => {
    for (const table of [...Object.values(pduTables), ...Object.values(itemTables)]) {
      for (const [, , kind] of table) assert.ok(kind in codecs);
    }
  });

  for (const [name, table] of [...Object.entries(pduTables), ...Object.entries(itemTables)]) {
    it(`of ${name} has its fields where the Standard counts them`, () => {
      let position: number = table[0][0];
      for (const [stated, , kind] of table) {
        if (stated !== 0) assert.equal(stated, position);
        position += lengths[kind] ?? Number.NaN;
      }
    });
  }
});
