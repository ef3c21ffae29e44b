import { open } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import { explicitVRLittleEndian } from '../dicom/transferSyntaxes.ts';
import { decodeFrame } from './decode.ts';
import { encodeFrame } from './encode.ts';
import { CodecError } from './errors.ts';
import { owned, type Answer, type Ask, type JobKind, type Jobs } from './jobs.ts';
import { transcodeFile } from './transcodeFile.ts';

type Run<K extends JobKind> = (input: Jobs[K]['input']) => Promise<Jobs[K]['output']>;

const runs: { readonly [K in JobKind]: Run<K> } = {
  transcode: async ({ file, to, maxBytes }) => {
    const bytes = typeof file === 'string' ? await readFileWithin(file, maxBytes) : buffer(file);
    return { bytes: owned(await transcodeFile(bytes, to, maxBytes)) };
  },
  decodeFrame: async ({ transferSyntaxUID, bytes, pixel, to, maxBytes }) => {
    const decoded = await decodeFrame(transferSyntaxUID, buffer(bytes), pixel, maxBytes);
    if (to === explicitVRLittleEndian) return { bytes: owned(decoded.pixels), pixel: decoded.pixel, lossy: decoded.lossy };
    const encoded = await encodeFrame(to, decoded.pixels, decoded.pixel);
    return { bytes: owned(encoded.bytes), pixel: encoded.pixel, lossy: decoded.lossy };
  },
  // A copy, because the picture lies in memory of libvips, which cannot move to another thread.
  render: async ({ frame, options, maxBytes }) => ({ bytes: new Uint8Array(await (await import('./render.ts')).renderFrame(frame, options, maxBytes)) }),
};

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

async function readFileWithin(file: string, maxBytes: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) throw new CodecError('tooLarge', `The file has more than the ${maxBytes} bytes that are transcoded.`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function answer<K extends JobKind>({ kind, input }: Ask<K>): Promise<Answer<K>> {
  try {
    return { output: await (runs[kind] as Run<K>)(input) };
  } catch (error) {
    return error instanceof CodecError
      ? { problem: error.problem, sentence: error.message }
      : { problem: 'unexpected', sentence: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (ask: Ask) => {
  void answer(ask).then((given) => {
    const moved = 'output' in given ? [given.output.bytes.buffer as ArrayBuffer] : [];
    parentPort?.postMessage(given, moved);
  });
});
