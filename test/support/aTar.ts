import { createHash, randomBytes } from 'node:crypto';
import { packIdInput, type PackIndex } from '../../domain/pack.ts';
import { encodeEntryHeader, endOfArchive, entryHeaderBytes, paddedLength } from '../../domain/packTar.ts';
import { aPackIndex, type PackOptions } from './aStudy.ts';

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

export interface TarOptions extends PackOptions {
  /** Of the instances, in order; random ones of 700 bytes where there are none. */
  readonly contents?: readonly Buffer[];
}

/** The index of a committed pack and the tar it describes. */
export function aTar({ contents = [], ...options }: TarOptions = {}): { readonly index: PackIndex; readonly tar: Buffer } {
  const plain = aPackIndex(options);
  const blocks: Uint8Array[] = [];
  let at = 0;
  const instances = plain.instances.map((instance, number) => {
    const bytes = contents[number] ?? randomBytes(700);
    const digest = sha256(bytes);
    blocks.push(encodeEntryHeader({ name: `${instance.sopInstanceUID}.dcm`, lengthBytes: bytes.length, sha256: digest }), bytes, new Uint8Array(paddedLength(bytes.length) - bytes.length));
    const offsetBytes = at + entryHeaderBytes;
    at = offsetBytes + paddedLength(bytes.length);
    return { ...instance, offsetBytes, lengthBytes: bytes.length, sha256: digest };
  });
  const tar = Buffer.concat([...blocks, endOfArchive()]);
  return { index: { ...plain, packId: sha256(packIdInput(instances)), instances, lengthBytes: tar.length }, tar };
}

/** With one bit of it changed. */
export const flipped = (tar: Buffer, at: number): Buffer => Buffer.concat([tar.subarray(0, at), Buffer.from([tar[at]! ^ 1]), tar.subarray(at + 1)]);
