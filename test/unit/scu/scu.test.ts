import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { openAssociation } from '../../../edge-gateway/scu/association.ts';
import { echo } from '../../../edge-gateway/scu/echo.ts';
import { AssociationAborted, AssociationRejected, PeerTimeout, PeerUnreachable, type Peer } from '../../../edge-gateway/scu/errors.ts';
import { planAssociations, storeInstances, storeOn, type InstanceToSend, type StoreResult } from '../../../edge-gateway/scu/store.ts';
import { aDicomServer, closeDicomServers, until } from '../../support/aDicomServer.ts';
import { ctImage, explicitLE, implicitLE, item, pdu, pdv } from '../../support/scriptedPeer.ts';

const peerAt = (port: number): Peer => ({ host: '127.0.0.1', port, callingAETitle: 'SENDER', calledAETitle: 'PACS' });
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** @param pieceBytes how the source cuts it */
const anInstance = (sopInstanceUID: string, bytes: Buffer, pieceBytes = 10_000, transferSyntaxUID = explicitLE): InstanceToSend & { open(): AsyncIterable<Buffer> } => ({
  sopClassUID: ctImage, sopInstanceUID, transferSyntaxUID,
  async *open() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield await Promise.resolve(bytes.subarray(at, at + pieceBytes));
  },
});

async function all(results: AsyncIterable<StoreResult>): Promise<readonly StoreResult[]> {
  const list: StoreResult[] = [];
  for await (const result of results) list.push(result);
  return list;
}

const sockets: Socket[] = [];
const listeners: ReturnType<typeof createServer>[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const listener of listeners.splice(0)) listener.close();
  await closeDicomServers();
});

/** A listener that answers whatever arrives with literal bytes, one entry per arrival. */
function aScriptedAcceptor(...answers: readonly (Buffer | 'reset')[]): Promise<number> {
  return new Promise((resolve) => {
    const listener = createServer((socket) => {
      const queue = [...answers];
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => {
        const answer = queue.shift();
        if (answer === 'reset') socket.resetAndDestroy();
        else if (answer) socket.write(answer);
      });
    });
    listeners.push(listener);
    listener.listen(0, '127.0.0.1', () => resolve((listener.address() as AddressInfo).port));
  });
}

/** An A-ASSOCIATE-AC that accepts context 1. */
const associateAC = (maxLengthBytes = 16_384): Buffer => {
  const maxLength = Buffer.alloc(4);
  maxLength.writeUInt32BE(maxLengthBytes);
  return pdu(2, Buffer.concat([
    Buffer.of(0, 1, 0, 0), Buffer.alloc(64, ' '), item(0x10, '1.2.840.10008.3.1.1.1'),
    item(0x21, Buffer.concat([Buffer.of(1, 0, 0, 0), item(0x40, explicitLE)])), item(0x50, Buffer.concat([item(0x51, maxLength), item(0x52, '1.2')])),
  ]));
};
const contexts = [{ abstractSyntaxUID: ctImage, transferSyntaxUIDs: [explicitLE] }];

describe('C-ECHO', () => {
  it('has status 0 from a server that is well', async () => {
    const { port, server } = await aDicomServer();

    assert.equal(await echo(peerAt(port)), 0);

    await until(() => server.stats().associationCount === 0, 'the association was released');
    assert.equal(server.stats().abortedCount, 0);
  });
});

