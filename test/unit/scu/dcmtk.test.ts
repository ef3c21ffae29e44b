import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { echo } from '../../../edge-gateway/scu/echo.ts';
import { storeInstances, type InstanceToSend } from '../../../edge-gateway/scu/store.ts';
import { aDicomServer, closeDicomServers, type TestServer } from '../../support/aDicomServer.ts';
import { ctImage, explicitLE } from '../../support/scriptedPeer.ts';

const run = promisify(execFile);
const isInstalled = (tool: string): boolean => spawnSync(tool, ['--version']).error === undefined;

const shortVRs = ['UI', 'CS', 'US', 'SH', 'LO'];

/** One element, Explicit VR Little Endian. */
function explicitElement(group: number, number: number, vr: string, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const padded = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' || vr === 'OB' ? '\0' : ' ')]);
  const isShort = shortVRs.includes(vr);
  const header = Buffer.alloc(isShort ? 8 : 12);
  header.writeUInt16LE(group, 0);
  header.writeUInt16LE(number, 2);
  header.write(vr, 4, 'latin1');
  if (isShort) header.writeUInt16LE(padded.length, 6);
  else header.writeUInt32LE(padded.length, 8);
  return Buffer.concat([header, padded]);
}

const aDataSet = (sopInstanceUID: string, pixelBytes: number): Buffer => Buffer.concat([
  explicitElement(8, 0x16, 'UI', ctImage), explicitElement(8, 0x18, 'UI', sopInstanceUID), explicitElement(8, 0x60, 'CS', 'CT'),
  explicitElement(0x20, 0x0d, 'UI', '1.2.9'), explicitElement(0x20, 0x0e, 'UI', '1.2.9.1'),
  explicitElement(0x7fe0, 0x10, 'OW', randomBytes(pixelBytes)),
]);

function aPart10File(sopInstanceUID: string, dataSet: Buffer): Buffer {
  const meta = Buffer.concat([
    explicitElement(2, 1, 'OB', Buffer.of(0, 1)), explicitElement(2, 2, 'UI', ctImage), explicitElement(2, 3, 'UI', sopInstanceUID),
    explicitElement(2, 0x10, 'UI', explicitLE), explicitElement(2, 0x12, 'UI', '1.2.3'),
  ]);
  const length = Buffer.from([2, 0, 0, 0, 0x55, 0x4c, 4, 0, 0, 0, 0, 0]);
  length.writeUInt32LE(meta.length, 8);
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), length, meta, dataSet]);
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function aFreePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

describe('with DCMTK as the peer', function () {
  let folder: string;
  let server: TestServer;
  const children: ChildProcess[] = [];

  before(function () {
    if (!['echoscu', 'storescu', 'storescp'].every(isInstalled)) this.skip();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dcmtk-'));
    server = await aDicomServer();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill();
    await closeDicomServers();
    await rm(folder, { recursive: true, force: true });
  });

  it('echoscu is answered, and turned away for another called AE title', async () => {
    await run('echoscu', ['-aec', 'PACS', '127.0.0.1', `${server.port}`]);

    await assert.rejects(run('echoscu', ['-aec', 'OTHER', '127.0.0.1', `${server.port}`]), /Called AE Title Not Recognized/);
  });

  for (const maxPdu of ['4096', '131072']) {
    it(`storescu with PDUs of ${maxPdu} bytes sends instances that arrive byte for byte`, async () => {
      const dataSets = Array.from({ length: 5 }, (_, index) => aDataSet(`1.2.3.${index}`, 200_000 + 2 * index));
      await Promise.all(dataSets.map((dataSet, index) => writeFile(join(folder, `${index}.dcm`), aPart10File(`1.2.3.${index}`, dataSet))));

      await run('storescu', ['-aec', 'PACS', '--max-send-pdu', maxPdu, '+sd', '127.0.0.1', `${server.port}`, folder]);

      assert.deepEqual(server.kept.map((instance) => instance.sha256).toSorted(), dataSets.map(sha256).toSorted());
    });
  }

  it('storescp gets from our SCU what was sent, byte for byte', async () => {
    const port = await aFreePort();
    children.push(spawn('storescp', ['+B', '-od', folder, '-aet', 'DCMTK', `${port}`], { stdio: 'ignore' }));
    const peer = { host: '127.0.0.1', port, callingAETitle: 'SENDER', calledAETitle: 'DCMTK' };
    for (let attempt = 0; await echo(peer).catch(() => -1) !== 0; attempt++) {
      assert.ok(attempt < 50, 'storescp did not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const dataSets = Array.from({ length: 5 }, (_, index) => aDataSet(`1.2.3.${index}`, 300_001 + index));
    const instances: InstanceToSend[] = dataSets.map((dataSet, index) => ({
      sopClassUID: ctImage, sopInstanceUID: `1.2.3.${index}`, transferSyntaxUID: explicitLE,
      async *open() {
        yield await Promise.resolve(dataSet);
      },
    }));

    for await (const result of storeInstances(peer, instances)) assert.equal(result.outcome === 'answered' && result.status, 0);

    const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
    assert.equal(files.length, 5);
    for (const dataSet of dataSets) assert.ok(files.some((file) => file.subarray(-dataSet.length).equals(dataSet)));
  });
});
