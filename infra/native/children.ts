import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Binaries } from './download.ts';
import { ENTRY_POINTS, EXTRA_ENVIRONMENT, NODE_ARGS, healthUrl, inherited, urlsOf } from './environment.ts';
import { opensearchServer } from './opensearch.ts';
import { isServer, PARTS, StackError, STOP_ORDER, type OnProgress, type Part } from './parts.ts';
import { CHECKOUT, type Paths } from './paths.ts';
import { PORTS_OF } from './ports.ts';
import { isAlive, lastLines, launch, readRecord, stopRecorded, stopRunning, type Exit, type Launch, type Running, type RunRecord } from './process.ts';
import { s3Server } from './s3.ts';
import { answers, type Server, type Site } from './server.ts';
import { temporalServer } from './temporal.ts';

const START_TIMEOUT_MS = 120_000;
/** Gateway and worker finish what they have begun, 20 s at most. SeaweedFS waits 15 s for its own subscriptions when asked to stop; what it answered for is on disk already. */
const GRACE_MS: Readonly<Record<Part, number>> = { gateway: 25_000, api: 10_000, worker: 25_000, temporal: 5_000, s3: 1_500, opensearch: 10_000 };
/** The started processes of one stack. */
export class Children {
  readonly #running = new Map<Part, Running>();
  readonly #expected = new WeakSet<Running>();
  readonly #servers: Readonly<Record<'temporal' | 's3' | 'opensearch', Server>>;
  readonly #site: Site;
  readonly #env: Readonly<Record<string, string>>;
  readonly #onCrash: (part: Part, exit: Exit) => void;
  readonly #onProgress: OnProgress;
  #stopping = false;
  #stopped: Promise<void> | undefined;

  constructor(site: Site, env: Readonly<Record<string, string>>, binaries: Binaries, onCrash: (part: Part, exit: Exit) => void, onProgress: OnProgress) {
    this.#site = site;
    this.#env = env;
    this.#servers = { temporal: temporalServer(binaries), s3: s3Server(binaries), opensearch: opensearchServer(binaries) };
    this.#onCrash = onCrash;
    this.#onProgress = onProgress;
  }

  pid(part: Part): number | undefined {
    const running = this.#running.get(part);
    return running && !running.exit() ? running.pid : undefined;
  }

  healthy(part: Part): Promise<boolean> {
    if (this.pid(part) === undefined) return Promise.resolve(false);
    return isServer(part) ? this.#servers[part].healthy(this.#site) : answers(healthUrl(part, urlsOf(this.#env)));
  }

  async start(part: Part): Promise<void> {
    if (this.#stopping) throw new StackError(`${part} was not started: the stack is being stopped.`);
    const began = Date.now();
    this.#onProgress({ subject: part, state: 'starting', text: 'starting …' });
    const running = launch(this.#launchOf(part));
    this.#running.set(part, running);
    await this.#untilHealthy(part, running, began);
    void running.exited.then((exit) => {
      if (!this.#expected.has(running) && !this.#stopping) this.#onCrash(part, exit);
    });
    this.#onProgress({ subject: part, state: 'ready', text: `ready after ${((Date.now() - began) / 1000).toFixed(1)} s (pid ${running.pid})` });
  }

  async #untilHealthy(part: Part, running: Running, began: number): Promise<void> {
    while (!(await this.healthy(part))) {
      const exit = running.exit();
      const late = Date.now() - began > START_TIMEOUT_MS;
      if (!exit && !late && !this.#stopping) {
        await sleep(100);
        continue;
      }
      this.#expected.add(running);
      await stopRunning(running, 1000);
      if (this.#stopping) throw new StackError(`${part} was stopped while it started.`);
      const log = this.#site.paths.logOf(part);
      throw new StackError([
        exit ? `${part} ended while it started (${exit.signal ?? `code ${exit.code}`}).` : `${part} did not answer within ${START_TIMEOUT_MS / 1000} s.`,
        `Log: ${log}`, lastLines(log, 12),
        'Remedy: `./pacs doctor` checks tools, ports and disk; `./pacs reset` begins with empty data.',
      ].join('\n'));
    }
  }

  async restart(part: Part): Promise<void> {
    await this.#end(part);
    await this.start(part);
  }

  async kill(part: Part, signal: NodeJS.Signals): Promise<void> {
    const running = this.#running.get(part);
    if (!running || running.exit()) return;
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') this.#expected.add(running);
    running.signal(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await running.exited;
  }

  /** Stops everything, door first. A second call joins the first. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    this.#stopping = true;
    for (const group of STOP_ORDER) await Promise.all(group.map((part) => this.#end(part)));
    for (const server of Object.values(this.#servers)) server.cleanUp?.(this.#site);
  }

  async #end(part: Part): Promise<void> {
    const running = this.#running.get(part);
    if (!running || running.exit()) return;
    this.#expected.add(running);
    this.#onProgress({ subject: part, state: 'stopping', text: 'stopping …' });
    await stopRunning(running, GRACE_MS[part]);
    this.#onProgress({ subject: part, state: 'stopped', text: 'stopped' });
  }

  #launchOf(part: Part): Launch {
    const { paths, ports } = this.#site;
    const common = { part, logFile: paths.logOf(part), runFile: paths.runFileOf(part), ports: PORTS_OF[part].map((name) => ports[name]) };
    if (isServer(part)) {
      const { env, ...spec } = this.#servers[part].launch(this.#site);
      return { ...common, ...spec, env: { ...inherited(), TMPDIR: paths.tmp, ...env } };
    }
    return {
      ...common, command: process.execPath, args: [...NODE_ARGS[part], path.join(CHECKOUT, ENTRY_POINTS[part])], cwd: CHECKOUT,
      env: { ...inherited(), ...this.#env, ...EXTRA_ENVIRONMENT[part] },
    };
  }
}

/** Ends parts whose starter is gone, found by their records in `.pacs/run/`. @returns how many there were */
export async function stopLeftovers(paths: Paths): Promise<number> {
  const records = PARTS.map((part) => readRecord<RunRecord>(paths.runFileOf(part))).filter((record) => record !== undefined);
  const alive = records.filter(isAlive).length;
  await Promise.all(records.map(async (record) => {
    await stopRecorded(record, GRACE_MS[record.part]);
    rmSync(paths.runFileOf(record.part), { force: true });
  }));
  return alive;
}
