import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';

export interface LogLine {
  /** pino's: 30 info, 40 warn, 50 error. */
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface GatewayProcess {
  readonly child: ChildProcess;
  readonly dicomPort: number;
  readonly dicomTlsPort: number;
  readonly httpPort: number;
  /** Everything that it logged so far. */
  readonly log: readonly LogLine[];
  status(): Promise<{ readonly associations: Readonly<Record<string, number>>; readonly [name: string]: unknown }>;
  /** Resident memory now, in bytes (Linux). */
  memoryBytes(): Promise<number>;
  /** The highest resident memory so far. */
  peakMemoryBytes(): Promise<number>;
  /** Open file handles now. */
  handleCount(): Promise<number>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** The gateway as a process of its own, on free ports, with a cloud that never answers. */
export async function aGatewayProcess(spoolDir: string, env: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
  const child = spawn(process.execPath, ['edge-gateway/main.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PACS_TENANT_ID: 'demo', PACS_GATEWAY_ID: 'gw1', TEMPORAL_ADDRESS: '127.0.0.1:1', PACS_DICOM_PORT: '0', PACS_GATEWAY_HTTP_PORT: '0', PACS_SPOOL_DIR: spoolDir, PACS_LOG_LEVEL: 'info', PACS_SPOOL_MIN_FREE_BYTES: '1', ...env },
  });
  const log: LogLine[] = [];
  const listening = Promise.withResolvers<LogLine>();
  createInterface({ input: child.stdout! }).on('line', (text) => {
    const line = JSON.parse(text) as LogLine;
    log.push(line);
    if (line.msg === 'Listening') listening.resolve(line);
  });
  child.once('exit', () => listening.reject(new Error('The gateway process ended before it listened.')));
  const { dicomPort, dicomTlsPort, httpPort } = await listening.promise as LogLine & { dicomPort: number; dicomTlsPort: number; httpPort: number };
  const memory = async (name: string): Promise<number> =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))![1]);
  return {
    child, dicomPort, dicomTlsPort, httpPort, log,
    status: async () => await (await fetch(`http://127.0.0.1:${httpPort}/status`)).json() as Awaited<ReturnType<GatewayProcess['status']>>,
    memoryBytes: () => memory('VmRSS'),
    peakMemoryBytes: () => memory('VmHWM'),
    handleCount: async () => (await readdir(`/proc/${child.pid}/fd`)).length,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
