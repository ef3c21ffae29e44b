import assert from 'node:assert/strict';
import {
  associateRQ, command, commandUint16, ctImage, echoRQ, explicitLE, implicitLE, item, pdu, pdv, releaseRQ, storeRQ, verification, type ScriptedPeer,
} from '../support/scriptedPeer.ts';
import { aDataSet } from '../unit/spool/support.ts';
import { MiB, besiegedGateway, hostile, until } from './harness/besieged.ts';

const fragment = (contextId: number, control: number, lengthBytes: number): Buffer => pdu(4, pdv(contextId, control, Buffer.alloc(lengthBytes, 1)));
const aeTitles = (calling: string, called = 'PACS'): Buffer => {
  const bytes = associateRQ();
  bytes.write(called.padEnd(16), 10, 'latin1');
  bytes.write(calling.padEnd(16), 26, 'latin1');
  return bytes;
};

describe('hostile associations', function () {
  this.timeout(60_000);
  const site = besiegedGateway();

  for (const [what, bytes, answer] of [
    ['an A-ASSOCIATE-RQ that says 4 GiB', pdu(1, Buffer.alloc(68), 0xffffffff), '07 00000000'],
    ['an A-ASSOCIATE-RQ that says 0 bytes', pdu(1, Buffer.alloc(68), 0), '07 00000000'],
    ['a PDU type that does not exist', pdu(0x80, Buffer.alloc(100), 0x7fffffff), '07 00000000'],
    ['TLS spoken to the plain port', Buffer.from('16030100c8010000c40303', 'hex'), '07 00000000'],
    ['a megabyte of noise', Buffer.alloc(MiB, 'DOE^JOHN'), '07 00000000'],
    ['an even presentation context ID', associateRQ({ contexts: [[2, ctImage, explicitLE]] }), '07 00000000'],
    ['a presentation context ID that comes twice', associateRQ({ contexts: [[1, ctImage, explicitLE], [1, verification, implicitLE]] }), '07 00000000'],
    ['3000 presentation contexts', associateRQ({ contexts: Array.from({ length: 3000 }, (_, index) => [(2 * index + 1) % 256, ctImage, explicitLE] as const) }), '07 00000000'],
    ['an item that overruns its PDU', pdu(1, Buffer.concat([associateRQ().subarray(6), item(0x20, 'short', 60_000)])), '07 00000000'],
  ] as const) {
    it(`answers ${what} with A-ABORT ${answer.slice(-4)} by the service-user, since nothing is established`, async () => {
      const peer = await site().connected();

      peer.send(bytes);

      assert.equal(await peer.receiveHex(), answer);
      await peer.closed();
      await site().oneLine(/^connection closed: /);
    });
  }

  for (const [what, bytes, answer] of [
    ['a called AE title that is a path', aeTitles(hostile, '../../etc/passwd'), '03 00010107'],
    ['a called AE title with NUL in it', aeTitles(hostile, 'PA\0CS'), '03 00010107'],
    ['a calling AE title of NULs', aeTitles('\0'.repeat(16)), '03 00010103'],
    ['a calling AE title of spaces', aeTitles(''), '03 00010103'],
    ['a calling AE title with a line break', aeTitles('A\nB'), '03 00010103'],
    ['an application context of 60,000 bytes', associateRQ({ callingAETitle: hostile, applicationContextUID: '1.'.repeat(30_000) }), '03 00010102'],
  ] as const) {
    it(`rejects ${JSON.stringify(what)} with ${answer.slice(-4)} (PS3.8 9.3.4)`, async () => {
      const peer = await site().connected();

      peer.send(bytes);

      assert.equal(await peer.receiveHex(), answer);
      await peer.closed();
      await site().oneLine(/^association rejected$/);
    });
  }

  it('accepts 128 presentation contexts, each with twenty transfer syntaxes', async () => {
    const syntaxes = Array.from({ length: 20 }, (_, index) => (index === 19 ? implicitLE : `1.2.3.${index}`));
    const peer = await site().associated({ contexts: Array.from({ length: 128 }, (_, index) => [2 * index + 1, verification, ...syntaxes] as const) });

    peer.send(command(255, echoRQ(1)));
    assert.equal(commandUint16((await peer.receive())!, 0x0900), 0);
    peer.send(releaseRQ);

    assert.equal(await peer.receiveHex(), '06 00000000');
    peer.end();
    assert.deepEqual(site().incidents(), []);
  });

  for (const [what, answer, ...bytes] of [
    ['a P-DATA-TF that says 4 GiB', '07 00000206', pdu(4, Buffer.alloc(6), 0xffffffff)],
    ['a PDV that says 4 GiB', '07 00000206', pdu(4, pdv(1, 3, echoRQ(1), 0xffffffff))],
    ['a PDV of no bytes at all', '07 00000206', pdu(4, pdv(1, 3, Buffer.alloc(4), 0))],
    ['PDVs of two contexts that interleave', '07 00000206', command(3, storeRQ(1)), fragment(3, 0, 1000), fragment(1, 0, 1000)],
    ['a command in the middle of a data set', '07 00000206', command(3, storeRQ(1)), fragment(3, 0, 1000), command(3, storeRQ(2))],
    ['a data set without a command', '07 00000206', fragment(3, 0, 1000)],
    ['a command element that says 4 GiB', '07 00000206', command(1, Buffer.from('00000001ffffffff', 'hex'))],
    ['an A-ASSOCIATE-AC', '07 00000202', pdu(2, Buffer.concat([associateRQ().subarray(6, 74), item(0x21, Buffer.concat([Buffer.of(1, 0, 0, 0), item(0x40, implicitLE)]))]))],
    ['a second A-ASSOCIATE-RQ', '07 00000202', associateRQ()],
    ['a PDU type that does not exist', '07 00000201', pdu(0, Buffer.alloc(4))],
  ] as const satisfies readonly (readonly [string, string, ...Buffer[]])[]) {
    it(`answers ${what} within an association with A-ABORT ${answer.slice(-4)} by the service-provider`, async () => {
      const peer = await site().associated();

      peer.send(...bytes);

      assert.equal(await peer.receiveHex(), answer);
      await peer.closed();
      await site().oneLine(/^association aborted: /);
    });
  }

  for (const [what, leave] of [['FIN', (peer: ScriptedPeer) => peer.end()], ['RST', (peer: ScriptedPeer) => peer.reset()]] as const) {
    it(`keeps nothing of a PDV that is cut off by ${what}`, async () => {
      const peer = await site().associated();
      const whole = pdu(4, pdv(3, 0, aDataSet({ pixelBytes: 200_000 })));

      peer.send(command(3, storeRQ(1, '1.2.3.4')), whole.subarray(0, 100_000));
      await until('the bytes are on their way', () => peer.waitingBytes === 0);
      leave(peer);

      await site().oneLine(/^association aborted: the connection was closed/);
    });
  }
});
