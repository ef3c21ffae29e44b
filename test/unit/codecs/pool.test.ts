import assert from 'node:assert/strict';
import { ThreadPool } from '../../../codecs/pool.ts';

/** A codec thread that does what the "transfer syntax" says. */
const module = new URL(`data:text/javascript,${encodeURIComponent(`
  import { parentPort } from 'node:worker_threads';
  parentPort.on('message', ({ input: { to } }) => {
    if (to === 'hang') for (;;);
    if (to === 'crash') throw new Error('crash');
    if (to === 'exit') process.exit(3);
    const answer = () => parentPort.postMessage({ output: { bytes: new Uint8Array([Number(to)]) } });
    if (to === '9') setTimeout(answer, 300); else answer();
  });
`)}`);

const job = (to: string) => ({ file: new Uint8Array(1), to, maxBytes: 1 });

describe('the codec threads', () => {
  const pools: ThreadPool[] = [];
  const aPool = (over: { readonly threads?: number; readonly maxWaiting?: number } = {}): ThreadPool => {
    const pool = new ThreadPool({ threads: 1, maxWaiting: 8, jobTimeoutMs: 2_000, module, ...over });
    pools.push(pool);
    return pool;
  };
  afterEach(async () => { for (const pool of pools.splice(0)) await pool.close(); });

  for (const bad of ['hang', 'crash', 'exit']) {
    it(`a job that makes its thread ${bad} is an error of that job alone`, async function () {
      this.timeout(20_000);
      const pool = aPool();

      const jobs = [pool.run('transcode', job('1'), []), pool.run('transcode', job(bad), []), pool.run('transcode', job('2'), [])];

      await assert.rejects(jobs[1]!, { name: 'CodecError', problem: 'failed' });
      assert.deepEqual([...(await jobs[0]!).bytes, ...(await jobs[2]!).bytes], [1, 2]);
    });
  }

  it('answers "busy" when more jobs wait than may', async () => {
    const pool = aPool({ maxWaiting: 1 });

    const jobs = [pool.run('transcode', job('9'), []), pool.run('transcode', job('1'), [])];

    await assert.rejects(pool.run('transcode', job('2'), []), { name: 'CodecError', problem: 'busy' });
    assert.deepEqual([...(await jobs[0]!).bytes, ...(await jobs[1]!).bytes], [9, 1]);
  });

  it('forgets a waiting job that its caller gave up', async () => {
    const pool = aPool();
    const caller = new AbortController();
    const running = pool.run('transcode', job('9'), []);
    const waiting = pool.run('transcode', job('1'), [], caller.signal);

    caller.abort(new Error('gone'));

    await assert.rejects(waiting, /gone/);
    assert.deepEqual([...(await running).bytes], [9]);
  });
});
