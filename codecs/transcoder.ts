import { imagePixelOf, type ImagePixel } from '../dicom/imagePixel.ts';
import type { DicomJson } from '../dicom/json.ts';
import { explicitVRLittleEndian } from '../dicom/transferSyntaxes.ts';
import { CodecError } from './errors.ts';
import { ThreadPool } from './pool.ts';
import type { FrameToRender, RenderOptions } from './render.ts';
import { canTranscode } from './syntaxes.ts';

export interface TranscoderOptions {
  readonly threads: number;
  /** Of a file, of the file it becomes, and of one decoded frame. Up to three times as much is in memory, in each thread. */
  readonly maxBytes?: number;
  readonly maxWaiting?: number;
  readonly jobTimeoutMs?: number;
}

/** One compressed frame, and the header of its instance. */
export interface FrameToDecode {
  readonly header: DicomJson;
  /** Its fragments joined, without item tags. */
  readonly bytes: Uint8Array;
  readonly transferSyntaxUID: string;
}

export interface DecodedFrameBytes {
  /** Native little endian (PS3.5 8.1, 8.2), unless another transfer syntax was asked for. */
  readonly bytes: Buffer;
  /** What the Image Pixel attributes are now; Photometric Interpretation and Planar Configuration may differ. */
  readonly pixel: ImagePixel;
  readonly lossy: boolean;
}

/** Gives files and frames in other transfer syntaxes, in threads of its own. All methods throw CodecError. */
export interface Transcoder {
  /** Whether the two transfer syntaxes allow it; an instance may still have pixels that the codec refuses. */
  canTranscode(from: string, to: string): boolean;
  /** @param file a Part 10 file, or the path of one @returns the file in the other transfer syntax, the same SOP Instance UID */
  transcode(file: Uint8Array | string, to: string, signal?: AbortSignal): Promise<Buffer>;
  /** @param to a transfer syntax to encode the frame in, without loss; native little endian by default */
  decodeFrame(frame: FrameToDecode, to?: string, signal?: AbortSignal): Promise<DecodedFrameBytes>;
  /** @returns the picture, encoded as the options say */
  render(frame: FrameToRender, options: RenderOptions, signal?: AbortSignal): Promise<Buffer>;
  close(): Promise<void>;
}

export function createTranscoder({ threads, maxBytes = 512 * 1024 * 1024, maxWaiting = 64, jobTimeoutMs = 60_000 }: TranscoderOptions): Transcoder {
  const pool = new ThreadPool({ threads, maxWaiting, jobTimeoutMs, module: new URL('./thread.ts', import.meta.url) });
  return {
    canTranscode,
    async transcode(file, to, signal) {
      const moving = typeof file === 'string' ? file : copied(file, maxBytes);
      return buffer((await pool.run('transcode', { file: moving, to, maxBytes }, movedOf(moving), signal)).bytes);
    },
    async decodeFrame({ header, bytes, transferSyntaxUID }, to = explicitVRLittleEndian, signal) {
      const pixel = imagePixelOf(header);
      if (!pixel) throw new CodecError('unsupported', 'The attributes do not describe an image.');
      const moving = copied(bytes, maxBytes);
      const decoded = await pool.run('decodeFrame', { transferSyntaxUID, bytes: moving, pixel, to, maxBytes }, movedOf(moving), signal);
      return { ...decoded, bytes: buffer(decoded.bytes) };
    },
    async render(frame, options, signal) {
      const moving = { ...frame, head: copied(frame.head, maxBytes), frame: copied(frame.frame, maxBytes) };
      return buffer((await pool.run('render', { frame: moving, options, maxBytes }, [moving.head.buffer, moving.frame.buffer], signal)).bytes);
    },
    close: () => pool.close(),
  };
}

/** A copy that moves to the thread; the caller keeps its own. */
function copied(bytes: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  if (bytes.length > maxBytes) throw new CodecError('tooLarge', `The image has more than the ${maxBytes} bytes that are transcoded.`);
  return new Uint8Array(bytes);
}

const movedOf = (moving: Uint8Array<ArrayBuffer> | string): readonly ArrayBuffer[] => (typeof moving === 'string' ? [] : [moving.buffer]);

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
