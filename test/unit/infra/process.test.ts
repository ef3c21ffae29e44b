import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHECKOUT } from '../../../infra/native/paths.ts';
import { bestLeash, isAlive, launch, readRecord, startMark, stopRunning, type Launch, type Leash, type RunRecord } from '../../../infra/native/process.ts';

const leashes: readonly Leash[] = bestLeash() === 'kernel' ? ['kernel', 'pipe'] : ['pipe'];

describe('a part as a process', () => {
  let folder: string;
  beforeEach(() => { folder = mkdtempSync(path.join(process.env['PACS_TEST_HOME'] ?? '/tmp', 'process-')); });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const aPart = (script: string): Launch => ({
    part: 'api', command: process.execPath, args: ['-e', script], env: { PATH: process.env['PATH'] ?? '' }, cwd: folder,
    ports: [], logFile: path.join(folder, 'api.log'), runFile: path.join(folder, 'api.json'),
  });
  const untilLogSays = async (words: string): Promise<void> => {
    while (!existsSync(path.join(folder, 'api.log')) || !readFileSync(path.join(folder, 'api.log'), 'utf8').includes(words)) await sleep(10);
  };

  const untilGone = async (pid: number): Promise<void> => {
    for (const deadline = Date.now() + 5000; startMark(pid) !== undefined && Date.now() < deadline;) await sleep(10);
    assert.equal(startMark(pid), undefined);
  };

  for (const leash of leashes) {
    it(`ends on SIGTERM and takes its record along (${leash})`, async () => {
      const running = launch(aPart('process.on("SIGTERM", () => process.exit(7)); console.log("ready"); setInterval(() => {}, 1000)'), leash);
      await untilLogSays('ready');
      const record = readRecord<RunRecord>(path.join(folder, 'api.json'));
      assert.ok(record && isAlive(record));

      await stopRunning(running, 5000);

      assert.equal(running.exit()?.code, 7);
      assert.equal(existsSync(path.join(folder, 'api.json')), false);
    });

    it(`is killed when it does not end in time (${leash})`, async () => {
      const running = launch(aPart('process.on("SIGTERM", () => {}); console.log(process.pid, "ready"); setInterval(() => {}, 1000)'), leash);
      await untilLogSays('ready');
      const pid = Number.parseInt(readFileSync(path.join(folder, 'api.log'), 'utf8'), 10);

      await stopRunning(running, 100);

      await untilGone(pid);
    });

    it(`dies with a starter that was killed (${leash})`, async () => {
      const starter = spawn(process.execPath, ['--input-type=module-typescript', '-e', `
        import { launch } from ${JSON.stringify(path.join(CHECKOUT, 'infra/native/process.ts'))};
        launch(${JSON.stringify(aPart('console.log(process.pid, "ready"); setInterval(() => {}, 1000)'))}, '${leash}');
        setInterval(() => {}, 1000);`], { stdio: 'ignore' });
      await untilLogSays('ready');
      const pid = Number.parseInt(readFileSync(path.join(folder, 'api.log'), 'utf8'), 10);
      assert.notEqual(startMark(pid), undefined);

      starter.kill('SIGKILL');
      await once(starter, 'exit');

      await untilGone(pid);
    });
  }

  it('is not mistaken for a later process with the same pid', () => {
    assert.equal(isAlive({ pid: process.pid, startMark: startMark(process.pid) ?? '' }), true);
    assert.equal(isAlive({ pid: process.pid, startMark: '1' }), false);
  });

  it('says so when its program does not exist', async () => {
    const running = launch({ ...aPart(''), command: path.join(folder, 'nothing') });

    const exit = await running.exited;

    assert.equal(exit.code, 127);
  });
});
