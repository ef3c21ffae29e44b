import { CodecError } from '../../../codecs/errors.ts';
import type { Transcoder } from '../../../codecs/transcoder.ts';
import { owned, type Piece } from '../../../stores/packs/lentBytes.ts';
import { notAcceptable } from '../../problems.ts';
import { verified, type StreamedInstance } from './instanceStream.ts';
import { ProvenDigests } from './provenDigests.ts';
import type { Rendition } from './rendition.ts';
import { Slots } from './slots.ts';

/** Instances that are in memory to be transcoded, over all requests. */
const transcodings = new Slots(4);

const proven = new ProvenDigests();

/** One instance as it goes to the client. */
export interface GivenInstance {
  readonly transferSyntaxUID: string;
  readonly lengthBytes: number;
  readonly bytes: AsyncIterable<Piece>;
}

export interface GiveOptions {
  readonly codecs: Pick<Transcoder, 'transcode'>;
  /** Whether the bytes are compared with the digest they were received with; those of kept packs every ten minutes. */
  readonly verify: boolean;
  readonly signal: AbortSignal;
}

/** @throws HttpProblem 406 when its pixels cannot be transcoded, and the client takes nothing else */
export async function giveInstance({ location, isKept, bytes }: StreamedInstance, rendition: Rendition, { codecs, verify, signal }: GiveOptions): Promise<GivenInstance> {
  const isProven = isKept && rendition.how === 'stored' && proven.has(location);
  const stored = verify && !isProven ? verified(bytes, location, () => { if (isKept) proven.add(location); }) : bytes;
  if (rendition.how === 'stored') return { transferSyntaxUID: location.transferSyntaxUID, lengthBytes: location.lengthBytes, bytes: stored };
  return transcodings.within(signal, async () => {
    const file = Buffer.concat(await Array.fromAsync(stored, owned), location.lengthBytes);
    try {
      return whole(rendition.transferSyntaxUID, await codecs.transcode(file, rendition.transferSyntaxUID, signal));
    } catch (error) {
      if (!(error instanceof CodecError) || error.problem === 'busy') throw error;
      if (rendition.orStored) return whole(location.transferSyntaxUID, file);
      throw notAcceptable(`Instance ${location.sopInstanceUID} cannot be given in transfer syntax ${rendition.transferSyntaxUID}: ${error.message} Ask with transfer-syntax=* for the file as it is stored.`);
    }
  });
}

const whole = (transferSyntaxUID: string, file: Buffer): GivenInstance => ({ transferSyntaxUID, lengthBytes: file.length, bytes: once(file) });

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
