import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { explicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { openAssociation } from '../../edge-gateway/scu/association.ts';
import { storeOn } from '../../edge-gateway/scu/store.ts';
import { storeInstances, type InstanceToSend } from '../../edge-gateway/scu/store.ts';
import { openPack } from '../../edge-gateway/spool/reader.ts';
import { readPackHeaders } from '../../stores/packs/packHeaders.ts';
import { aGatewayProcess, type GatewayProcess, type LogLine } from '../support/gatewayProcess.ts';
import {
  ScriptedPeer, associateRQ, associatedPeer, command, commandUint16, ctImage, echoRQ, explicitLE, implicitLE, item, pdu, pdv, releaseRQ, storeRQ, verification,
  type RequestParts,
} from '../support/scriptedPeer.ts';
import { aDataSet, aFolder, aSpool, removeFolders, type DataSetFields } from '../unit/spool/support.ts';

const MiB = 1024 * 1024;
/** The time-outs that the gateway is given, in seconds: a test waits for one of them or for two. */
const [artim, idle] = [1, 2];
/** What the process may grow by, garbage that is not collected yet included. */
const mostGrowthBytes = 200 * MiB;
const hostileAddress = '127.0.0.2';
const hostile = 'HOSTILE';

/** A modality that sends one instance after the other over one association, as long as the others try their worst. */
class GoodSender {
  readonly statuses: number[] = [];
  problem: unknown;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(port: number) {
    this.#running = this.#send(port).catch((error: unknown) => { this.problem = error; });
  }

  async #send(port: number): Promise<void> {
    const contexts = [{ abstractSyntaxUID: ctImage, transferSyntaxUIDs: [explicitVRLittleEndian] }];
    const association = await openAssociation({ host: '127.0.0.1', port, calledAETitle: 'PACS', callingAETitle: 'GOOD', contexts });
    const [context] = association.contexts;
    for (let number = 1; !this.#stopped; number++) {
      const sopInstanceUID = `1.2.3.4.${number}`;
      const { status } = await storeOn(association, { context: context!, sopInstanceUID, dataSet: Readable.from([aDataSet({ sopInstanceUID, pixelBytes: 20_000 })]) });
      this.statuses.push(status);
      await sleep(20);
    }
    await association.release();
  }

  /** Resolves when another instance was taken. */
  async progress(): Promise<void> {
    const before = this.statuses.length;
    await until('the good association goes on', () => this.problem !== undefined || this.statuses.length > before + 1);
    assert.equal(this.problem, undefined);
    assert.deepEqual(this.statuses.filter((status) => status !== 0), []);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !await holds(); await sleep(10)) if (Date.now() > end) throw new Error(`it never happened that ${what}`);
}

const fragment = (contextId: number, control: number, lengthBytes: number): Buffer => pdu(4, pdv(contextId, control, Buffer.alloc(lengthBytes, 1)));
const aeTitles = (calling: string, called = 'PACS'): Buffer => {
  const bytes = associateRQ();
  bytes.write(called.padEnd(16), 10, 'latin1');
  bytes.write(calling.padEnd(16), 26, 'latin1');
  return bytes;
};
/** A sequence within a sequence, so many deep, of undefined lengths. @param tag in hex, as its bytes come */
function nested(depth: number, tag: string): Buffer {
  const open = Buffer.from(`${tag}53510000fffffffffeff00e0ffffffff`, 'hex');
  const close = Buffer.from('feff0de000000000feffdde000000000', 'hex');
  return Buffer.concat([...Array<Buffer>(depth).fill(open), ...Array<Buffer>(depth).fill(close)]);
}

