import type { RenderOptions } from '../../../codecs/render.ts';
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
}

/**
 * The pictures of an instance's frames. What stands before Pixel Data is read once, for its lookup tables; frames as they are asked for.
 *
 * @throws HttpProblem 404 when the instance has no frames
 */
export async function openPictures(deps: ImageDeps, found: FoundInstance, signal: AbortSignal): Promise<Pictures> {
  const source = await openImage(deps, found, signal);
  if (source.pixelData.offsetBytes > maxHeadBytes) throw notFound(`Instance ${source.location.sopInstanceUID} has a header too long to be rendered.`);
  let head: Promise<Buffer> | undefined;
  return {
    frameCount: source.pixel.numberOfFrames,
    async picture(frameNumber, options) {
      head ??= headOf(source);
      const [before, frame] = await Promise.all([head, frameBytes(source, frameNumber)]);
      return deps.codecs.render({ head: before, frame, frameNumber }, options, signal);
    },
  };
}

const headOf = (source: ImageSource): Promise<Buffer> => source.read(0, source.pixelData.offsetBytes);

/** Whether frames of the transfer syntax may be rendered, as far as that tells. */
export const isRenderable = (codecs: ImageDeps['codecs'], transferSyntaxUID: string): boolean =>
  transferSyntax(transferSyntaxUID)?.encapsulated !== true || codecs.canTranscode(transferSyntaxUID, explicitVRLittleEndian);
