import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CodecError } from '../../codecs/errors.ts';
import type { Window } from '../../codecs/grayscale.ts';
import { createTranscoder } from '../../codecs/transcoder.ts';
import { framesOf } from '../../codecs/transcodeFile.ts';
import { imagePixelOf } from '../../dicom/imagePixel.ts';
import { readInstanceHeader } from '../../dicom/part10/header.ts';
import { explicitVRLittleEndian } from '../../dicom/transferSyntaxes.ts';
import { removeTempFolders, runScript, tempFolder, testPeers } from '../support/peers.ts';
import { realFiles, type RealFile } from '../support/realFiles.ts';

interface Compared { readonly difference?: number; readonly more?: number; readonly shapes?: unknown; readonly failed?: string }

/** Refused by the codecs, or with pixels that pydicom refuses. */
const apart = new Set(['JPEG2000-embedded-sequence-delimiter.dcm', 'JPEG-lossy.dcm']);
/** Two decoders of one lossy JPEG, and two ways from YBR to RGB, differ a little more than by rounding. */
const tolerance = (transferSyntax: string): number => (transferSyntax.startsWith('1.2.840.10008.1.2.4.5') ? 8 : 1);

describe('rendering real images', function () {
  this.timeout(300_000);
  const peers = testPeers();
  const codecs = createTranscoder({ threads: 2 });
  let images: readonly RealFile[];

  before(async () => { images = (await realFiles(peers().python)).filter(({ storable, file }) => storable && !apart.has(path.basename(file))); });
  after(async () => {
    await codecs.close();
    await removeTempFolders();
  });

  it('shows what pydicom shows: rescale, lookup tables, windows, palettes, colour, of every image', async () => {
    const { rows, made, refused } = await pictures(images);

    const wrong = rows.flatMap((row, at) => ((row.difference ?? Infinity) <= tolerance(made[at]!.transferSyntax) ? [] : [`${path.basename(made[at]!.file)}: ${JSON.stringify(row)}`]));
    assert.deepEqual(wrong, []);
    assert.ok(rows.length > 100, `${rows.length} pictures`);
    assert.deepEqual(refused.filter(({ problem }) => problem !== 'unsupported' && problem !== 'corrupt'), []);
  });

  it('shows the window that is asked for', async () => {
    const grey = images.filter(({ file }) => /(CT_small|MR_small|693_UNCR|RG1_UNCR)\.dcm$/.test(file));
    const { rows, made } = await pictures(grey, { center: 120, width: 400, function: 'LINEAR' });

    for (const [at, row] of rows.entries()) assert.ok((row.difference ?? Infinity) <= 1, `${made[at]!.file}: ${JSON.stringify(row)}`);
    assert.ok(rows.length >= 3);
  });

  async function pictures(files: readonly RealFile[], window?: Window) {
    const folder = await tempFolder();
    const made: (RealFile & { readonly png: string })[] = [];
    const refused: { readonly file: string; readonly problem: string }[] = [];
    for (const [at, image] of files.entries()) {
      const png = path.join(folder, `${at}.png`);
      try {
        const bytes = await firstFrame(image, window);
        if (bytes) writeFileSync(png, bytes);
        if (bytes) made.push({ ...image, png });
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        refused.push({ file: image.file, problem: error.problem });
      }
    }
    const asked = made.map(({ file, png }) => ({ file, png, ...(window ? { window: [window.center, window.width] } : {}) }));
    return { made, refused, rows: await runScript<Compared>(peers().python, 'render_reference.py', { pictures: asked }) };
  }

  async function firstFrame({ file, transferSyntax }: RealFile, window: Window | undefined): Promise<Buffer | undefined> {
    const stored = readFileSync(file);
    const bytes = ['1.2.840.10008.1.2.2', '1.2.840.10008.1.2.1.99'].includes(transferSyntax) ? await codecs.transcode(stored, explicitVRLittleEndian) : stored;
    const { header, pixelData } = await readInstanceHeader({ lengthBytes: bytes.length, read: async (at, length) => bytes.subarray(at, at + length) });
    const pixel = imagePixelOf(header);
    if (!pixelData || !pixel || header['7FE00010'] === undefined || pixelData.lengthBytes < 0) return undefined;
    const [frame] = framesOf(bytes, pixelData, { ...pixel, numberOfFrames: pixelData.encapsulated ? pixel.numberOfFrames : 1 });
    return codecs.render({ head: bytes.subarray(0, pixelData.offsetBytes), frame: frame!, frameNumber: 1 }, { type: 'image/png', window });
  }
});
