import assert from 'node:assert/strict';
import { Watermark, minFreeBytesOf, readSpace, type Space, type WatermarkLimits } from '../../../edge-gateway/spool/watermark.ts';
import { aFolder, removeFolders } from './support.ts';

const GiB = 1024 ** 3;
const unlimited: WatermarkLimits = { minFreeBytes: undefined, maxSpoolBytes: undefined };

async function aWatermark(space: Space, limits: Partial<WatermarkLimits> = {}, spoolBytes = 0) {
  const watermark = new Watermark({ limits: { ...unlimited, ...limits }, readSpace: async () => space, spoolBytes: () => spoolBytes });
  await watermark.poll();
  return watermark;
}

describe('spool: watermark', () => {
  after(removeFolders);

  it('keeps 5 % of the disk free, at least 1 GiB, unless told otherwise', () => {
    assert.equal(minFreeBytesOf(unlimited, { freeBytes: 0, totalBytes: 8 * GiB }), GiB);
    assert.equal(minFreeBytesOf(unlimited, { freeBytes: 0, totalBytes: 100 * GiB }), 5 * GiB);
    assert.equal(minFreeBytesOf({ ...unlimited, minFreeBytes: 7 }, { freeBytes: 0, totalBytes: 100 * GiB }), 7);
  });

  it('takes nothing before it has read the disk', () => {
    const watermark = new Watermark({ limits: unlimited, readSpace: async () => ({ freeBytes: 9, totalBytes: 9 }), spoolBytes: () => 0 });

    assert.equal(watermark.noRoom(), 'diskFull');
  });

  it('counts what was written since it read the disk', async () => {
    const watermark = await aWatermark({ freeBytes: 1000, totalBytes: 10_000 }, { minFreeBytes: 400 });

    assert.equal(watermark.noRoom(), undefined);
    watermark.wrote(600);
    assert.equal(watermark.noRoom(), undefined);
    watermark.wrote(1);
    assert.equal(watermark.noRoom(), 'diskFull');
    assert.equal(watermark.mustStop(), false);
    watermark.wrote(200);
    assert.equal(watermark.mustStop(), true);
    await watermark.poll();
    assert.equal(watermark.noRoom(), undefined);
  });

  it('stops at the largest spool that is allowed', async () => {
    const watermark = await aWatermark({ freeBytes: 1000, totalBytes: 1000 }, { minFreeBytes: 0, maxSpoolBytes: 500 }, 450);

    assert.equal(watermark.noRoom(), undefined);
    watermark.wrote(50);
    assert.equal(watermark.noRoom(), 'spoolFull');
  });

  it('reads the space of a real folder', async () => {
    const { freeBytes, totalBytes } = await readSpace(await aFolder())();

    assert.ok(freeBytes > 0 && freeBytes <= totalBytes);
  });
});
