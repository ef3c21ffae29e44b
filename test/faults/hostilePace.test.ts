import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { explicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { storeInstances, type InstanceToSend } from '../../edge-gateway/scu/store.ts';
import type { LogLine } from '../support/gatewayProcess.ts';
import { associateRQ, associatedPeer, command, ctImage, echoRQ, pdu, pdv, releaseRQ, storeRQ } from '../support/scriptedPeer.ts';
import { aDataSet } from '../unit/spool/support.ts';
import { MiB, besiegedGateway, hostile, hostileAddress, mostGrowthBytes, until } from './harness/besieged.ts';

describe('senders that dawdle, stay silent, flood or never end', function () {
  this.timeout(60_000);
  const site = besiegedGateway();

  it('closes 50 connections whose A-ASSOCIATE-RQ trickles in, when the ARTIM timer ends, with a line for each', async () => {
    const peers = await Promise.all(Array.from({ length: 50 }, () => site().connected()));
    const bytes = associateRQ();
    let at = 0;
    const trickle = setInterval(() => peers.forEach((peer) => peer.send(bytes.subarray(at, ++at))), 20);

    await Promise.all(peers.map((peer) => peer.closed()));
    clearInterval(trickle);

    await until('each is logged', () => site().incidents().length >= 50);
    assert.equal(site().incidents().length, 50);
    assert.ok(site().incidents().every(({ msg }) => /ARTIM/.test(msg)));
  });

  it('aborts an association that goes on by a byte now and then in the middle of a PDV', async () => {
    const peer = await site().associated();
    peer.send(command(3, storeRQ(1, '1.2.3.4')), pdu(4, pdv(3, 0, aDataSet({ pixelBytes: 50_000 }))).subarray(0, 1000));

    const trickle = setInterval(() => peer.send(Buffer.alloc(1)), 100);
    assert.equal(await peer.receiveHex(), '07 00000000');
    clearInterval(trickle);

    await peer.closed();
    await site().oneLine(/too slowly/);
  });

  it('aborts an association that goes on by empty fragments of a command that never ends', async () => {
    const peer = await site().associated();
    const nothing = pdu(4, pdv(1, 1, Buffer.alloc(0)));

    const trickle = setInterval(() => peer.send(nothing), 50);
    assert.equal(await peer.receiveHex(), '07 00000000');
    clearInterval(trickle);

    await peer.closed();
    await site().oneLine(/too slowly/);
  });

  it('aborts an association that stays silent', async () => {
    const peer = await site().associated();

    assert.equal(await peer.receiveHex(), '07 00000000');

    await peer.closed();
    await site().oneLine(/idle for too long/);
  });

  it('reads no more of a peer that asks and asks and takes no answer, and aborts it', async () => {
    const peer = await site().associated();
    peer.stopReading();
    const questions = Buffer.concat(Array<Buffer>(10_000).fill(command(1, echoRQ(1))));

    for (let sent = 0; sent < 40; sent++) peer.send(questions);
    await until('the gateway does not read on', async () => {
      const before = peer.waitingBytes;
      await sleep(300);
      return before > 0 && peer.waitingBytes === before;
    });
    const grownBytes = await site().gateway.memoryBytes() - site().restingBytes;

    assert.ok(grownBytes < 60 * MiB, `${(grownBytes / MiB).toFixed(0)} MiB more while ${(peer.waitingBytes / MiB).toFixed(0)} MiB wait`);
    await site().oneLine(/took nothing/);
    peer.end();
  });

  it('keeps its memory and handles, and takes others\' associations, while 10,000 connections are opened and left', async () => {
    const sockets: Socket[] = [];
    let [mostHandles, mostBytes, accepted] = [0, 0, 0];
    for (let wave = 0; wave < 20; wave++) {
      const opened = Array.from({ length: 500 }, () => connect({ host: '127.0.0.1', port: site().gateway.dicomPort, localAddress: hostileAddress }).on('error', () => undefined));
      sockets.push(...opened);
      await Promise.all(opened.map((socket) => new Promise((resolve) => { socket.once('connect', resolve).once('close', resolve); })));
      const peer = await associatedPeer(site().gateway.dicomPort, { callingAETitle: 'GOOD2' });
      accepted++;
      peer.send(releaseRQ);
      assert.equal((await peer.receive())?.type, 6);
      peer.end();
      mostHandles = Math.max(mostHandles, await site().gateway.handleCount());
      mostBytes = Math.max(mostBytes, await site().gateway.memoryBytes());
    }
    await Promise.all(sockets.map((socket) => (socket.destroyed ? undefined : new Promise((resolve) => { socket.once('close', resolve); socket.resume(); }))));

    assert.equal(accepted, 20);
    assert.ok(mostHandles <= site().restingHandles + 384 + 8, `${mostHandles} handles`);
    assert.ok(mostBytes - site().restingBytes < mostGrowthBytes, `${((mostBytes - site().restingBytes) / MiB).toFixed(0)} MiB more`);
    const turnedAway = (): readonly LogLine[] => site().incidents().filter(({ msg }) => msg.startsWith('connections closed: too many'));
    await until('every connection is accounted for', () =>
      turnedAway().reduce((sum, { count }) => sum + Number(count), 0) + site().incidents().filter(({ msg }) => /ARTIM/.test(msg)).length === 10_000);
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

    const [result] = await Array.fromAsync(storeInstances({ host: '127.0.0.1', port: site().gateway.dicomPort, calledAETitle: 'PACS', callingAETitle: hostile }, [instance]));

    assert.equal(result?.outcome === 'answered' && result.status, 0);
    const peakBytes = await site().gateway.peakMemoryBytes();
    assert.ok(peakBytes - site().restingBytes < mostGrowthBytes, `${(peakBytes / MiB).toFixed(0)} MiB at most, ${(site().restingBytes / MiB).toFixed(0)} MiB at rest`);
  });

  it('never kept the good one waiting', async () => {
    await site().good.progress();

    assert.ok(site().good.statuses.length > 50);
  });
});
