import { fork } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { InfraConfig } from '../config.ts';
import { liveStack, type StackRecord } from '../native/claim.ts';
import type { Urls } from '../native/environment.ts';
import { isPart, PARTS, StackError, type Part, type Progress } from '../native/parts.ts';
import { INFRA, makeFolders, pathsOf } from '../native/paths.ts';
import { supervise } from '../native/supervisor.ts';
import { logProgress, printProgress, printUrls } from './show.ts';

type Message = { readonly progress: Progress } | { readonly up: Urls } | { readonly failed: string };

/** `up`: in the foreground until Ctrl-C; with `--detach` until `down`. A second one finds the first. `--only` starts some parts. */
export async function up(config: InfraConfig, args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { detach: { type: 'boolean', short: 'd' }, only: { type: 'string' } } });
  const parts = values.only === undefined ? undefined : partsNamed(values.only);
  const running = liveStack(pathsOf(config.home));
  if (running) return showRunning(config, running);
  if (values.detach) return detach(config, parts);
  await supervise(config, parts, printProgress, (stack) => {
    console.log('\nThe PACS is up. Ctrl-C stops it.');
    printUrls(stack.urls);
  });
  return 0;
}

function partsNamed(list: string): readonly Part[] {
  const names = list.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !isPart(name));
  if (unknown !== undefined) throw new StackError(`There is no part "${unknown}". Parts: ${PARTS.join(', ')}.`);
  return names.filter(isPart);
}

async function showRunning(config: InfraConfig, found: StackRecord): Promise<number> {
  let record: StackRecord | undefined = found;
  if (record.state === 'starting') console.log(`Another process (${record.pid}) is starting the PACS; waiting for it …`);
  for (const deadline = Date.now() + 300_000; record?.state === 'starting' && Date.now() < deadline; await sleep(200)) {
    record = liveStack(pathsOf(config.home));
  }
  if (record?.state !== 'up' || !record.urls) throw new StackError(`The stack in ${config.home} is ${record?.state ?? 'no longer there'}. Try again in a moment; \`./pacs logs\` shows what happened.`);
  console.log(`The PACS is up already (process ${record.pid}). \`./pacs down\` stops it.`);
  printUrls(record.urls);
  return 0;
}

/** Starts a process that holds the stack, and shows its progress until it is up. */
function detach(config: InfraConfig, parts: readonly Part[] | undefined): Promise<number> {
  const paths = pathsOf(config.home);
  makeFolders(paths);
  const log = openSync(paths.logOf('supervisor'), 'a', 0o640);
  const child = fork(path.join(INFRA, 'cli.ts'), ['supervise', ...(parts ? [parts.join(',')] : [])], { detached: true, stdio: ['ignore', log, log, 'ipc'] });
  closeSync(log);
  const stop = (): void => void child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  return new Promise((resolve, reject) => {
    child.on('message', (message: Message) => {
      if ('progress' in message) printProgress(message.progress);
      else if ('failed' in message) reject(new StackError(message.failed));
      else {
        console.log('\nThe PACS is up. `./pacs down` stops it.');
        printUrls(message.up);
        child.disconnect();
        child.unref();
        resolve(0);
      }
    });
    child.once('exit', (code, signal) => reject(new StackError(`The stack was not started (${signal ?? `code ${code}`}). Log: ${paths.logOf('supervisor')}`)));
  });
}

/** The detached process. It gives up when whoever asked for it dies before everything is up. */
export async function superviseDetached(config: InfraConfig, [only]: readonly string[]): Promise<number> {
  let isUp = false;
  const tell = (message: Message): void => { if (process.connected) process.send?.(message, () => {}); };
  process.on('disconnect', () => { if (!isUp) process.kill(process.pid, 'SIGTERM'); });
  try {
    await supervise(config, only === undefined ? undefined : partsNamed(only), (progress) => { logProgress(progress); tell({ progress }); }, (stack) => {
      isUp = true;
      tell({ up: stack.urls });
    });
    return 0;
  } catch (error) {
    console.log(error);
    tell({ failed: error instanceof StackError ? error.message : String((error as Error).stack) });
    return 1;
  }
}
