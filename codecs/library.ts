import dcmjsCodecs from 'dcmjs-codecs';
import type { ImagePixel } from '../dicom/imagePixel.ts';
import { CodecError } from './errors.ts';

const { Context, NativeCodecs, log } = dcmjsCodecs;
log.disableAll();

export type Decoder = 'decodeJpeg' | 'decodeJpegLs' | 'decodeJpeg2000' | 'decodeHtJpeg2000';
export type Encoder = 'encodeJpeg' | 'encodeJpegLs' | 'encodeJpeg2000' | 'encodeHtJpeg2000';

/** Memory of the WebAssembly instance never shrinks; beyond this a new one takes its place. */
const maxInstanceBytes = 512 * 1024 * 1024;
let ready: Promise<void> | undefined;

/** The WebAssembly codecs of this thread; made when they are first needed, and anew after a failure. */
export async function codecsReady(): Promise<void> {
  const memory = (NativeCodecs as unknown as { wasmApi?: { readonly wasmMemory: { readonly buffer: ArrayBuffer } } }).wasmApi?.wasmMemory;
  if (memory && memory.buffer.byteLength > maxInstanceBytes) forget();
  await (ready ??= NativeCodecs.initializeAsync());
}

function forget(): void {
  NativeCodecs.release();
  ready = undefined;
}

/** What the codec is told of the frame; all that it may believe has been compared with the bit stream. */
export type CodecImage = Pick<ImagePixel, 'rows' | 'columns' | 'samplesPerPixel' | 'bitsAllocated' | 'bitsStored' | 'pixelRepresentation' | 'photometricInterpretation'>;

/** @throws CodecError `corrupt`; the instance, which may hold anything then, is given up */
export function decodeWith(decoder: Decoder, encoded: Uint8Array, image: CodecImage, parameters: { readonly convertColorspaceToRgb?: boolean } = {}): Buffer {
  return guarded(`The frame cannot be decoded (${decoder.slice(6)}).`, () => {
    const decoded = NativeCodecs[decoder](contextOf(image, { encodedBuffer: encoded }), parameters).getDecodedBuffer();
    return Buffer.from(decoded!.buffer, decoded!.byteOffset, decoded!.byteLength);
  });
}

/** @throws CodecError `corrupt` */
export function encodeWith(encoder: Encoder, pixels: Uint8Array, image: CodecImage): Buffer {
  return guarded(`The frame cannot be encoded (${encoder.slice(6)}).`, () => {
    const parameters = { lossy: false, predictor: 1, pointTransform: 0 };
    const encoded = NativeCodecs[encoder](contextOf(image, { decodedBuffer: pixels }), parameters).getEncodedBuffer();
    return Buffer.from(encoded!.buffer, encoded!.byteOffset, encoded!.byteLength);
  });
}

const contextOf = ({ rows, columns, ...image }: CodecImage, buffers: { readonly encodedBuffer?: Uint8Array; readonly decodedBuffer?: Uint8Array }): InstanceType<typeof Context> =>
  new Context({ width: columns, height: rows, planarConfiguration: 0, ...image, ...buffers });

function guarded(sentence: string, work: () => Buffer): Buffer {
  try {
    return work();
  } catch (error) {
    forget();
    throw new CodecError('corrupt', sentence, { cause: error });
  }
}
