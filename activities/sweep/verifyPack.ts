import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal } from '@temporalio/activity';
import type { PackedInstance } from '../../domain/instance.ts';
import { entryName } from '../../domain/keys.ts';
import { endOfArchiveBytes, entryHeaderBytes, parseEntryHeader } from '../../domain/packTar.ts';
import type { PackIdentity, PackIndex } from '../../domain/pack.ts';
import type { ArchiveStore } from '../../stores/ports.ts';
import { packName, permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface VerifyDeps {
  readonly archive: Pick<ArchiveStore, 'getIndex' | 'packLengthBytes' | 'readRange'>;
  readonly bytesPerSecond: number;
  /** Between attempts to read what the server does not give. Default 2 s. */
  readonly pauseMs?: number;
}

/** A read that breaks off is tried again; a refusal is none that the S3 client did not ask for several times. */
const maxReads = 3;

type Read = (offsetBytes: number, lengthBytes: number, take: (chunk: Buffer) => void) => Promise<void>;

/**
 * Reads a whole pack at the set rate and compares its length, every entry header and every instance's SHA-256 with its index.
 *
 * @returns what is wrong, in words; undefined when nothing is
 */
export async function findDamage({ archive, bytesPerSecond, pauseMs = 2_000 }: VerifyDeps, index: PackIndex, signal: AbortSignal): Promise<string | undefined> {
  const lengthBytes = await archive.packLengthBytes(index, signal);
  if (lengthBytes === undefined) return 'its tar is gone';
  if (lengthBytes !== index.lengthBytes) return `its tar has ${lengthBytes} bytes instead of ${index.lengthBytes}`;
  const startedAt = performance.now();
  let done = 0;
  let begun = false;
  const read: Read = async (offsetBytes, length, take) => {
    begun = false;
    for await (const chunk of await archive.readRange(index, offsetBytes, length, signal) as AsyncIterable<Buffer>) {
      begun = true;
      take(chunk);
      done += chunk.length;
      const aheadMs = (done / bytesPerSecond) * 1000 - (performance.now() - startedAt);
      if (aheadMs > 10) await sleep(aheadMs, undefined, { signal });
    }
  };
  /** Bytes that a server's disk lost come as an error each time. */
  const unlessUnreadable = async (what: string, look: () => Promise<string | undefined>): Promise<string | undefined> => {
    for (let reads = 1; ; reads++) {
      try {
        return await look();
      } catch {
        signal.throwIfAborted();
        // A server that is away says nothing of the pack: then this throws, and the step is tried again.
        if (await archive.packLengthBytes(index, signal) === undefined) return 'its tar is gone';
        if (!begun || reads === maxReads) return `${what} cannot be read: the server that keeps it answers with an error`;
        await sleep(pauseMs, undefined, { signal });
      }
    }
  };
  for (const instance of index.instances) {
    const damage = await unlessUnreadable(`instance ${instance.sopInstanceUID}`, () => damageOf(instance, read));
    if (damage !== undefined) return damage;
  }
  return unlessUnreadable('the end of its tar', async () => {
    let isZero = true;
    await read(index.lengthBytes - endOfArchiveBytes, endOfArchiveBytes, (chunk) => { isZero &&= chunk.every((byte) => byte === 0); });
    return isZero ? undefined : 'the end of its tar is damaged';
  });
}

async function damageOf({ sopInstanceUID, offsetBytes, lengthBytes, sha256 }: PackedInstance, read: Read): Promise<string | undefined> {
  const hash = createHash('sha256');
  const header: Buffer[] = [];
  let at = 0;
  await read(offsetBytes - entryHeaderBytes, entryHeaderBytes + lengthBytes, (chunk) => {
    const cut = Math.max(0, Math.min(chunk.length, entryHeaderBytes - at));
    if (cut > 0) header.push(chunk.subarray(0, cut));
    hash.update(chunk.subarray(cut));
    at += chunk.length;
  });
  const entry = parseEntryHeader(Buffer.concat(header));
  if (entry?.name !== entryName(sopInstanceUID) || entry.lengthBytes !== lengthBytes || entry.sha256 !== sha256) return `the tar entry of instance ${sopInstanceUID} is damaged`;
  return hash.digest('hex') === sha256 ? undefined : `the bytes of instance ${sopInstanceUID} do not have their SHA-256`;
}

/**
 * Verifies one pack that a sweep found damaged, again.
 *
 * @throws `PackDamaged` as long as it is
 */
export const createVerifyPack = (deps: VerifyDeps) =>
  async function verifyPack(pack: PackIdentity): Promise<void> {
    const signal = cancellationSignal();
    await withHeartbeat(async () => {
      const index = await deps.archive.getIndex(pack, signal);
      const damage = index ? await findDamage(deps, index, signal) : 'its index is gone';
      if (damage !== undefined) throw permanent('PackDamaged', `${packName(pack)}, ${damage}`);
    });
  };
