import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Readable } from 'node:stream';
import { CodecError } from '../../../codecs/errors.ts';
import { canTranscode } from '../../../codecs/syntaxes.ts';
import { parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { InstanceToSend } from '../../../stores/ports.ts';
import { createPeerOf } from '../../../workers/dicomPeer.ts';
import { createDicomSender } from '../../../workers/dicomSender.ts';
import { Transcodings, type TranscodingsValues } from '../../../workers/transcodings.ts';
import { aDicomServer, closeDicomServers } from '../../support/aDicomServer.ts';
import { sha256 } from '../../support/pacsClient.ts';
import { aFile } from '../api/support.ts';

const ctImage = '1.2.840.10008.5.1.4.1.1.2';
const jpeg2000 = '1.2.840.10008.1.2.4.90';
const mpeg4 = '1.2.840.10008.1.2.4.102';

const anInstance = (bytes: readonly Buffer[], transferSyntaxUID = explicitVRLittleEndian, sopInstanceUID = '1.2.3.1.1'): InstanceToSend =>
  ({ sopInstanceUID, sopClassUID: ctImage, transferSyntaxUID, lengthBytes: 1000, open: async () => Readable.from(bytes, { objectMode: false }) });
const dataSetOf = (file: Buffer): Buffer => file.subarray((parseFileMeta(file) as { readonly dataSetOffsetBytes: number }).dataSetOffsetBytes);

/** Codecs that make of any file another that says what it was asked for. */
const madeUp = (more: Partial<TranscodingsValues['codecs']> = {}): TranscodingsValues['codecs'] =>
  ({ canTranscode, transcode: async (_file, to) => aFile({ transferSyntaxUID: to, pixels: Buffer.alloc(32, 9) }), ...more });

const send = (port: number, instances: readonly InstanceToSend[], values: Partial<TranscodingsValues> = {}) => {
  const transcodings = new Transcodings({ codecs: madeUp(), threads: 1, maxBytes: 1_000_000, ...values });
  const destination = { kind: 'dicom', destinationId: 'ws', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle: 'PACS' } as const;
  return Array.fromAsync(createDicomSender(createPeerOf({ ownAETitle: 'US', tlsDir: undefined }), transcodings).send(destination, instances, new AbortController().signal));
};
/** Accepts contexts in these transfer syntaxes alone. */
const aServerThatTakes = (...transferSyntaxUIDs: readonly string[]) => aDicomServer({ policy: { services: new Map([[ctImage, { transferSyntaxUIDs }]]) } });

describe('DICOM sender', () => {
  afterEach(closeDicomServers);

  it('sends the data set, whatever pieces the file comes in', async () => {
    const { port, kept } = await aDicomServer();
    const file = aFile();

    await send(port, [anInstance([file])]);
    await send(port, [anInstance(Array.from({ length: Math.ceil(file.length / 7) }, (_, at) => file.subarray(7 * at, 7 * at + 7)))]);

    assert.deepEqual(kept.map((each) => each.sha256), Array(2).fill(sha256(dataSetOf(file))));
  });

  it('offers nothing of a file that ends before its data set begins', async () => {
    const { port, kept } = await aDicomServer();

    await assert.rejects(send(port, [anInstance([aFile().subarray(0, 200)])]), /ends within its File Meta Information/);

    assert.deepEqual(kept, []);
  });

  it('sends as stored to who takes that', async () => {
    const { port, kept } = await aDicomServer();

    const results = await send(port, [anInstance([aFile()], jpeg2000)]);

    assert.deepEqual(results, [{ sopInstanceUID: '1.2.3.1.1', outcome: 'delivered', status: 0 }]);
    assert.deepEqual(kept.map(({ transferSyntaxUID }) => transferSyntaxUID), [jpeg2000]);
  });

  for (const [takes, sentAs] of [[[implicitVRLittleEndian, explicitVRLittleEndian], explicitVRLittleEndian], [[implicitVRLittleEndian], implicitVRLittleEndian]] as const) {
    it(`sends a compressed instance as ${sentAs} to who takes ${takes.length === 1 ? 'nothing else' : 'no compression'}`, async () => {
      const { port, kept } = await aServerThatTakes(...takes);

      const results = await send(port, [anInstance([aFile()], jpeg2000)]);

      assert.deepEqual(results, [{ sopInstanceUID: '1.2.3.1.1', outcome: 'delivered', status: 0, sentAs }]);
      assert.deepEqual(kept.map(({ transferSyntaxUID, sha256: digest }) => [transferSyntaxUID, digest]),
        [[sentAs, sha256(dataSetOf(aFile({ transferSyntaxUID: sentAs, pixels: Buffer.alloc(32, 9) })))]]);
    });
  }

  it('counts as refused, with the reason, what cannot be transcoded, is too long, or is not decoded at all; its siblings go', async () => {
    const { port, kept } = await aServerThatTakes(explicitVRLittleEndian);
    const codecs = madeUp({ transcode: async () => { throw new CodecError('corrupt', 'The compressed frame has no readable header.'); } });
    const instances = [anInstance([aFile()], jpeg2000, '1.2.1'), anInstance([aFile()], mpeg4, '1.2.2'), { ...anInstance([aFile()], jpeg2000, '1.2.3'), lengthBytes: 2_000_000 }, anInstance([aFile()])];

    const results = await send(port, instances, { codecs });

    assert.deepEqual(results.map(({ outcome }) => outcome), ['refused', 'refused', 'refused', 'delivered']);
    assert.match(results[0]!.problem!, /cannot be given so: The compressed frame has no readable header\./);
    assert.match(results[1]!.problem!, /accepts no presentation context/);
    assert.match(results[2]!.problem!, /more than the 1000000 bytes/);
    assert.equal(kept.length, 1);
  });

  it('throws for a later attempt, and says nothing against the destination, when there is no place to transcode in', async () => {
    const { port } = await aServerThatTakes(explicitVRLittleEndian);
    const busy = madeUp({ transcode: async () => { throw new CodecError('busy', 'Too many images wait.'); } });

    await assert.rejects(send(port, [anInstance([aFile()], jpeg2000)], { codecs: busy }), { name: 'TranscodingBusy' });
  });

  it('opens the association again that a peer ended while a file was transcoded', async () => {
    const { port, kept, associations } = await aDicomServer({ policy: { services: new Map([[ctImage, { transferSyntaxUIDs: [explicitVRLittleEndian] }]]) }, limits: { idleTimeoutMs: 100 } });
    const slow = madeUp({ transcode: async (_file, to) => {
      await sleep(associations.length === 1 ? 400 : 0);
      return aFile({ transferSyntaxUID: to });
    } });

    const results = await send(port, [anInstance([aFile()], jpeg2000, '1.2.1'), anInstance([aFile()], jpeg2000, '1.2.2')], { codecs: slow });

    assert.deepEqual(results.map(({ outcome }) => outcome), ['delivered', 'delivered']);
    assert.deepEqual([kept.length, associations.length], [2, 2]);
  });
});

describe('transcodings for destinations', () => {
  const inFlight = () => {
    const gates: PromiseWithResolvers<Buffer>[] = [];
    const codecs = madeUp({ transcode: () => {
      const gate = Promise.withResolvers<Buffer>();
      gates.push(gate);
      return gate.promise;
    } });
    return { gates, codecs };
  };
  const signal = new AbortController().signal;
  const turn = (): Promise<void> => sleep(5);

  it('read and transcode no more files at once than there are threads', async () => {
    const { gates, codecs } = inFlight();
    const transcodings = new Transcodings({ codecs, threads: 2, maxBytes: 1_000_000 });

    const files = [1, 2, 3].map(() => transcodings.open().fileOf(anInstance([aFile()], jpeg2000), explicitVRLittleEndian, signal));
    await turn();
    const before = gates.length;
    gates[0]!.resolve(Buffer.alloc(10));
    await turn();

    assert.deepEqual([before, gates.length], [2, 3]);
    for (const gate of gates) gate.resolve(Buffer.alloc(10));
    await Promise.all(files);
  });

  it('wait while what is on its way to slow destinations fills memory, and give up after a while', async () => {
    const transcodings = new Transcodings({ codecs: madeUp({ transcode: async () => Buffer.alloc(2_000) }), threads: 1, maxBytes: 1_000, patienceMs: 50 });
    const slow = transcodings.open();
    await slow.fileOf(anInstance([aFile()], jpeg2000), explicitVRLittleEndian, signal);

    await assert.rejects(transcodings.open().fileOf(anInstance([aFile()], jpeg2000), explicitVRLittleEndian, signal), { name: 'TranscodingBusy' });
    const next = transcodings.open().fileOf(anInstance([aFile()], jpeg2000), explicitVRLittleEndian, signal);
    slow.close();

    assert.equal((await next).length, 2_000);
  });

  it('stop waiting with the reason of the signal', async () => {
    const { gates, codecs } = inFlight();
    const transcodings = new Transcodings({ codecs, threads: 1, maxBytes: 1_000_000 });
    const controller = new AbortController();
    const first = transcodings.open().fileOf(anInstance([aFile()], jpeg2000), explicitVRLittleEndian, signal);
    const second = transcodings.open().fileOf(anInstance([aFile()], jpeg2000), explicitVRLittleEndian, controller.signal);

    controller.abort(new Error('cancelled by the workflow'));

    await assert.rejects(second, /cancelled by the workflow/);
    await turn();
    gates[0]!.resolve(Buffer.alloc(1));
    await first;
  });
});