describe('hostile senders', function () {
  this.timeout(60_000);
  let spoolDir: string;
  let gateway: GatewayProcess;
  let good: GoodSender;
  let restingBytes: number;
  let restingHandles: number;
  let mark = 0;

  before(async function () {
    if (process.platform !== 'linux') return this.skip();
    spoolDir = await aFolder();
    gateway = await aGatewayProcess(spoolDir, { PACS_ARTIM_TIMEOUT_SECONDS: `${artim}`, PACS_IDLE_TIMEOUT_SECONDS: `${idle}` });
    good = new GoodSender(gateway.dicomPort);
    await good.progress();
    restingBytes = await gateway.memoryBytes();
    restingHandles = await gateway.handleCount();
  });
  beforeEach(() => { mark = gateway.log.length; });
  afterEach('nobody else was harmed', async () => {
    await good.progress();
    await until('only the good association is left', async () => {
      const { associationCount, handshakeCount } = (await gateway.status()).associations;
      return associationCount === 1 && handshakeCount === 0;
    });
    await until('all file handles but a few are closed again', async () => await gateway.handleCount() <= restingHandles + 8);
    const grownBytes = await gateway.memoryBytes() - restingBytes;
    assert.ok(grownBytes < mostGrowthBytes, `${(grownBytes / MiB).toFixed(0)} MiB more`);
    assert.doesNotMatch(JSON.stringify(gateway.log), /DOE|JOHN/);
  });
  after(async () => {
    await good?.stop();
    await gateway?.kill();
    await removeFolders();
  });

  const connected = () => ScriptedPeer.connect(gateway.dicomPort, hostileAddress);
  const associated = (parts: RequestParts = {}) => associatedPeer(gateway.dicomPort, { callingAETitle: hostile, ...parts }, hostileAddress);
  /** What was logged of the hostile one since the test began, but for the cloud's absence and associations that went well. */
  const incidents = (): readonly LogLine[] => gateway.log.slice(mark).filter(({ level, peerAddress, callingAETitle }) => level >= 40 && (peerAddress === hostileAddress || callingAETitle === hostile));
  const oneLine = async (sentence: RegExp): Promise<void> => {
    await until('the incident is logged', () => incidents().length > 0);
    assert.equal(incidents().length, 1, JSON.stringify(incidents()));
    assert.match(incidents()[0]!.msg, sentence);
  };

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
      const peer = await connected();

      peer.send(bytes);

      assert.equal(await peer.receiveHex(), answer);
      await peer.closed();
      await oneLine(/^connection closed: /);
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
      const peer = await connected();

      peer.send(bytes);

      assert.equal(await peer.receiveHex(), answer);
      await peer.closed();
      await oneLine(/^association rejected$/);
    });
  }

  it('accepts 128 presentation contexts, each with twenty transfer syntaxes', async () => {
    const syntaxes = Array.from({ length: 20 }, (_, index) => (index === 19 ? implicitLE : `1.2.3.${index}`));
    const peer = await associated({ contexts: Array.from({ length: 128 }, (_, index) => [2 * index + 1, verification, ...syntaxes] as const) });

    peer.send(command(255, echoRQ(1)));
    assert.equal(commandUint16((await peer.receive())!, 0x0900), 0);
    peer.send(releaseRQ);

    assert.equal(await peer.receiveHex(), '06 00000000');
    peer.end();
    assert.deepEqual(incidents(), []);
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
      const peer = await associated();

      peer.send(...bytes);

      assert.equal(await peer.receiveHex(), answer);
      await peer.closed();
      await oneLine(/^association aborted: /);
    });
  }

  for (const [what, leave] of [['FIN', (peer: ScriptedPeer) => peer.end()], ['RST', (peer: ScriptedPeer) => peer.reset()]] as const) {
    it(`keeps nothing of a PDV that is cut off by ${what}`, async () => {
      const peer = await associated();
      const whole = pdu(4, pdv(3, 0, aDataSet({ pixelBytes: 200_000 })));

      peer.send(command(3, storeRQ(1, '1.2.3.4')), whole.subarray(0, 100_000));
      await until('the bytes are on their way', () => peer.waitingBytes === 0);
      leave(peer);

      await oneLine(/^association aborted: the connection was closed/);
    });
  }

  describe('with UIDs that are none', () => {
    const send = async (sopInstanceUID: string, dataSet: Buffer): Promise<number | undefined> => {
      const peer = await associated();
      peer.send(command(3, storeRQ(1, sopInstanceUID)));
      for (let at = 0; at < dataSet.length; at += 100_000) peer.send(pdu(4, pdv(3, at + 100_000 >= dataSet.length ? 2 : 0, dataSet.subarray(at, at + 100_000))));
      const status = commandUint16((await peer.receive())!, 0x0900);
      peer.send(command(1, echoRQ(2)));
      assert.equal(commandUint16((await peer.receive())!, 0x0900), 0, 'the association goes on');
      peer.send(releaseRQ);
      assert.equal((await peer.receive())?.type, 6);
      peer.end();
      return status;
    };

    for (const uid of ['../../../../tmp/x', `1.${'2'.repeat(63)}`, '1.2\u00003', '', '1..2', 'DOE^JOHN']) {
      it(`answers 0117 for the Affected SOP Instance UID ${JSON.stringify(uid)}`, async () => {
        assert.equal(await send(uid, aDataSet({ sopInstanceUID: uid })), 0x0117);
        await oneLine(/no UID$/);
      });
    }

    for (const [status, fields] of [
      [0xc000, { studyInstanceUID: '../../../../tmp/x' }], [0xc000, { seriesInstanceUID: `1.${'2'.repeat(63)}` }], [0xc000, { studyInstanceUID: '1.2\u00003' }],
      [0xc000, { seriesInstanceUID: '' }], [0xc000, { studyInstanceUID: 'DOE^JOHN' }], [0xc000, { seriesInstanceUID: `1.${'2'.repeat(60_000)}` }], [0xa900, { sopInstanceUID: '../x' }],
    ] as const satisfies readonly (readonly [number, DataSetFields])[]) {
      it(`answers ${status.toString(16).toUpperCase()} for a data set with ${JSON.stringify(fields).slice(0, 60)}`, async () => {
        assert.equal(await send('1.2.3.4', aDataSet(fields)), status);
        await oneLine(/^Instance refused: /);
      });
    }

    const withNested = (sopInstanceUID: string, tag: string, before: string): Buffer => {
      const dataSet = aDataSet({ sopInstanceUID });
      const at = dataSet.indexOf(Buffer.from(before, 'hex'));
      return Buffer.concat([dataSet.subarray(0, at), nested(10_000, tag), dataSet.subarray(at)]);
    };

    it('answers C000 for sequences nested 10,000 deep before the Study Instance UID', async () => {
      assert.equal(await send('1.2.3.9999', withNested('1.2.3.9999', '08004011', '20000d00')), 0xc000);
      await oneLine(/^Instance refused: /);
    });

    it('takes sequences nested 10,000 deep behind it as they are; who reads the header says what is wrong', async () => {
      assert.equal(await send('1.2.3.10000', withNested('1.2.3.10000', '400030a7', 'e07f1000')), 0);

      const { told, spoolDir: copy } = await snapshot();
      let readCount = 0;
      const packs = told.flatMap(({ packs: states }) => [...states.values()].map(({ pack }) => pack));
      for (const pack of packs) {
        const file = (await openPack(copy, pack))!;
        const instances = file.instances.filter(({ sopInstanceUID }) => sopInstanceUID === '1.2.3.10000');
        for await (const header of readPackHeaders(file, instances)) {
          readCount++;
          assert.match(header.unreadable ?? '', /nested too deeply/);
        }
        await file.close();
      }
      assert.equal(readCount, 1);
      assert.deepEqual(incidents(), []);
    });

    it('has written to no place but its own folders', async () => {
      assert.deepEqual((await readdir(spoolDir)).filter((name) => !/^(trash-)?[0-9a-f-]{36}$/.test(name)), []);
    });

    /** What a copy of the spool holds when it is recovered. */
    async function snapshot() {
      const copy = await aFolder();
      await cp(spoolDir, copy, { recursive: true });
      return aSpool(copy);
    }
  });

  it('closes 50 connections whose A-ASSOCIATE-RQ trickles in, when the ARTIM timer ends, with a line for each', async () => {
    const peers = await Promise.all(Array.from({ length: 50 }, connected));
    const bytes = associateRQ();
    let at = 0;
    const trickle = setInterval(() => peers.forEach((peer) => peer.send(bytes.subarray(at, ++at))), 20);

    await Promise.all(peers.map((peer) => peer.closed()));
    clearInterval(trickle);

    await until('each is logged', () => incidents().length >= 50);
    assert.equal(incidents().length, 50);
    assert.ok(incidents().every(({ msg }) => /ARTIM/.test(msg)));
  });

  it('aborts an association that goes on by a byte now and then in the middle of a PDV', async () => {
    const peer = await associated();
    peer.send(command(3, storeRQ(1, '1.2.3.4')), pdu(4, pdv(3, 0, aDataSet({ pixelBytes: 50_000 }))).subarray(0, 1000));

    const trickle = setInterval(() => peer.send(Buffer.alloc(1)), 100);
    assert.equal(await peer.receiveHex(), '07 00000000');
    clearInterval(trickle);

    await peer.closed();
    await oneLine(/too slowly/);
  });

  it('aborts an association that goes on by empty fragments of a command that never ends', async () => {
    const peer = await associated();
    const nothing = pdu(4, pdv(1, 1, Buffer.alloc(0)));

    const trickle = setInterval(() => peer.send(nothing), 50);
    assert.equal(await peer.receiveHex(), '07 00000000');
    clearInterval(trickle);

    await peer.closed();
    await oneLine(/too slowly/);
  });

  it('aborts an association that stays silent', async () => {
    const peer = await associated();

    assert.equal(await peer.receiveHex(), '07 00000000');

    await peer.closed();
    await oneLine(/idle for too long/);
  });

  it('reads no more of a peer that asks and asks and takes no answer, and aborts it', async () => {
    const peer = await associated();
    peer.stopReading();
    const questions = Buffer.concat(Array<Buffer>(10_000).fill(command(1, echoRQ(1))));

    for (let sent = 0; sent < 40; sent++) peer.send(questions);
    await until('the gateway does not read on', async () => {
      const before = peer.waitingBytes;
      await sleep(300);
      return before > 0 && peer.waitingBytes === before;
    });
    const grownBytes = await gateway.memoryBytes() - restingBytes;

    assert.ok(grownBytes < 60 * MiB, `${(grownBytes / MiB).toFixed(0)} MiB more while ${(peer.waitingBytes / MiB).toFixed(0)} MiB wait`);
    await oneLine(/took nothing/);
    peer.end();
  });

  it('keeps its memory and handles, and takes others\' associations, while 10,000 connections are opened and left', async () => {
    const sockets: Socket[] = [];
    let [mostHandles, mostBytes, accepted] = [0, 0, 0];
    for (let wave = 0; wave < 20; wave++) {
      const opened = Array.from({ length: 500 }, () => connect({ host: '127.0.0.1', port: gateway.dicomPort, localAddress: hostileAddress }).on('error', () => undefined));
      sockets.push(...opened);
      await Promise.all(opened.map((socket) => new Promise((resolve) => { socket.once('connect', resolve).once('close', resolve); })));
      const peer = await associatedPeer(gateway.dicomPort, { callingAETitle: 'GOOD2' });
      accepted++;
      peer.send(releaseRQ);
      assert.equal((await peer.receive())?.type, 6);
      peer.end();
      mostHandles = Math.max(mostHandles, await gateway.handleCount());
      mostBytes = Math.max(mostBytes, await gateway.memoryBytes());
    }
    await Promise.all(sockets.map((socket) => (socket.destroyed ? undefined : new Promise((resolve) => { socket.once('close', resolve); socket.resume(); }))));

    assert.equal(accepted, 20);
    assert.ok(mostHandles <= restingHandles + 384 + 8, `${mostHandles} handles`);
    assert.ok(mostBytes - restingBytes < mostGrowthBytes, `${((mostBytes - restingBytes) / MiB).toFixed(0)} MiB more`);
    const turnedAway = (): readonly LogLine[] => incidents().filter(({ msg }) => msg.startsWith('connections closed: too many'));
    await until('every connection is accounted for', () =>
      turnedAway().reduce((sum, { count }) => sum + Number(count), 0) + incidents().filter(({ msg }) => /ARTIM/.test(msg)).length === 10_000);
    assert.ok(turnedAway().length < 60, `${turnedAway().length} lines`);
  });

  it('streams an instance of 300 MB through memory that does not grow with it', async () => {
    const piece = Buffer.alloc(MiB, 7);
    const sopInstanceUID = '1.2.3.300';
    const header = aDataSet({ sopInstanceUID, pixelBytes: 2 });
    header.writeUInt32LE(300 * MiB, header.length - 6);
    const instance: InstanceToSend = { sopClassUID: ctImage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian, open: async function* () {
      yield header.subarray(0, -2);
      for (let sent = 0; sent < 300; sent++) yield piece;
    } };

    const [result] = await Array.fromAsync(storeInstances({ host: '127.0.0.1', port: gateway.dicomPort, calledAETitle: 'PACS', callingAETitle: hostile }, [instance]));

    assert.equal(result?.outcome === 'answered' && result.status, 0);
    const peakBytes = await gateway.peakMemoryBytes();
    assert.ok(peakBytes - restingBytes < mostGrowthBytes, `${(peakBytes / MiB).toFixed(0)} MiB at most, ${(restingBytes / MiB).toFixed(0)} MiB at rest`);
  });

  it('never answered the good one anything but success', async () => {
    await good.progress();

    assert.ok(good.statuses.length > 50);
  });
});
