import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeEntryHeader, endOfArchive, entryHeaderBytes, maxEntryBytes, paddedLength, parseEntryHeader } from '../../../domain/packTar.ts';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('packTar', () => {
  it('reads back what it wrote, up to the largest names and lengths', () => {
    for (const lengthBytes of [0, 1, 511, 512, 64 * 1024 * 1024, maxEntryBytes]) {
      const entry = { name: `${'1.2.840.113619.'.padEnd(64, '7')}.dcm`, lengthBytes, sha256: 'a'.repeat(64) };

      const header = encodeEntryHeader(entry);

      assert.equal(header.length, entryHeaderBytes);
      assert.deepEqual(parseEntryHeader(header), entry);
    }
  });

  it('refuses a header with any byte changed in its names, sizes or hash', () => {
    const header = encodeEntryHeader({ name: '1.2.3.dcm', lengthBytes: 1000, sha256: 'b'.repeat(64) });

    for (const at of [0, 20, 130, 156, 257, 515, 530, 1024, 1150, 1180, 1281]) {
      const changed = Buffer.from(header);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      const parsed = parseEntryHeader(changed);
      assert.ok(parsed === undefined || parsed.sha256 !== 'b'.repeat(64), `byte ${at}`);
    }
    assert.equal(parseEntryHeader(Buffer.alloc(entryHeaderBytes)), undefined);
    assert.equal(parseEntryHeader(header.subarray(1)), undefined);
  });

  it('lays an archive that tar unpacks to the same bytes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pack-'));
    const files = [randomBytes(1), randomBytes(512), randomBytes(70_001)];
    const tar = files.flatMap((file, at) => [
      encodeEntryHeader({ name: `1.2.${at}.dcm`, lengthBytes: file.length, sha256: sha256(file) }), file, Buffer.alloc(paddedLength(file.length) - file.length)]);
    await writeFile(join(folder, 'pack.tar'), Buffer.concat([...tar, endOfArchive()]));

    execFileSync('tar', ['-xf', 'pack.tar'], { cwd: folder });

    for (const [at, file] of files.entries()) assert.deepEqual(await readFile(join(folder, `1.2.${at}.dcm`)), file);
    await rm(folder, { recursive: true });
  });
});
