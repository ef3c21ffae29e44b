import { open, rename, type FileHandle } from 'node:fs/promises';
import { encodeEntryHeader, entryHeaderBytes, paddedLength } from '../../domain/packTar.ts';
import { writeFully } from './batchWriter.ts';
import { readUpTo, type FoundEntry } from './tarScan.ts';

const copyBytes = 1024 * 1024;

/**
 * Writes the whole entries of a damaged tar, one behind the other, to a file that then takes its place. Killed half-way
 * it leaves the damaged tar as it was, and a `.part` file that recovery deletes.
 */
export async function copyEntries(from: FileHandle, path: string, found: readonly FoundEntry[]): Promise<void> {
  const temporary = `${path}.part`;
  const to = await open(temporary, 'w');
  try {
    let at = 0;
    for (const { entry, offsetBytes } of found) {
      await writeFully(to, [encodeEntryHeader(entry)], at);
      for (let done = 0; done < entry.lengthBytes; done += copyBytes) {
        const bytes = await readUpTo(from, offsetBytes + entryHeaderBytes + done, Math.min(copyBytes, entry.lengthBytes - done));
        await writeFully(to, [bytes], at + entryHeaderBytes + done);
      }
      at += entryHeaderBytes + paddedLength(entry.lengthBytes);
      await to.truncate(at);
    }
    await to.sync();
  } finally {
    await to.close();
  }
  await rename(temporary, path);
}