describe('C-STORE', () => {
  it('sends instances byte for byte, however the source cuts them', async () => {
    const { port, kept, ends } = await aDicomServer();
    const instances = [1, 333, 4_096, 65_536, 1_000_000].map((pieceBytes, index) => ({ pieceBytes, uid: `1.2.${index}`, bytes: randomBytes(300_000 + 2 * index) }));

    const results = await all(storeInstances(peerAt(port), instances.map(({ uid, bytes, pieceBytes }) => anInstance(uid, bytes, pieceBytes))));

    assert.deepEqual(results, instances.map(({ uid }) => ({ outcome: 'answered', sopInstanceUID: uid, status: 0 })));
    assert.deepEqual(kept.map(({ sha256: hash }) => hash), instances.map(({ bytes }) => sha256(bytes)));
    await until(() => ends.length === 1, 'the session was told');
    assert.deepEqual(ends, ['released']);
  });

  for (const maxLengthBytes of [14, 1_001, 4_096, 1 << 20]) {
    it(`keeps to a maximum length of ${maxLengthBytes} bytes`, async () => {
      const { port, kept, incidents } = await aDicomServer({ limits: { maxLengthBytes } });
      const bytes = randomBytes(50_000);

      await all(storeInstances(peerAt(port), [anInstance('1.2.3', bytes)]));

      assert.deepEqual([kept[0]!.sha256, incidents], [sha256(bytes), []]);
    });
  }

  it('sends an empty data set as one empty fragment', async () => {
    const { port, kept } = await aDicomServer();

    await all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(0))]));

    assert.equal(kept[0]!.lengthBytes, 0);
  });

  it('yields each result as it comes, and goes on after a refused instance', async () => {
    const { port } = await aDicomServer({
      handle: ({ command }) => Promise.resolve(command.affectedSOPInstanceUID === '1.2.2' ? { status: 0xa900, errorComment: 'other SOP class' } : { status: 0xb000 }),
    });
    const statuses: unknown[] = [];

    for await (const result of storeInstances(peerAt(port), ['1.2.1', '1.2.2', '1.2.3'].map((uid) => anInstance(uid, Buffer.alloc(100))))) {
      statuses.push(result.outcome === 'answered' && [result.status, result.errorComment]);
    }

    assert.deepEqual(statuses, [[0xb000, undefined], [0xa900, 'other SOP class'], [0xb000, undefined]]);
  });

  it('says of an instance that no context was accepted for it, and sends the others', async () => {
    const { port, kept } = await aDicomServer();
    const instances = [anInstance('1.2.1', Buffer.alloc(10), 10, '1.2.3.4'), anInstance('1.2.2', Buffer.alloc(10))];

    const results = await all(storeInstances(peerAt(port), instances));

    assert.deepEqual(results[0], { outcome: 'notAccepted', sopInstanceUID: '1.2.1', contextResult: 4 });
    assert.equal(kept.length, 1);
  });

  it('proposes other transfer syntaxes in contexts of their own, and counts them', async () => {
    const instances = Array.from({ length: 50 }, (_, index) => ({ ...anInstance(`1.2.${index}`, Buffer.alloc(10), 10, '1.2.840.10008.1.2.4.90'), sopClassUID: `1.3.${index}`, otherTransferSyntaxUIDs: [explicitLE, implicitLE] }));

    const batches = planAssociations([...instances, instances[0]!]);

    assert.deepEqual(batches.map((batch) => [batch.instances.length, batch.contexts.length]), [[42, 126], [9, 27]]);
    assert.deepEqual(batches[0]!.contexts.slice(0, 3).map(({ transferSyntaxUIDs }) => transferSyntaxUIDs), [['1.2.840.10008.1.2.4.90'], [explicitLE], [implicitLE]]);
  });

  it('takes as many associations as 128 contexts each make necessary, in the order of the instances', async () => {
    const { port, associations } = await aDicomServer();
    const instances = Array.from({ length: 300 }, (_, index) => ({ ...anInstance(`1.2.${index}`, Buffer.alloc(10)), sopClassUID: `1.3.${index}` }));

    const results = await all(storeInstances(peerAt(port), instances));

    assert.deepEqual(results.map((result) => result.sopInstanceUID), instances.map((instance) => instance.sopInstanceUID));
    assert.equal(associations.length, 3);
  });

  it('proposes one context per pair of SOP Class and transfer syntax', () => {
    const instances = [explicitLE, implicitLE, explicitLE].map((transferSyntaxUID, index) => anInstance(`1.2.${index}`, Buffer.alloc(0), 1, transferSyntaxUID));

    const [only] = planAssociations(instances);

    assert.deepEqual(only!.contexts.map((context) => context.transferSyntaxUIDs), [[explicitLE], [implicitLE]]);
  });

  it('aborts the association when the instance cannot be read, and throws the reader\'s error', async () => {
    const { port, ends, interrupted } = await aDicomServer();
    const broken: InstanceToSend = {
      ...anInstance('1.2.3', Buffer.alloc(0)),
      async *open() {
        yield await Promise.resolve(Buffer.alloc(300_000));
        throw new Error('the archive is away');
      },
    };

    await assert.rejects(all(storeInstances(peerAt(port), [broken])), /the archive is away/);

    await until(() => ends.length === 1, 'the session was told');
    assert.deepEqual([interrupted, ends], [['aborted'], ['aborted']]);
  });

  it('reads the source no faster than the peer takes it', async () => {
    let isPaused = true;
    const gate = Promise.withResolvers<void>();
    const { port } = await aDicomServer({
      handle: async ({ dataSet }) => {
        await dataSet!.consume(() => (isPaused ? gate.promise : undefined));
        return { status: 0 };
      },
    });
    let readBytes = 0;
    const total = 64 * 1024 * 1024;
    const huge: InstanceToSend = {
      ...anInstance('1.2.3', Buffer.alloc(0)),
      async *open() {
        for (const piece = Buffer.alloc(65_536); readBytes < total; readBytes += piece.length) yield await Promise.resolve(piece);
      },
    };

    const results = all(storeInstances(peerAt(port), [huge]));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const readWhilePaused = readBytes;
    isPaused = false;
    gate.resolve();

    assert.equal((await results)[0]!.outcome, 'answered');
    assert.ok(readWhilePaused < 20 * 1024 * 1024, `${readWhilePaused} bytes`);
  });

  it('names the mover when it is a sub-operation of a C-MOVE', async () => {
    const originators: unknown[] = [];
    const { port } = await aDicomServer({
      handle: ({ command }) => {
        originators.push([command.moveOriginatorApplicationEntityTitle, command.moveOriginatorMessageID]);
        return Promise.resolve({ status: 0 });
      },
    });

    await all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(2))], { moveOriginator: { aeTitle: 'WS1', messageID: 12 } }));

    assert.deepEqual(originators, [['WS1', 12]]);
  });
});

