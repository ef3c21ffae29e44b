import { createHash } from 'node:crypto';
import { cancellationSignal } from '@temporalio/activity';
import type { PackedInstance } from '../../domain/instance.ts';
import { packSpans, type PackSpan } from '../../domain/packTar.ts';
import type { PackIdentity, PackIndex } from '../../domain/pack.ts';
import type { HealAttempt } from '../../domain/sweep.ts';
import type { ArchiveStore, PackFile } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

type Archive = Pick<ArchiveStore, 'getIndex' | 'listIndexes' | 'packLengthBytes' | 'readRange' | 'replacePack'>;
/** Where an intact copy of an instance's bytes begins. */
interface Copy { readonly pack: PackIdentity; readonly offsetBytes: number }

/**
 * Makes a damaged pack again from what the archive itself has intact: of its own tar, and of other packs of the study that hold the same
 * bytes, as a resend leaves them. What stands between the instances follows from the index. Idempotent.
 */
export const createMendPack = ({ archive }: { readonly archive: Archive }) =>
  async function mendPack(pack: PackIdentity): Promise<HealAttempt> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => {
      const index = await archive.getIndex(pack, signal);
      if (!index) return { healed: false, why: 'has no index of it' };
      const study = await archive.listIndexes(pack.tenantId, pack.studyInstanceUID, signal);
      const packs = [index, ...study.filter(({ packId, seriesInstanceUID }) => packId !== pack.packId || seriesInstanceUID !== pack.seriesInstanceUID)];
      const copies = new Map<PackedInstance, Copy>();
      for (const instance of index.instances) {
        const copy = await findCopy(archive, packs, instance, signal);
        if (copy) copies.set(instance, copy);
      }
      const lacking = index.instances.filter((instance) => !copies.has(instance));
      if (lacking[0]) return { healed: false, why: `has no intact copy of ${lacking.length} of its ${index.instances.length} instances (${lacking[0].sopInstanceUID}${lacking.length > 1 ? ' and others' : ''})` };
      try {
        await archive.replacePack(index, assembled(archive, index, copies, signal), { signal });
        return { healed: true };
      } catch (error) {
        if (error instanceof Error && error.name === 'ContentMismatch') return { healed: false, why: `could not be read the same twice (${error.message})` };
        throw error;
      }
    });
  };

async function findCopy(archive: Archive, packs: readonly PackIndex[], { sha256, lengthBytes }: PackedInstance, signal: AbortSignal): Promise<Copy | undefined> {
  for (const pack of packs) {
    for (const { offsetBytes } of pack.instances.filter((instance) => instance.sha256 === sha256 && instance.lengthBytes === lengthBytes)) {
      if (await isIntact(archive, { pack, offsetBytes }, lengthBytes, sha256, signal)) return { pack, offsetBytes };
    }
  }
  return undefined;
}

async function isIntact(archive: Archive, { pack, offsetBytes }: Copy, lengthBytes: number, sha256: string, signal: AbortSignal): Promise<boolean> {
  if ((await archive.packLengthBytes(pack, signal) ?? 0) < offsetBytes + lengthBytes) return false;
  const hash = createHash('sha256');
  try {
    for await (const chunk of await archive.readRange(pack, offsetBytes, lengthBytes, signal) as AsyncIterable<Buffer>) hash.update(chunk);
  } catch {
    signal.throwIfAborted();
    // A server that is away says nothing about the copy: then this throws, and all is tried again.
    await archive.packLengthBytes(pack, signal);
    return false;
  }
  return hash.digest('hex') === sha256;
}

/** The pack's tar as a file that is read from its copies. */
function assembled(archive: Archive, index: PackIndex, copies: ReadonlyMap<PackedInstance, Copy>, signal: AbortSignal): PackFile {
  let end = 0;
  const spans = [...packSpans(index.instances)].map((span) => ({ span, at: end, end: end += span.lengthBytes }));
  const piece = async (span: PackSpan, from: number, lengthBytes: number): Promise<Uint8Array> => {
    if (span.kind === 'zeros') return Buffer.alloc(lengthBytes);
    if (span.kind === 'header') return span.bytes.subarray(from, from + lengthBytes);
    const { pack, offsetBytes } = copies.get(span.instance)!;
    return Buffer.concat(await Array.fromAsync(await archive.readRange(pack, offsetBytes + from, lengthBytes, signal) as AsyncIterable<Buffer>));
  };
  return {
    lengthBytes: end,
    close: async () => undefined,
    async read(offsetBytes, lengthBytes) {
      const until = offsetBytes + lengthBytes;
      const pieces: Uint8Array[] = [];
      for (const { span, at, end: spanEnd } of spans) {
        const [from, to] = [Math.max(at, offsetBytes), Math.min(spanEnd, until)];
        if (from < to) pieces.push(await piece(span, from - at, to - from));
      }
      return Buffer.concat(pieces);
    },
  };
}
