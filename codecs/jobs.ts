import type { ImagePixel } from '../dicom/imagePixel.ts';
import type { CodecProblem } from './errors.ts';
import type { FrameToRender, RenderOptions } from './render.ts';

/** What a codec thread is asked. Bytes move to the thread and back without being copied. */
export interface Jobs {
  transcode: {
    readonly input: { readonly file: Uint8Array | string; readonly to: string; readonly maxBytes: number };
    readonly output: { readonly bytes: Uint8Array };
  };
  decodeFrame: {
    readonly input: { readonly transferSyntaxUID: string; readonly bytes: Uint8Array; readonly pixel: ImagePixel; readonly to: string; readonly maxBytes: number };
    readonly output: { readonly bytes: Uint8Array; readonly pixel: ImagePixel; readonly lossy: boolean };
  };
  render: {
    readonly input: { readonly frame: FrameToRender; readonly options: RenderOptions; readonly maxBytes: number };
    readonly output: { readonly bytes: Uint8Array };
  };
}

export type JobKind = keyof Jobs;

export interface Ask<K extends JobKind = JobKind> {
  readonly kind: K;
  readonly input: Jobs[K]['input'];
}

export type Answer<K extends JobKind = JobKind> =
  | { readonly output: Jobs[K]['output'] }
  | { readonly problem: CodecProblem | 'unexpected'; readonly sentence: string };

/** The bytes in memory of their own, which can move to another thread. */
export function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return whole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
