import assert from 'node:assert/strict';
import { DataSetInterrupted } from '../../../edge-gateway/services/service.ts';
import { aDicomServer, closeDicomServers, until } from '../../support/aDicomServer.ts';
import {
  ScriptedPeer, abortPdu, associateRQ, associatedPeer, command, commandUint16, ctImage, echoRQ, element, implicitLE, pdu, pdv, releaseRQ, storeRQ, verification,
  type RequestParts,
} from '../../support/scriptedPeer.ts';

afterEach(closeDicomServers);

const fragment = (contextId: number, control: number, lengthBytes: number): Buffer => pdu(4, pdv(contextId, control, Buffer.alloc(lengthBytes, 1)));
const statusOf = async (peer: ScriptedPeer): Promise<number | undefined> => {
  const received = await peer.receive();
  assert.equal(received?.type, 4);
  return commandUint16(received!, 0x0900);
};

describe('the acceptor, before there is an association', () => {
  for (const [what, parts, expected] of [
    ['a called AE title that is not ours', { calledAETitle: 'OTHER' }, '03 00010107'],
    ['a calling AE title with a control character', { callingAETitle: 'A\x01B' }, '03 00010103'],
    ['another application context', { applicationContextUID: '1.2.3' }, '03 00010102'],
    ['another protocol version', { protocolVersion: 2 }, '03 00010202'],
  ] as const satisfies readonly (readonly [string, RequestParts, string])[]) {
    it(`rejects ${what} with ${expected}`, async () => {
      const { port } = await aDicomServer();
      const peer = await ScriptedPeer.connect(port);

      peer.send(associateRQ(parts));

      assert.equal(await peer.receiveHex(), expected);
      assert.equal(await peer.receiveHex(), 'closed');
    });
  }

  it('rejects a calling AE title that is not on the list', async () => {
    const { port } = await aDicomServer({ policy: { callingAETitles: ['CT1'] } });
    const peer = await ScriptedPeer.connect(port);

    peer.send(associateRQ());

    assert.equal(await peer.receiveHex(), '03 00010103');
  });

  it('rejects what is beyond its limit of associations as local limit exceeded', async () => {
    const { port } = await aDicomServer({ limits: { maxAssociations: 1 } });
    const first = await associatedPeer(port);
    const second = await ScriptedPeer.connect(port);

    second.send(associateRQ());
    assert.equal(await second.receiveHex(), '03 00020302');
    first.send(releaseRQ);
    assert.equal(await first.receiveHex(), '06 00000000');

    await associatedPeer(port);
  });

  it('rejects as temporary congestion when no session can be opened', async () => {
    const { port, incidents } = await aDicomServer({ openSession: () => Promise.reject(new Error('disk')) });
    const peer = await ScriptedPeer.connect(port);

    peer.send(associateRQ());

    assert.equal(await peer.receiveHex(), '03 00020301');
    assert.equal(incidents[0], 'no session could be opened for the association');
  });

  it('closes a connection that stays silent when the ARTIM timer expires', async () => {
    const { port, incidents } = await aDicomServer({ limits: { artimTimeoutMs: 50 } });
    const peer = await ScriptedPeer.connect(port);

    await peer.closed();

    await until(() => incidents.length === 1, 'the incident was logged');
    assert.match(incidents[0]!, /ARTIM/);
  });

  it('closes a connection whose A-ASSOCIATE-RQ trickles in too slowly', async () => {
    const { port } = await aDicomServer({ limits: { artimTimeoutMs: 100 } });
    const peer = await ScriptedPeer.connect(port);
    const bytes = associateRQ();
    const timer = setInterval(() => peer.send(bytes.subarray(0, 1)), 20);

    peer.send(bytes.subarray(0, 80));
    await peer.closed();

    clearInterval(timer);
  });

  it('closes the oldest connection without a request when there are too many', async () => {
    const { port, server } = await aDicomServer({ limits: { maxHandshakes: 2 } });
    const peers = [await ScriptedPeer.connect(port), await ScriptedPeer.connect(port), await ScriptedPeer.connect(port)];

    await peers[0]!.closed();

    assert.equal(server.stats().handshakeCount, 2);
    peers[2]!.send(associateRQ());
    assert.equal((await peers[2]!.receive())?.type, 2);
  });

  for (const [what, bytes] of [
    ['an unknown PDU', pdu(0x42, Buffer.alloc(4))],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['an A-ASSOCIATE-RQ of 2 GiB', pdu(1, Buffer.alloc(68), 0x7fffffff)],
    ['a P-DATA-TF', command(1, echoRQ(1))],
    ['an A-ASSOCIATE-RJ', pdu(3, Buffer.of(0, 1, 1, 1))],
    ['an A-RELEASE-RQ', releaseRQ],
    ['a request whose item overruns it', pdu(1, associateRQ().subarray(6, -1))],
  ] as const) {
    it(`answers ${what} with A-ABORT as the service-user (AA-1)`, async () => {
      const { port, associations, incidents } = await aDicomServer();
      const peer = await ScriptedPeer.connect(port);

      peer.send(bytes);

      assert.equal(await peer.receiveHex(), '07 00000000');
      await peer.closed();
      await until(() => incidents.length === 1, 'the incident was logged once');
      assert.equal(associations.length, 0);
    });
  }
});

