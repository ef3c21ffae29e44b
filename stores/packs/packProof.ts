import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { packSpans } from '../../domain/packTar.ts';
import type { PackIndex } from '../../domain/pack.ts';
import { ContentMismatch } from '../errors.ts';
import type { PackFile } from '../ports.ts';

const readBytes = 4 * 1024 * 1024;

/**
 * Reads a tar from its first byte to its last and compares it with the pack's index: every entry header as it must be, every instance by
 * its SHA-256, zeros between them and at the end. Nothing else fits in between, so what passes is the pack, byte for byte.
 *
 * @param parts of the file, in order and without gaps
 * @returns the CRC-32 of each part as it was read, base64 as S3 has it
 * @throws ContentMismatch naming what differs first
 */
export async function provePack(file: PackFile, index: PackIndex, parts: readonly { readonly lengthBytes: number }[], signal?: AbortSignal): Promise<readonly string[]> {
  const differs = (what: string): ContentMismatch => new ContentMismatch(`The copy is not the pack: ${what}`, { tenantId: index.tenantId, key: index.packId });
  if (file.lengthBytes !== index.lengthBytes) throw differs(`it has ${file.lengthBytes} bytes instead of ${index.lengthBytes}`);
  const sums = partSums(parts);
  const space = Buffer.allocUnsafe(readBytes);
  let at = 0;
  for (const span of packSpans(index.instances)) {
    if (span.kind === 'instance' && span.instance.offsetBytes !== at) throw differs(`its index has another place for instance ${span.instance.sopInstanceUID}`);
    const hash = createHash('sha256');
    for (const end = at + span.lengthBytes; at < end;) {
      signal?.throwIfAborted();
      const wanted = Math.min(readBytes, end - at);
      const bytes = await file.read(at, wanted, space.subarray(0, wanted));
      if (bytes.length !== wanted) throw differs('it ends early');
      if (span.kind === 'header' && !bytes.equals(span.bytes)) throw differs(`the tar entry of instance ${span.instance.sopInstanceUID} is another`);
      if (span.kind === 'zeros' && !bytes.every((byte) => byte === 0)) throw differs(`there is something at byte ${at} where nothing should be`);
      if (span.kind === 'instance') hash.update(bytes);
      sums.push(bytes);
      at += wanted;
    }
    if (span.kind === 'instance' && hash.digest('hex') !== span.instance.sha256) throw differs(`instance ${span.instance.sopInstanceUID} does not have its SHA-256`);
  }
  if (at !== index.lengthBytes) throw differs(`its index names ${at} bytes of ${index.lengthBytes}`);
  return sums.take();
}

/** CRC-32 of consecutive parts, of bytes that come in other pieces. */
function partSums(parts: readonly { readonly lengthBytes: number }[]) {
  const sums: string[] = [];
  let sum = 0;
  let left = parts[0]?.lengthBytes ?? 0;
  return {
    push(bytes: Buffer): void {
      for (let at = 0; at < bytes.length;) {
        const piece = bytes.subarray(at, at + left);
        sum = crc32(piece, sum);
        at += piece.length;
        left -= piece.length;
        if (left > 0) continue;
        sums.push(base64Of(sum));
        sum = 0;
        left = parts[sums.length]?.lengthBytes ?? Infinity;
      }
    },
    take: (): readonly string[] => sums,
  };
}

/** As S3 writes a CRC-32: four bytes, the highest first. */
function base64Of(sum: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(sum);
  return bytes.toString('base64');
}
