import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal } from '@temporalio/activity';
import { entryName } from '../../domain/keys.ts';
import { endOfArchiveBytes, entryHeaderBytes, parseEntryHeader } from '../../domain/packTar.ts';
import type { PackIdentity, PackIndex } from '../../domain/pack.ts';
import type { ArchiveStore } from '../../stores/ports.ts';
import { packName, permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';

export type VerifyDeps = { readonly archive: Pick<ArchiveStore, 'getIndex' | 'packLengthBytes' | 'readRange'>; readonly bytesPerSecond: number };

/**
 * Reads a whole pack at the set rate and compares its length, every entry header and every instance's SHA-256 with its index.
 *
 * @returns what is wrong, in words; undefined when nothing is
 */
export async function findDamage({ archive, bytesPerSecond }: VerifyDeps, index: PackIndex, signal: AbortSignal): Promise<string | undefined> {
  const lengthBytes = await archive.packLengthBytes(index, signal);
  if (lengthBytes === undefined) return 'its tar is gone';
  if (lengthBytes !== index.lengthBytes) return `its tar has ${lengthBytes} bytes instead of ${index.lengthBytes}`;
  const startedAt = performance.now();
  let done = 0;
  for (const instance of index.instances) {
    const start = instance.offsetBytes - entryHeaderBytes;
    const hash = createHash('sha256');
    const header: Buffer[] = [];
    let at = 0;
    for await (const chunk of await archive.readRange(index, start, entryHeaderBytes + instance.lengthBytes, signal) as AsyncIterable<Buffer>) {
      const cut = Math.max(0, Math.min(chunk.length, entryHeaderBytes - at));
      if (cut > 0) header.push(chunk.subarray(0, cut));
      hash.update(chunk.subarray(cut));
      at += chunk.length;
      done += chunk.length;
      const aheadMs = (done / bytesPerSecond) * 1000 - (performance.now() - startedAt);
      if (aheadMs > 10) await sleep(aheadMs, undefined, { signal });
    }
    const entry = parseEntryHeader(Buffer.concat(header));
    if (entry?.name !== entryName(instance.sopInstanceUID) || entry.lengthBytes !== instance.lengthBytes || entry.sha256 !== instance.sha256) return `the tar entry of instance ${instance.sopInstanceUID} is damaged`;
    if (hash.digest('hex') !== instance.sha256) return `the bytes of instance ${instance.sopInstanceUID} do not have their SHA-256`;
  }
  const end = Buffer.concat(await Array.fromAsync(await archive.readRange(index, index.lengthBytes - endOfArchiveBytes, endOfArchiveBytes, signal) as AsyncIterable<Buffer>));
  return end.every((byte) => byte === 0) ? undefined : 'the end of its tar is damaged';
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