describe('an association that does not come about or breaks', () => {
  it('throws AssociationRejected with what the peer said', async () => {
    const { port } = await aDicomServer({ aeTitles: ['OTHER'] });

    await assert.rejects(echo(peerAt(port)), (error) => error instanceof AssociationRejected && !error.transient &&
      error.message === `PACS at 127.0.0.1:${port} (calling as SENDER) rejected the association: called AE title not recognized (1/1/7)`);
  });

  it('calls a rejection for congestion transient', async () => {
    const { port } = await aDicomServer({ limits: { maxAssociations: 0 } });

    await assert.rejects(echo(peerAt(port)), (error) => error instanceof AssociationRejected && error.transient);
  });

  it('throws PeerUnreachable where nobody listens', async () => {
    const { port, server } = await aDicomServer();
    await server.close({ drainMs: 0 });

    await assert.rejects(echo(peerAt(port)), (error) => error instanceof PeerUnreachable && error.message.includes('ECONNREFUSED'));
  });

  it('throws PeerTimeout when the peer does not answer A-ASSOCIATE-RQ', async () => {
    const port = await aScriptedAcceptor();

    await assert.rejects(echo(peerAt(port), { timeouts: { associateMs: 50 } }),
      (error) => error instanceof PeerTimeout && error.message.endsWith('did not answer A-ASSOCIATE-RQ within 50 ms'));
  });

  it('throws PeerTimeout when the peer does not answer a request', async () => {
    const port = await aScriptedAcceptor(associateAC());

    await assert.rejects(all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(10))], { timeouts: { responseMs: 50 } })), PeerTimeout);
  });

  it('throws PeerTimeout when the peer stops taking a data set', async () => {
    const gate = Promise.withResolvers<void>();
    const { port } = await aDicomServer({ handle: async ({ dataSet }) => ({ status: await dataSet!.consume(() => gate.promise) }) });

    await assert.rejects(all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(50_000_000))], { timeouts: { responseMs: 100 } })),
      (error) => error instanceof PeerTimeout && error.message.includes('took nothing of a data set'));
    gate.resolve();
  });

  it('throws AssociationAborted with source and reason when the peer aborts', async () => {
    const port = await aScriptedAcceptor(associateAC(), pdu(7, Buffer.of(0, 0, 2, 5)));

    await assert.rejects(all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(10))])),
      (error) => error instanceof AssociationAborted && error.abort.by === 'peer' && error.abort.reason === 5);
  });

  it('throws AssociationAborted when the connection is cut', async () => {
    const port = await aScriptedAcceptor(associateAC(), 'reset');

    await assert.rejects(all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(10_000_000))])),
      (error) => error instanceof AssociationAborted && error.abort.by === 'transport');
  });

  for (const [what, answer] of [
    ['no DICOM at all', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['an A-ASSOCIATE-AC without items', pdu(2, Buffer.alloc(68))],
    ['a maximum length that leaves no room for a message', associateAC(5)],
    ['an A-ASSOCIATE-RQ', pdu(1, Buffer.alloc(68))],
  ] as const) {
    it(`throws AssociationAborted when the answer is ${what}`, async () => {
      const port = await aScriptedAcceptor(answer);

      await assert.rejects(openAssociation({ ...peerAt(port), contexts }), AssociationAborted);
    });
  }

  it('throws AssociationAborted for a response to a message that was not sent', async () => {
    const response = Buffer.from('000000010200000001800000200102000000630000000008020000000101', 'hex');
    const port = await aScriptedAcceptor(associateAC(), pdu(4, pdv(1, 3, response)));

    await assert.rejects(all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(10))])),
      (error) => error instanceof AssociationAborted && error.abort.by === 'provider');
  });

  it('stops with the reason of the signal', async () => {
    const port = await aScriptedAcceptor(associateAC());
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('cancelled by the workflow')), 30);

    await assert.rejects(all(storeInstances(peerAt(port), [anInstance('1.2.3', Buffer.alloc(10))], { signal: controller.signal })), /cancelled by the workflow/);
  });

  it('throws RangeError for a proposal that cannot be sent', async () => {
    await assert.rejects(openAssociation({ ...peerAt(1), calledAETitle: 'LONGER_THAN_16_CHARS', contexts }), RangeError);
    await assert.rejects(openAssociation({ ...peerAt(1), contexts: [] }), RangeError);
  });

  it('throws the same error again for each request after it', async () => {
    const port = await aScriptedAcceptor(associateAC(), pdu(7, Buffer.alloc(4)));
    const association = await openAssociation({ ...peerAt(port), contexts });
    const store = (): Promise<unknown> => storeOn(association, { context: association.contexts[0]!, sopInstanceUID: '1.2', dataSet: anInstance('1.2', Buffer.alloc(2)).open() });

    await assert.rejects(store(), AssociationAborted);

    await assert.rejects(store(), AssociationAborted);
    await association.release();
  });
});
