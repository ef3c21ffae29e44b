import assert from 'node:assert/strict';
import { DataSetChannel } from '../../../edge-gateway/dimse/dataSet.ts';
import { DataSetInterrupted } from '../../../edge-gateway/services/service.ts';

const KiB = 1024;
const fragment = (text: string): Buffer => Buffer.from(text);

async function iterate(channel: DataSetChannel): Promise<string> {
  let text = '';
  for await (const bytes of channel) text += bytes.toString();
  return text;
}

/** Both ways to read a data set. */
const ways: Readonly<Record<string, (channel: DataSetChannel) => Promise<string>>> = {
  'iterating': iterate,
  'consume': async (channel) => {
    let text = '';
    await channel.consume((bytes) => void (text += bytes.toString()));
    return text;
  },
  'consume with a promise per fragment': async (channel) => {
    let text = '';
    await channel.consume(async (bytes) => {
      await Promise.resolve();
      text += bytes.toString();
    });
    return text;
  },
};

for (const [way, read] of Object.entries(ways)) {
  describe(`a data set read by ${way}`, () => {
    it('is whole and in order, whether it came before or while it was read', async () => {
      const channel = new DataSetChannel();
      channel.push(fragment('one '));
      const reading = read(channel);
      channel.push(fragment('two '));
      await Promise.resolve();
      await channel.push(fragment('three'));
      channel.end();

      assert.equal(await reading, 'one two three');
    });

    it('may have come to its end before it is read', async () => {
      const channel = new DataSetChannel();
      channel.push(fragment('all'));
      channel.end();

      assert.equal(await read(channel), 'all');
    });

    it('may be empty', async () => {
      const channel = new DataSetChannel();
      channel.push(Buffer.alloc(0));
      channel.end();

      assert.equal(await read(channel), '');
    });

    it('throws DataSetInterrupted when the association ends first, before or while it is read', async () => {
      const early = new DataSetChannel();
      early.push(fragment('half'));
      early.fail(new DataSetInterrupted('lost'));
      const late = new DataSetChannel();
      const reading = read(late);
      late.push(fragment('half'));
      late.fail(new DataSetInterrupted('aborted'));

      await assert.rejects(read(early), { name: 'DataSetInterrupted', how: 'lost' });
      await assert.rejects(reading, { name: 'DataSetInterrupted', how: 'aborted' });
    });

    it('can be read once', async () => {
      const channel = new DataSetChannel();
      channel.end();
      await read(channel);

      await assert.rejects(read(channel), /only once/);
    });
  });
}

describe('a data set', () => {
  it('holds the sender back at 256 KiB until its reader has taken half', async () => {
    const channel = new DataSetChannel();
    const waits = Array.from({ length: 5 }, () => channel.push(Buffer.alloc(64 * KiB)));
    let hasRoom = false;
    void waits[4]!.then(() => (hasRoom = true));

    assert.deepEqual(waits.slice(0, 4), [undefined, undefined, undefined, undefined]);
    const iterator = channel[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    await Promise.resolve();
    assert.equal(hasRoom, false);
    await iterator.next();

    await waits[4];
  });

  it('calls its consumer without a promise in between, and waits for one that it returns', async () => {
    const channel = new DataSetChannel();
    const gate = Promise.withResolvers<void>();
    const taken: string[] = [];
    const reading = channel.consume((bytes) => {
      taken.push(bytes.toString());
      return taken.length === 2 ? gate.promise : undefined;
    });

    assert.equal(channel.push(fragment('a')), undefined);
    const wait = channel.push(fragment('b'));
    assert.deepEqual(taken, ['a', 'b']);
    assert.ok(wait instanceof Promise);
    gate.resolve();
    await wait;
    channel.end();

    assert.equal(await reading, 2);
  });

  it('rejects with its consumer\'s own error and drops the rest', async () => {
    for (const failing of [() => { throw new Error('disk full'); }, () => Promise.reject(new Error('disk full'))]) {
      const channel = new DataSetChannel();
      const reading = channel.consume(failing);
      const rejected = assert.rejects(reading, /disk full/);

      await channel.push(fragment('a'));
      assert.equal(channel.push(Buffer.alloc(1024 * KiB)), undefined);
      channel.end();

      await rejected;
    }
  });

  it('does not reject while its consumer still works on a fragment', async () => {
    const channel = new DataSetChannel();
    const gate = Promise.withResolvers<void>();
    let settled = false;
    const reading = channel.consume(() => gate.promise);
    const rejected = assert.rejects(reading.finally(() => (settled = true)), { name: 'DataSetInterrupted' });

    channel.push(fragment('a'));
    channel.fail(new DataSetInterrupted('lost'));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(settled, false);
    gate.resolve();

    await rejected;
  });

  it('drops the rest when its reader leaves the loop, without holding the sender back', async () => {
    const channel = new DataSetChannel();
    channel.push(fragment('first'));
    for await (const bytes of channel) {
      assert.equal(bytes.toString(), 'first');
      break;
    }

    for (let count = 0; count < 20; count++) assert.equal(channel.push(Buffer.alloc(64 * KiB)), undefined);
    channel.end();

    await channel.over;
  });

  it('lets the sender go on when it is thrown away while held back', async () => {
    const channel = new DataSetChannel();
    const wait = channel.push(Buffer.alloc(300 * KiB));

    channel.discard();

    await wait;
  });
});
