import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LentFileRange, SpareBuffers } from '../../../stores/packs/lentBytes.ts';

describe('lent bytes', () => {
  let folder: string;
  const bytes = randomBytes(1000);
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lent-'));
    await writeFile(path.join(folder, 'file'), bytes);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const aRange = async (buffers: SpareBuffers, offsetBytes = 0, lengthBytes = 1000): Promise<LentFileRange> =>
    new LentFileRange(await open(path.join(folder, 'file')), buffers, offsetBytes, lengthBytes);

  it('gives a range piece by piece in one buffer, which the next range uses again', async () => {
    const buffers = new SpareBuffers(256, 4);
    const [places, read] = [new Set<ArrayBufferLike>(), [] as Buffer[]];
    for (const [offsetBytes, lengthBytes] of [[100, 700], [0, 1000]] as const) {
      const range = await aRange(buffers, offsetBytes, lengthBytes);
      for (let piece = await range.next(); piece; piece = await range.next()) {
        places.add(piece.borrow().buffer);
        read.push(piece.copy());
      }
      await range.close();
    }

    assert.ok(Buffer.concat(read).equals(Buffer.concat([bytes.subarray(100, 800), bytes])));
    assert.equal(places.size, 1);
  });

  it('refuses a piece, and every part of it, after the next was asked for, it was given back or the range was closed', async () => {
    const range = await aRange(new SpareBuffers(256, 4));
    const first = (await range.next())!;
    const part = first.subarray(10, 20);
    assert.ok(part.copy().equals(bytes.subarray(10, 20)));
    const second = (await range.next())!;
    assert.throws(() => first.borrow(), /only lent/);
    assert.throws(() => part.copy(), /only lent/);
    range.giveBack();
    assert.throws(() => second.borrow(), /only lent/);
    const third = (await range.next())!;

    await range.close();

    assert.throws(() => third.borrow(), /only lent/);
  });

  it('never uses a buffer again that was not given back: a client may be taking it still', async () => {
    const buffers = new SpareBuffers(256, 4);
    const left = await aRange(buffers);
    const inFlight = (await left.next())!.borrow();
    await left.close();
    const before = Buffer.from(inFlight);

    const other = await aRange(buffers, 500, 500);
    const place = (await other.next())!.borrow().buffer;
    await other.close();

    assert.notEqual(place, inFlight.buffer);
    assert.ok(inFlight.equals(before));
  });

  it('says so when the file is shorter than the range', async () => {
    const range = await aRange(new SpareBuffers(256, 4), 900, 200);
    await range.next();

    await assert.rejects(range.next(), /shorter than its index says/);
    await range.close();
  });
});
