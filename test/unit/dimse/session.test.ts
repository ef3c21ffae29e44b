import assert from 'node:assert/strict';
import { AssociationOver, type AssociationLink, type CommandSet, type DimseResponse } from '../../../edge-gateway/services/service.ts';
import { composeSession, type DimseService } from '../../../edge-gateway/services/session.ts';
import { aDicomServer, closeDicomServers, until, type TestServer } from '../../support/aDicomServer.ts';
import { ScriptedPeer, associatedPeer, command, commandUint16, ctImage, element, explicitLE, implicitLE, item, pdu, pdv, releaseRQ, storeRQ } from '../../support/scriptedPeer.ts';

const find = '1.2.840.10008.5.1.4.1.2.2.1';
const get = '1.2.840.10008.5.1.4.1.2.2.3';
const [findField, getField] = [0x0020, 0x0010];
const services = new Map([find, get].map((uid) => [uid, { transferSyntaxUIDs: [implicitLE] }]));

const requestOf = (sopClassUID: string, field: number, messageID: number): Buffer =>
  Buffer.concat([element(0x0002, sopClassUID), element(0x0100, field), element(0x0110, messageID), element(0x0700, 0), element(0x0800, 0x0101)]);
const cancelOf = (messageID: number): Buffer => Buffer.concat([element(0x0100, 0x0fff), element(0x0120, messageID), element(0x0800, 0x0101)]);
const storeResponse = (messageID: number, status = 0): Buffer =>
  Buffer.concat([element(0x0002, ctImage), element(0x0100, 0x8001), element(0x0120, messageID), element(0x0800, 0x0101), element(0x0900, status)]);
const scpRole = item(0x54, Buffer.concat([Buffer.of(0, ctImage.length), Buffer.from(ctImage), Buffer.of(0, 1)]));

/** A server with one service beside a storage service that takes everything. */
function aServer(open: (link: AssociationLink) => DimseService, limits = {}): Promise<TestServer> {
  const storage: DimseService = { operations: [0x0001], handle: async ({ dataSet }) => ({ status: await dataSet!.consume(() => undefined) && 0 }) };
  return aDicomServer({ policy: { services, sendsInstances: true }, limits,
    openSession: composeSession([() => storage, (_, link) => open(link)]) });
}

const aPeer = (port: number, maxLengthBytes = 16_384): Promise<ScriptedPeer> => associatedPeer(port, { maxLengthBytes, userItems: [scpRole],
  contexts: [[1, find, implicitLE], [3, get, implicitLE], [5, ctImage, implicitLE, explicitLE]] });

const statusOf = async (peer: ScriptedPeer): Promise<number | undefined> => commandUint16((await peer.receive())!, 0x0900);

afterEach(closeDicomServers);

