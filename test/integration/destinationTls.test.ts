import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import type { DestinationTls } from '../../domain/tenant.ts';
import { DestinationUnavailable, type InstanceToSend } from '../../stores/ports.ts';
import { createPeerOf } from '../../workers/dicomPeer.ts';
import { createDicomProbe, createDicomReadBack, createDicomSender } from '../../workers/dicomSender.ts';
import { Transcodings } from '../../workers/transcodings.ts';
import { sha256 } from '../support/pacsClient.ts';
import { freePort, removeTempFolders, startPeer, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { makePublicKeys } from '../support/publicKeys.ts';
import { eventually } from '../support/stack.ts';
import { aFile } from '../unit/api/support.ts';

const uids = { study: '1.2.3', series: '1.2.3.1', instance: '1.2.3.1.1' };

describe('destinations that are called by TLS (PS3.15 B.12)', function () {
  this.timeout(60_000);
  const peers = testPeers();
  const running: PeerProcess[] = [];
  const signal = new AbortController().signal;
  const file = aFile({ ...uids, instanceNumber: '1', patientName: 'Doe^Jane', pixels: Buffer.alloc(100_000, 1) });
  const withOurs: DestinationTls = { caFile: 'ca.pem', certFile: 'gateway.pem', keyFile: 'gateway.key' };
  let pki: string;
  let peerOf: ReturnType<typeof createPeerOf>;
  before(async () => {
    pki = await tempFolder();
    await makePublicKeys(pki, ['gateway', 'workstation']);
    peerOf = createPeerOf({ ownAETitle: 'PACS', tlsDir: pki });
  });
  afterEach(async () => { for (const peer of running.splice(0)) await peer.stop(); });
  after(removeTempFolders);

  const at = (name: string): string => path.join(pki, name);
  const destination = (port: number, tls: DestinationTls | undefined, calledAETitle = 'WS') =>
    ({ kind: 'dicom', destinationId: 'ws', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle, ...(tls && { tls }) } as const);
  const send = (to: ReturnType<typeof destination>) => {
    const instance: InstanceToSend = { sopInstanceUID: uids.instance, sopClassUID: '1.2.840.10008.5.1.4.1.1.2', transferSyntaxUID: explicitVRLittleEndian, lengthBytes: file.length, open: async () => Readable.from([file]) };
    const none = new Transcodings({ codecs: { canTranscode: () => false, transcode: () => Promise.reject(new Error('unused')) }, threads: 1, maxBytes: 1 });
    return Array.fromAsync(createDicomSender(peerOf, none).send(to, [instance], signal));
  };
  const probe = (to: ReturnType<typeof destination>): Promise<void> => createDicomProbe(peerOf)(to, signal);
  const started = async (peer: PeerProcess, to: ReturnType<typeof destination>): Promise<void> => {
    running.push(peer);
    await eventually('it answers C-ECHO by TLS', () => probe(to).then(() => true, () => false));
  };
  const aStorescp = async (): Promise<{ readonly port: number; readonly folder: string }> => {
    const [port, folder] = [await freePort(), await tempFolder()];
    await started(startPeer(peers().storescp, ['+B', '-od', folder, '-aet', 'WS', '+tls', at('workstation.key'), at('workstation.pem'), '+cf', at('ca.pem'), `${port}`]), destination(port, withOurs));
    return { port, folder };
  };
  const isUnavailable = (pattern: RegExp) => (error: unknown): boolean => {
    assert.ok(error instanceof DestinationUnavailable, String(error));
    assert.match(error.message, pattern);
    return true;
  };

  it('storescp of DCMTK, which asks who calls, gets an instance byte for byte', async () => {
    const { port, folder } = await aStorescp();

    const results = await send(destination(port, withOurs));

    assert.deepEqual(results, [{ sopInstanceUID: uids.instance, outcome: 'delivered', status: 0 }]);
    const dataSet = file.subarray((parseFileMeta(file) as { readonly dataSetOffsetBytes: number }).dataSetOffsetBytes);
    const kept = readFileSync(path.join(folder, readdirSync(folder)[0]!));
    assert.equal(sha256(kept.subarray(-dataSet.length)), sha256(dataSet));
  });

  it('are away, and say why, for a gateway with another CA, without a certificate, with a foreign one, and without TLS', async () => {
    const { port, folder } = await aStorescp();

    await assert.rejects(send(destination(port, { ...withOurs, caFile: 'stranger.pem' })), isUnavailable(/WS at 127\.0\.0\.1:\d+ .*its certificate is not of the CA that is trusted here/));
    await assert.rejects(send(destination(port, {})), isUnavailable(/its certificate is not of the CA/));
    await assert.rejects(send(destination(port, { caFile: 'ca.pem' })), isUnavailable(/cannot be reached/));
    await assert.rejects(send(destination(port, { caFile: 'ca.pem', certFile: 'stranger.pem', keyFile: 'stranger.key' })), isUnavailable(/cannot be reached/));
    await assert.rejects(send(destination(port, { ...withOurs, serverName: 'another.example' })), isUnavailable(/another\.example/));
    await assert.rejects(send(destination(port, undefined)), isUnavailable(/cannot be reached|ended/));
    assert.deepEqual(readdirSync(folder), []);
  });

  it('pynetdicom takes an instance, and lists it when it is read back', async () => {
    const [port, folder, mode] = [await freePort(), await tempFolder(), path.join(await tempFolder(), 'mode')];
    const to = destination(port, withOurs, 'ODDSCP');
    writeFileSync(mode, 'keep');
    await started(startPeer(peers().python, [path.join(import.meta.dirname, '..', 'support', 'odd_scp.py'), `${port}`, mode, folder, `tls=${at('ca.pem')},${at('workstation.key')},${at('workstation.pem')}`]), to);

    const results = await send(to);
    const there = await createDicomReadBack(peerOf)(to, { studyInstanceUID: uids.study, seriesInstanceUIDs: [uids.series] }, signal);

    assert.deepEqual([results.map(({ outcome }) => outcome), [...there]], [['delivered'], [uids.instance]]);
  });
});
