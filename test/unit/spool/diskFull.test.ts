import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openStorageSession } from '../../../edge-gateway/services/storage.ts';
import { openPack } from '../../../edge-gateway/spool/reader.ts';
import { aDataSet, aFolder, aSpool, aStoreRequest, anAssociation, arriving, quiet, removeFolders, sha256 } from './support.ts';

/** A disk of 8 MB; undefined where this user may not mount one. */
function mountSmallDisk(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('spool: a disk that is full', () => {
  let folder = '';
  let mounted = false;
  before(async () => { mounted = mountSmallDisk(folder = await aFolder()); });
  after(async () => {
    if (mounted) execFileSync('umount', [folder]);
    await removeFolders();
  });

  it('answers A700 for what does not fit, keeps what did, and goes on when there is room', async function () {
    if (!mounted) this.skip();
    const { spool, told, spoolDir } = await aSpool(folder);
    const watermark = { noRoom: () => undefined, mustStop: () => false, makeRoom: () => undefined, wrote: () => undefined };
    const session = await openStorageSession({ spool, watermark, log: quiet })(anAssociation());
    const store = (sopInstanceUID: string, pixelBytes: number) =>
      session.handle(aStoreRequest(arriving(aDataSet({ sopInstanceUID, pixelBytes }), 65_536), { sopInstanceUID }));

    assert.equal((await store('1.2.1', 2_000_000)).status, 0);
    assert.equal((await store('1.2.2', 9_000_000)).status, 0xa700);
    assert.equal((await store('1.2.3', 3_000_000)).status, 0);
    await writeFile(join(folder, 'other'), Buffer.alloc(2_900_000)).catch(() => undefined);
    assert.equal((await store('1.2.4', 600_000)).status, 0xa700);
    await session.ended('released');

    const { pack } = [...told.at(-1)!.packs.values()][0]!;
    const file = (await openPack(spoolDir, pack))!;
    assert.deepEqual(file.instances.map(({ sopInstanceUID }) => sopInstanceUID), ['1.2.1', '1.2.3']);
    for (const { offsetBytes, lengthBytes, sha256: digest } of file.instances) assert.equal(sha256(await file.read(offsetBytes, lengthBytes)), digest);
    await file.close();
  });
});