describe('the acceptor, during an association', () => {
  it('answers C-ECHO and the release', async () => {
    const { port, ends } = await aDicomServer();
    const peer = await associatedPeer(port);

    peer.send(command(1, echoRQ(77)));
    const response = await peer.receive();
    peer.send(releaseRQ);

    assert.equal(commandUint16(response!, 0x0100), 0x8030);
    assert.equal(commandUint16(response!, 0x0120), 77);
    assert.equal(commandUint16(response!, 0x0900), 0);
    assert.equal(await peer.receiveHex(), '06 00000000');
    peer.end();
    await until(() => ends.length === 1, 'the session was told');
    assert.deepEqual(ends, ['released']);
  });

  it('tells the session who calls', async () => {
    const { port, associations } = await aDicomServer({ clock: () => new Date('2026-01-02T03:04:05Z') });

    await associatedPeer(port, { callingAETitle: '  CT1', userItems: [] });

    const [association] = associations;
    assert.match(association!.associationId, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.deepEqual({ ...association, associationId: '' }, {
      associationId: '', callingAETitle: 'CT1', calledAETitle: 'PACS', peerAddress: '127.0.0.1', acceptedAt: '2026-01-02T03:04:05.000Z',
      peerImplementationClassUID: '1.2.3.4', peerImplementationVersionName: '',
    });
  });

  it('puts a data set together from fragments of any size over any number of PDUs', async () => {
    const { port, kept } = await aDicomServer();
    const peer = await associatedPeer(port);

    peer.send(pdu(4, Buffer.concat([pdv(3, 1, storeRQ(1).subarray(0, 20)), pdv(3, 3, storeRQ(1).subarray(20)), pdv(3, 0, Buffer.alloc(3))])));
    for (const length of [1, 5_000, 0, 200_000]) peer.send(fragment(3, 0, length));
    peer.send(fragment(3, 2, 0));

    assert.equal(await statusOf(peer), 0);
    assert.equal(kept[0]!.lengthBytes, 205_004);
  });

  it('answers requests that were sent ahead one after the other, in order', async () => {
    const { port, kept } = await aDicomServer();
    const peer = await associatedPeer(port);

    for (const id of [1, 2, 3]) peer.send(command(3, storeRQ(id, `1.2.${id}`)), fragment(3, 2, 100_000));

    for (const id of [1, 2, 3]) assert.equal(commandUint16((await peer.receive())!, 0x0120), id);
    assert.deepEqual(kept.map((instance) => instance.sopInstanceUID), ['1.2.1', '1.2.2', '1.2.3']);
  });

  it('finishes a request before it answers a release that was sent ahead', async () => {
    const { port } = await aDicomServer();
    const peer = await associatedPeer(port);

    peer.send(command(3, storeRQ(1)), fragment(3, 2, 10), releaseRQ);

    assert.equal(await statusOf(peer), 0);
    assert.equal(await peer.receiveHex(), '06 00000000');
  });

  it('passes over a C-CANCEL of an operation that has ended', async () => {
    const { port } = await aDicomServer();
    const peer = await associatedPeer(port);

    peer.send(command(3, Buffer.concat([element(0x0100, 0x0fff), element(0x0120, 1), element(0x0800, 0x0101)])), command(1, echoRQ(2)));

    assert.equal(await statusOf(peer), 0);
  });

  it('answers an operation that it does not have with 0211', async () => {
    const { port } = await aDicomServer();
    const peer = await associatedPeer(port);

    for (const field of [0x0020, 0x0130, 0x0077]) {
      peer.send(command(3, Buffer.concat([element(0x0100, field), element(0x0110, 9), element(0x0800, 0x0101)])));

      const response = await peer.receive();
      assert.equal(commandUint16(response!, 0x0100), field | 0x8000);
      assert.equal(commandUint16(response!, 0x0900), 0x0211);
    }
  });

  it('answers C-STORE with 0117 when the instance UID could be anything but a UID', async () => {
    const { port, kept } = await aDicomServer();
    const peer = await associatedPeer(port);

    for (const uid of ['../../../etc/passwd', '1..2', '', '1'.repeat(65)]) {
      peer.send(command(3, storeRQ(1, uid)), fragment(3, 2, 100));

      assert.equal(await statusOf(peer), 0x0117, uid);
    }
    assert.equal(kept.length, 0);
  });

  it('answers A700 when the session fails, and goes on', async () => {
    const { port } = await aDicomServer({ handle: () => Promise.reject(new Error('disk full')) });
    const peer = await associatedPeer(port);

    peer.send(command(3, storeRQ(1)), fragment(3, 2, 1_000_000 / 5));
    assert.equal(await statusOf(peer), 0xa700);
    peer.send(command(1, echoRQ(2)));

    assert.equal(await statusOf(peer), 0);
  });

  it('receives and drops what the session does not read before it answers', async () => {
    const { port } = await aDicomServer({ handle: () => Promise.resolve({ status: 0xa700, errorComment: 'the spool is full' }) });
    const peer = await associatedPeer(port);

    peer.send(command(3, storeRQ(1)), ...Array.from({ length: 20 }, () => fragment(3, 0, 200_000)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    peer.send(fragment(3, 2, 10));

    assert.equal(await statusOf(peer), 0xa700);
  });

  for (const [what, ...script] of [
    ['a second A-ASSOCIATE-RQ', '07 00000202', associateRQ()],
    ['an A-ASSOCIATE-RJ', '07 00000202', pdu(3, Buffer.of(0, 1, 1, 1))],
    ['an A-RELEASE-RP', '07 00000202', pdu(6, Buffer.alloc(4))],
    ['an unknown PDU', '07 00000201', pdu(9, Buffer.alloc(4))],
    ['a P-DATA-TF that is longer than what was negotiated', '07 00000206', pdu(4, Buffer.alloc(6), 262_145)],
    ['a P-DATA-TF of 4 GiB', '07 00000206', pdu(4, Buffer.alloc(6), 0xffffffff)],
    ['a PDV that is longer than its PDU', '07 00000206', pdu(4, pdv(1, 3, echoRQ(1), 1_000))],
    ['bytes behind the last PDV', '07 00000206', pdu(4, Buffer.concat([pdv(1, 1, Buffer.alloc(4)), Buffer.alloc(2)]))],
    ['a context that was not accepted', '07 00000206', command(5, echoRQ(1))],
    ['a command of random bytes', '07 00000206', command(1, Buffer.from('deadbeefcafebabe00112233', 'hex'))],
    ['an empty command', '07 00000206', command(1, Buffer.alloc(0))],
    ['a command element that is longer than the command', '07 00000206', command(1, Buffer.from('0000000100000020', 'hex'))],
    ['a command without Message ID', '07 00000206', command(1, Buffer.concat([element(0x0100, 0x30), element(0x0800, 0x101)]))],
    ['a response', '07 00000206', command(1, Buffer.concat([element(0x0100, 0x8030), element(0x0120, 1), element(0x0800, 0x101)]))],
    ['a command of more than 64 KiB', '07 00000206', fragment(1, 1, 65_537)],
    ['a data set without a command', '07 00000206', fragment(3, 2, 10)],
    ['a command inside a data set', '07 00000206', command(3, storeRQ(1)), command(3, storeRQ(2))],
    ['another context inside a data set', '07 00000206', command(3, storeRQ(1)), fragment(3, 0, 10), command(1, echoRQ(2))],
    ['another context inside a command', '07 00000206', pdu(4, Buffer.concat([pdv(3, 1, Buffer.alloc(10)), pdv(1, 1, Buffer.alloc(10))]))],
    ['a release inside a data set', '07 00000000', command(3, storeRQ(1)), fragment(3, 0, 10), releaseRQ],
  ] as const satisfies readonly (readonly [string, string, ...Buffer[]])[]) {
    const [expected, ...bytes] = script;
    it(`answers ${what} with A-ABORT ${expected.slice(-4)}, logs it once and tells the session`, async () => {
      const { port, ends, incidents } = await aDicomServer();
      const peer = await associatedPeer(port);

      peer.send(...bytes);

      assert.equal(await peer.receiveHex(), expected);
      await peer.closed();
      await until(() => ends.length === 1, 'the session was told');
      assert.deepEqual(ends, ['aborted']);
      assert.equal(incidents.length, 1);
    });
  }

  for (const [how, leave] of [
    ['aborted', (peer) => peer.send(abortPdu)], ['lost', (peer) => peer.reset()], ['lost', (peer) => peer.end()],
  ] as const satisfies readonly (readonly [string, (peer: ScriptedPeer) => void])[]) {
    it(`has the data set throw when the association is ${how} in the middle (${leave.toString().includes('end') ? 'FIN' : 'A-ABORT or RST'})`, async () => {
      const { port, kept, ends, interrupted, incidents, arrivedBytes } = await aDicomServer();
      const peer = await associatedPeer(port);

      peer.send(command(3, storeRQ(1)), fragment(3, 0, 100_000));
      await until(() => arrivedBytes() === 100_000, 'the first half arrived');
      leave(peer);

      await until(() => ends.length === 1, 'the session was told');
      assert.deepEqual([kept.length, interrupted, ends], [0, [how], [how]]);
      assert.equal(incidents.length, 1);
    });
  }

  it('aborts an association that is idle for too long', async () => {
    const { port, ends } = await aDicomServer({ limits: { idleTimeoutMs: 60 } });
    const peer = await associatedPeer(port);

    assert.equal(await peer.receiveHex(), '07 00000000');

    await until(() => ends.length === 1, 'the session was told');
    assert.deepEqual(ends, ['aborted']);
  });

  it('aborts an association that stops in the middle of a data set', async () => {
    const { port, interrupted } = await aDicomServer({ limits: { idleTimeoutMs: 60 } });
    const peer = await associatedPeer(port);

    peer.send(command(3, storeRQ(1)), fragment(3, 0, 100));

    assert.equal(await peer.receiveHex(), '07 00000000');
    await until(() => interrupted.length === 1, 'the data set was interrupted');
  });

  it('does not take its own slowness for the peer\'s silence', async () => {
    const handle = async (): Promise<{ status: number }> => {
      await new Promise((resolve) => setTimeout(resolve, 250));
      return { status: 0 };
    };
    const { port } = await aDicomServer({ limits: { idleTimeoutMs: 40 }, handle });
    const peer = await associatedPeer(port);

    peer.send(command(3, storeRQ(1)), fragment(3, 2, 100));

    assert.equal(await statusOf(peer), 0);
  });

  it('stops reading the socket while the session waits for the disk', async () => {
    let taken = 0;
    const gate = Promise.withResolvers<void>();
    const { port } = await aDicomServer({
      handle: async ({ dataSet }) => {
        await dataSet!.consume((bytes) => {
          taken += bytes.length;
          return gate.promise;
        });
        return { status: 0 };
      },
    });
    const peer = await associatedPeer(port);

    peer.send(command(3, storeRQ(1)), ...Array.from({ length: 50 }, () => fragment(3, 0, 200_000)), fragment(3, 2, 2));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const takenWhileClosed = taken;
    gate.resolve();

    assert.equal(await statusOf(peer), 0);
    assert.ok(takenWhileClosed <= 65_536, `${takenWhileClosed} bytes`);
    assert.equal(taken, 10_000_002);
  });

  it('never logs what the peer put into fields and data', async () => {
    const { port, logLines, ends } = await aDicomServer();
    const peer = await associatedPeer(port, { callingAETitle: 'CT1' });

    peer.send(command(3, storeRQ(1, 'DOE^JOHN')), pdu(4, pdv(3, 2, Buffer.from('DOE^JANE'))));
    await peer.receive();
    peer.send(command(1, Buffer.from('DOE^JIM DOE^JIM DOE^JIM!')));
    await until(() => ends.length === 1, 'the association ended');

    assert.doesNotMatch(logLines.join('\n'), /DOE/);
  });

  it('respects a peer that takes the smallest PDUs', async () => {
    const { port } = await aDicomServer();
    const peer = await associatedPeer(port, { maxLengthBytes: 20 });

    peer.send(command(1, echoRQ(1)));

    let bytes = Buffer.alloc(0);
    for (;;) {
      const received = await peer.receive();
      assert.ok(received!.body.length <= 20 && received!.body.length % 2 === 0);
      bytes = Buffer.concat([bytes, received!.body.subarray(6)]);
      if (received!.body[5] === 3) break;
    }
    assert.equal(commandUint16({ type: 4, body: Buffer.concat([Buffer.alloc(6), bytes]) }, 0x0100), 0x8030);
  });

  it('accepts 128 contexts and uses the last of them', async () => {
    const { port } = await aDicomServer();
    const contexts = Array.from({ length: 128 }, (_, index) => [2 * index + 1, index === 127 ? verification : ctImage, implicitLE] as const);
    const peer = await associatedPeer(port, { contexts });

    peer.send(command(255, echoRQ(1)));

    assert.equal(await statusOf(peer), 0);
  });
});

describe('the listener', () => {
  it('serves 20 associations at once and keeps them apart', async () => {
    const { port, kept, ends } = await aDicomServer();
    const uids = Array.from({ length: 20 }, (_, index) => `1.2.3.${index}`);

    await Promise.all(uids.map(async (uid, index) => {
      const peer = await associatedPeer(port);
      for (let instance = 0; instance < 5; instance++) {
        peer.send(command(3, storeRQ(instance, `${uid}.${instance}`)), fragment(3, 0, 50_000), fragment(3, 2, 2 * index));
        assert.equal(await statusOf(peer), 0);
      }
      peer.send(releaseRQ);
      assert.equal((await peer.receive())?.type, 6);
      peer.end();
    }));

    await until(() => ends.length === 20, 'every session was told');
    assert.equal(new Set(kept.map((instance) => instance.sopInstanceUID)).size, 100);
    for (const { sopInstanceUID, lengthBytes } of kept) assert.equal(lengthBytes, 50_000 + 2 * Number(sopInstanceUID.split('.')[3]));
  });

  it('lets associations end while it drains, and takes no new ones', async () => {
    const { port, server, ends } = await aDicomServer();
    const peer = await associatedPeer(port);

    const closing = server.close({ drainMs: 2_000 });
    await assert.rejects(ScriptedPeer.connect(port));
    peer.send(command(3, storeRQ(1)), fragment(3, 2, 10));
    assert.equal(await statusOf(peer), 0);
    peer.send(releaseRQ);
    await peer.receive();
    peer.end();
    await closing;

    assert.deepEqual(ends, ['released']);
  });

  it('aborts what still runs when the time to drain is over, and waits for the sessions', async () => {
    const { port, server, ends, interrupted, arrivedBytes } = await aDicomServer();
    const peer = await associatedPeer(port);
    peer.send(command(3, storeRQ(1)), fragment(3, 0, 10));
    await until(() => arrivedBytes() === 10, 'the data set began');

    await server.close({ drainMs: 30 });

    assert.equal(await peer.receiveHex(), '07 00000000');
    assert.deepEqual([interrupted, ends], [['aborted'], ['aborted']]);
  });

  it('says which port is taken', async () => {
    const { port } = await aDicomServer();

    await assert.rejects(aDicomServer({ port }), { code: 'EADDRINUSE' });
  });

  it('counts associations and messages', async () => {
    const { port, server } = await aDicomServer();
    const peer = await associatedPeer(port);
    peer.send(command(1, echoRQ(1)));
    await peer.receive();

    assert.deepEqual(server.stats(), { associationCount: 1, handshakeCount: 0, acceptedCount: 1, rejectedCount: 0, abortedCount: 0, messageCount: 1, turnedAwayCount: 0 });
  });
});

describe('an interrupted data set', () => {
  it('names how the association ended, and nothing else', () => {
    assert.equal(new DataSetInterrupted('lost').message, 'the association was lost before the data set was complete');
  });
});