describe('a session of several services', () => {
  it('hands each request to the service of its command field and abstract syntax', async () => {
    const { port } = await aServer(() => ({ operations: [findField], abstractSyntaxUIDs: [find], handle: async () => ({ status: 0xa700 }) }));
    const peer = await aPeer(port);

    peer.send(command(1, requestOf(find, findField, 1)));
    const found = await statusOf(peer);
    peer.send(command(3, requestOf(get, findField, 2)));
    const foundElsewhere = await statusOf(peer);
    peer.send(command(5, storeRQ(3)), pdu(4, pdv(5, 2, Buffer.alloc(10))));
    const stored = await statusOf(peer);
    peer.send(command(1, storeRQ(4)), pdu(4, pdv(1, 2, Buffer.alloc(10))));
    const storedElsewhere = await statusOf(peer);

    assert.deepEqual([found, foundElsewhere, stored, storedElsewhere], [0xa700, 0x0211, 0, 0x0211]);
  });

  it('sends any number of pending responses with data sets before the last, fragmented to the peer\'s maximum length', async () => {
    const dataSet = Buffer.alloc(100, 7);
    const { port } = await aServer(() => ({ operations: [findField], abstractSyntaxUIDs: [find],
      handle: async (_, operation) => {
        for (let count = 0; count < 3; count++) await operation.respond({ status: 0xff00, dataSet });
        return { status: 0 };
      } }));
    const peer = await aPeer(port, 64);

    peer.send(command(1, requestOf(find, findField, 1)));
    const received = [];
    while (received.filter(({ control }) => control === 3).length < 4) {
      const { body } = (await peer.receive())!;
      assert.ok(body.length <= 64);
      received.push({ control: body.readUInt8(5), bytes: body.subarray(6) });
    }

    const data = received.filter(({ control }) => (control & 1) === 0).map(({ bytes }) => bytes);
    assert.deepEqual(Buffer.concat(data), Buffer.concat([dataSet, dataSet, dataSet]));
  });

  it('tells the service of a C-CANCEL-RQ that names its request, and of no other', async () => {
    const { port } = await aServer(() => ({ operations: [findField], abstractSyntaxUIDs: [find],
      handle: async (_, operation) => {
        await operation.respond({ status: 0xff00 });
        while (!operation.signal.aborted) await operation.respond({ status: 0xff01 }).then(() => new Promise((resolve) => setTimeout(resolve, 1)));
        return { status: operation.isCancelled ? 0xfe00 : 0 };
      } }));
    const peer = await aPeer(port);

    peer.send(command(1, requestOf(find, findField, 7)));
    assert.equal(await statusOf(peer), 0xff00);
    peer.send(command(1, cancelOf(8)));
    for (let count = 0; count < 5; count++) assert.equal(await statusOf(peer), 0xff01);
    peer.send(command(1, cancelOf(7)));
    let last = await statusOf(peer);
    while (last === 0xff01) last = await statusOf(peer);

    assert.equal(last, 0xfe00);
    peer.send(command(1, cancelOf(7)), releaseRQ);
    assert.equal(await peer.receiveHex(), '06 00000000', 'a cancel that comes too late is passed over');
  });

  it('sends sub-operations on the same association and counts their answers', async () => {
    const statuses: (number | undefined)[] = [];
    const { port } = await aServer((link) => ({ operations: [getField], abstractSyntaxUIDs: [get],
      handle: async (): Promise<DimseResponse> => {
        const context = link.contexts.find(({ requestorIsScp }) => requestorIsScp)!;
        for (const uid of ['1.2.1', '1.2.2']) statuses.push((await store(link, context.id, uid)).status);
        return { status: 0xb000, suboperations: { completed: 1, failed: 1, warning: 0 } };
      } }));
    const peer = await aPeer(port);

    peer.send(command(3, requestOf(get, getField, 1)));
    for (const answer of [0, 0xa700]) {
      const request = (await peer.receive())!;
      const dataSet = (await peer.receive())!;
      assert.deepEqual([request.body.readUInt8(4), dataSet.body.readUInt8(4), dataSet.body.readUInt8(5)], [5, 5, 2]);
      peer.send(command(5, storeResponse(commandUint16(request, 0x0110)!, answer)));
    }
    const final = (await peer.receive())!;

    assert.deepEqual(statuses, [0, 0xa700]);
    assert.deepEqual([0x0900, 0x1020, 0x1021, 0x1022, 0x1023].map((tag) => commandUint16(final, tag)), [0xb000, undefined, 1, 1, 0]);
  });

  it('aborts the association when a sub-operation is never answered, and tells the service', async () => {
    const errors: unknown[] = [];
    const { port } = await aServer((link) => ({ operations: [getField], abstractSyntaxUIDs: [get],
      handle: async () => {
        await store(link, 5, '1.2.1').catch((error: unknown) => errors.push(error));
        return { status: 0 };
      } }), { responseMs: 50 });
    const peer = await aPeer(port);

    peer.send(command(3, requestOf(get, getField, 1)));
    await peer.receive();
    await peer.receive();

    assert.equal(await peer.receiveHex(), '07 00000000');
    await until(() => errors.length === 1, 'the service was told');
    assert.ok(errors[0] instanceof AssociationOver);
  });

  it('aborts when a data set of ours breaks off half-way: nobody takes it for a whole one', async () => {
    const { port } = await aServer((link) => ({ operations: [getField], abstractSyntaxUIDs: [get],
      handle: async () => {
        await link.request(5, { affectedSOPClassUID: ctImage, commandField: 1, affectedSOPInstanceUID: '1.2.1', priority: 0 }, brokenOff());
        return { status: 0 };
      } }));
    const peer = await aPeer(port);

    peer.send(command(3, requestOf(get, getField, 1)));
    const request = await peer.receive();

    assert.equal(request?.type, 4);
    let next = await peer.receive();
    while (next?.type === 4) {
      assert.equal(next.body.readUInt8(5) & 2, 0, 'no fragment says that it is the last');
      next = await peer.receive();
    }
    assert.equal(next?.type, 7);
  });

  it('aborts on a response that no request waits for', async () => {
    const { port } = await aServer(() => ({ operations: [findField], abstractSyntaxUIDs: [find], handle: async () => ({ status: 0 }) }));
    const peer = await aPeer(port);

    peer.send(command(5, storeResponse(1)));

    assert.match(await peer.receiveHex(), /^07 /);
  });

  it('stops a service whose peer went away, and every service hears of the end once', async () => {
    const ends: string[] = [];
    const { port } = await aServer(() => ({ operations: [findField], abstractSyntaxUIDs: [find],
      handle: (_, operation) => new Promise((resolve) => operation.signal.addEventListener('abort', () => resolve({ status: 0 }))),
      ended: async (how) => void ends.push(how) }));
    const peer = await aPeer(port);

    peer.send(command(1, requestOf(find, findField, 1)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    peer.reset();

    await until(() => ends.length > 0, 'the service was told');
    assert.deepEqual(ends, ['lost']);
  });
});

const store = (link: AssociationLink, contextId: number, sopInstanceUID: string): Promise<CommandSet> =>
  link.request(contextId, { affectedSOPClassUID: ctImage, commandField: 1, affectedSOPInstanceUID: sopInstanceUID, priority: 0 }, Buffer.alloc(20));

async function* brokenOff(): AsyncGenerator<Buffer> {
  yield Buffer.alloc(40_000);
  throw new Error('the archive went away');
}
