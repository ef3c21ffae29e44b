import assert from 'node:assert/strict';
import { createReadStream, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { codecRow } from '../../codecs/syntaxes.ts';
import { createTranscoder } from '../../codecs/transcoder.ts';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian, transferSyntax } from '../../dicom/transferSyntaxes.ts';
import type { InstanceToSend, SendResult } from '../../stores/ports.ts';
import { createPeerOf } from '../../workers/dicomPeer.ts';
import { createDicomProbe, createDicomSender } from '../../workers/dicomSender.ts';
import { Transcodings } from '../../workers/transcodings.ts';
import { freePort, removeTempFolders, runScript, startPeer, storescpProfile, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { realFiles, type RealFile } from '../support/realFiles.ts';
import { eventually } from '../support/stack.ts';

/** Not sent uncompressed, by us or by anybody: damaged, and with a compressed icon. */
const refused = ['JPEG2000-embedded-sequence-delimiter.dcm', 'slicethickness_empty_string.dcm'];
/** pydicom reads the pixels of the original otherwise than it says itself, or not at all. */
const notByPydicom = ['JPEG-lossy.dcm', 'RGB_IMAGE.dcm'];
/** Two decoders of one DCT differ by rounding, and more where they enlarge chrominance. */
const jpegTolerance = 5;
/** A file of each kind of transfer syntax, each with a UID of its own. */
const samples = ['CT_small.dcm', 'ExplVR_BigEnd.dcm', 'MR_small_RLE.dcm', 'JPEG2000.dcm', 'RG1_J2KR.dcm', 'emri_small_jpeg_ls_lossless.dcm', 'SC_rgb_jpeg_gdcm.dcm', 'SC_rgb_dcmtk_+eb+cr.dcm'];

describe('destinations that take few transfer syntaxes', function () {
  this.timeout(240_000);
  const peers = testPeers();
  const codecs = createTranscoder({ threads: 2 });
  const peerOf = createPeerOf({ ownAETitle: 'PACS', tlsDir: undefined });
  const sender = createDicomSender(peerOf, new Transcodings({ codecs, threads: 2, maxBytes: 512 * 1024 * 1024 }));
  const running: PeerProcess[] = [];
  let files: readonly RealFile[];
  before(async () => { files = (await realFiles(peers().python)).filter(({ storable }) => storable); });
  afterEach(async () => { for (const peer of running.splice(0)) await peer.stop(); });
  after(async () => {
    await codecs.close();
    await removeTempFolders();
  });

  const destinationAt = (port: number, calledAETitle = 'PEER') => ({ kind: 'dicom', destinationId: 'ws', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle } as const);
  const toSend = ({ file, sop, sopClass, transferSyntax: stored }: RealFile): InstanceToSend =>
    ({ sopInstanceUID: sop, sopClassUID: sopClass, transferSyntaxUID: stored, lengthBytes: statSync(file).size, open: async () => createReadStream(file) });
  const send = (destination: ReturnType<typeof destinationAt>, list: readonly RealFile[]): Promise<readonly SendResult[]> =>
    Array.fromAsync(sender.send(destination, list.map(toSend), new AbortController().signal));
  const started = async (peer: PeerProcess, destination: ReturnType<typeof destinationAt>): Promise<void> => {
    running.push(peer);
    await eventually('it answers', () => createDicomProbe(peerOf)(destination, new AbortController().signal).then(() => true, () => false));
  };
  const sampleFiles = (): readonly RealFile[] => samples.map((name) => files.find(({ file }) => path.basename(file) === name)!);

  /** Sends every file by itself, for several have one UID, and keeps what the peer wrote under the file's number. */
  const sendEach = async (destination: ReturnType<typeof destinationAt>, folder: string) => {
    const sent: { readonly image: RealFile; readonly file: string; readonly result: SendResult }[] = [];
    const refusals: string[] = [];
    for (const [at, image] of files.entries()) {
      const [result] = await send(destination, [image]);
      if (result?.outcome !== 'delivered') refusals.push(path.basename(image.file));
      else {
        const [written] = readdirSync(folder).filter((name) => !/^\d+\.kept$/.test(name));
        renameSync(path.join(folder, written!), path.join(folder, `${at}.kept`));
        sent.push({ image, file: path.join(folder, `${at}.kept`), result });
      }
    }
    return { sent, refusals };
  };

  for (const [what, uid] of [['Implicit', implicitVRLittleEndian], ['Explicit', explicitVRLittleEndian]] as const) {
    it(`storescp of DCMTK that takes ${what} VR Little Endian alone gets every real file, with its pixels`, async () => {
      const [folder, port] = [await tempFolder(), await freePort()];
      const profile = await storescpProfile([...new Set(files.map(({ sopClass }) => sopClass))], `LittleEndian${what}`);
      await started(startPeer(peers().storescp, ['+B', '-od', folder, '-aet', 'PEER', ...profile, `${port}`]), destinationAt(port));

      const { sent, refusals } = await sendEach(destinationAt(port), folder);
      const compared = await runScript<{ readonly difference?: number; readonly failed?: string }>(peers().python, 'compare_pixels.py',
        { pairs: sent.map(({ image, file }) => ({ original: image.file, transcoded: file })) });

      assert.deepEqual(refusals, refused);
      for (const [at, { image, file, result }] of sent.entries()) {
        assert.equal((parseFileMeta(readFileSync(file)) as { readonly transferSyntaxUID: string }).transferSyntaxUID, uid, image.file);
        assert.equal(result.sentAs, image.transferSyntax === uid ? undefined : uid, image.file);
        const lossyJpeg = codecRow(image.transferSyntax)?.scheme === 'jpeg' && codecRow(image.transferSyntax)?.lossy === true;
        const { difference } = compared[at]!;
        if (difference !== undefined && !notByPydicom.includes(path.basename(image.file))) assert.ok(difference <= (lossyJpeg ? jpegTolerance : 0), `${image.file}: ${difference}`);
      }
      assert.ok(compared.filter(({ difference }) => difference !== undefined).length > 150);
    });
  }

  it('pynetdicom that takes no compression gets one of each kind, over one association, and what it takes as it is stored', async () => {
    const [folder, port] = [await tempFolder(), await freePort()];
    const mode = path.join(await tempFolder(), 'mode');
    writeFileSync(mode, 'keep');
    await started(startPeer(peers().python, [path.join(import.meta.dirname, '..', 'support', 'odd_scp.py'), `${port}`, mode, folder, implicitVRLittleEndian, explicitVRLittleEndian]), destinationAt(port, 'ODDSCP'));

    const results = await send(destinationAt(port, 'ODDSCP'), sampleFiles());

    assert.deepEqual(results.map(({ outcome, sentAs }) => [outcome, sentAs]), [['delivered', undefined], ...Array(7).fill(['delivered', explicitVRLittleEndian])]);
    const pairs = sampleFiles().map(({ file, sop }) => ({ original: file, transcoded: path.join(folder, `${sop}-0.dcm`) }));
    for (const { difference } of await runScript<{ readonly difference: number }>(peers().python, 'compare_pixels.py', { pairs })) assert.ok(difference <= jpegTolerance, `${difference}`);
  });

  it('Orthanc with few AcceptedTransferSyntaxes gets one of each kind: as stored in JPEG 2000, the others uncompressed', async () => {
    const [dicomPort, httpPort, folder] = [await freePort(), await freePort(), await tempFolder()];
    const jpeg2000 = '1.2.840.10008.1.2.4.90';
    writeFileSync(path.join(folder, 'orthanc.json'), JSON.stringify({
      Name: 'test', StorageDirectory: folder, IndexDirectory: folder, DicomAet: 'ORTHANC', DicomPort: dicomPort, HttpPort: httpPort, Plugins: [], DicomAlwaysAllowStore: true,
      AuthenticationEnabled: false, RemoteAccessAllowed: false, HttpServerEnabled: true, AcceptedTransferSyntaxes: [implicitVRLittleEndian, explicitVRLittleEndian, jpeg2000],
    }));
    await started(startPeer(peers().orthanc, [path.join(folder, 'orthanc.json')]), destinationAt(dicomPort, 'ORTHANC'));
    const rest = async (at: string): Promise<Response> => fetch(`http://127.0.0.1:${httpPort}/${at}`);
    const given = await tempFolder();

    const results = await send(destinationAt(dicomPort, 'ORTHANC'), sampleFiles());

    assert.deepEqual(results.map(({ outcome }) => outcome), samples.map(() => 'delivered'));
    const pairs = await Promise.all((await (await rest('instances')).json() as readonly string[]).map(async (id, at) => {
      const transcoded = path.join(given, `${at}.dcm`);
      writeFileSync(transcoded, Buffer.from(await (await rest(`instances/${id}/file`)).arrayBuffer()));
      const sop = (parseFileMeta(readFileSync(transcoded)) as { readonly mediaStorageSOPInstanceUID: string }).mediaStorageSOPInstanceUID;
      return { original: sampleFiles().find((image) => image.sop === sop)!.file, transcoded };
    }));
    assert.equal(pairs.length, samples.length);
    for (const { difference } of await runScript<{ readonly difference: number }>(peers().python, 'compare_pixels.py', { pairs })) assert.ok(difference <= jpegTolerance, `${difference}`);
    for (const { transcoded } of pairs) assert.equal(transferSyntax((parseFileMeta(readFileSync(transcoded)) as { readonly transferSyntaxUID: string }).transferSyntaxUID)?.lossy, false);
  });
});
