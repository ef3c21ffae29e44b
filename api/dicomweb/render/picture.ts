import { CodecError } from '../../../codecs/errors.ts';
import { animate, requireFilm, type RenderOptions } from '../../../codecs/render.ts';
import type { DicomJson } from '../../../dicom/json.ts';
import { explicitVRLittleEndian, transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import type { FoundInstance, ImageDeps, ImageSource } from '../retrieve/imageSource.ts';
import { frameBytes, openImage } from '../retrieve/imageSource.ts';
import { notFound } from '../../problems.ts';

/** Bytes of a header that are read along with the frame behind it. */
const maxHeadBytes = 32 * 1024 * 1024;

export interface Pictures {
  readonly frameCount: number;
  /** @param frame from 1 */
  picture(frame: number, options: RenderOptions): Promise<Buffer>;
  /** All frames as one GIF. */
  film(options: RenderOptions): Promise<Buffer>;
}

/** Frames that are in memory at once, as small pictures of their own. */
const maxFilmFrames = 1_000;
const usualFrameMs = 100;

/**
 * The pictures of an instance's frames. What stands before Pixel Data is read once, for its lookup tables; frames as they are asked for.
 *
 * @throws HttpProblem 404 when the instance has no frames
 */
export async function openPictures(deps: ImageDeps, found: FoundInstance, signal: AbortSignal): Promise<Pictures> {
  const source = await openImage(deps, found, signal);
  if (source.pixelData.offsetBytes > maxHeadBytes) throw notFound(`Instance ${source.location.sopInstanceUID} has a header too long to be rendered.`);
  let head: Promise<Buffer> | undefined;
  const pictures: Pictures = {
    frameCount: source.pixel.numberOfFrames,
    async picture(frameNumber, options) {
      head ??= headOf(source);
      const [before, frame] = await Promise.all([head, frameBytes(source, frameNumber)]);
      return deps.codecs.render({ head: before, frame, frameNumber }, options, signal);
    },
    async film(options) {
      if (pictures.frameCount > maxFilmFrames) throw new CodecError('tooLarge', `Instance ${source.location.sopInstanceUID} has ${pictures.frameCount} frames; a moving picture is made of ${maxFilmFrames} at most.`);
      const pngs: Buffer[] = [];
      for (let frame = 1; frame <= pictures.frameCount; frame++) {
        pngs.push(await pictures.picture(frame, { ...options, type: 'image/png' }));
        if (frame === 1) await requireFilm(pngs[0]!, pictures.frameCount);
      }
      return animate(pngs, frameMs(source.header));
    },
  };
  return pictures;
}

/** Frame Time, else by Recommended Display Frame Rate or Cine Rate (PS3.3 C.7.6.5). GIF counts in hundredths of a second. */
function frameMs(header: DicomJson): number {
  const number = (tag: string): number => Number(header[tag]?.Value?.[0] ?? NaN);
  const ms = [number('00181063'), 1000 / number('00082144'), 1000 / number('00180040')].find((each) => each > 0 && each < 60_000) ?? usualFrameMs;
  return Math.max(20, Math.round(ms / 10) * 10);
}

const headOf = (source: ImageSource): Promise<Buffer> => source.read(0, source.pixelData.offsetBytes);

/** Whether frames of the transfer syntax may be rendered, as far as that tells. */
export const isRenderable = (codecs: ImageDeps['codecs'], transferSyntaxUID: string): boolean =>
  transferSyntax(transferSyntaxUID)?.encapsulated !== true || codecs.canTranscode(transferSyntaxUID, explicitVRLittleEndian);
