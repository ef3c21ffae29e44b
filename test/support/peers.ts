import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensureTestPeers, type TestPeers } from '../../infra/native/peers.ts';
import { bestLeash } from '../../infra/native/process.ts';

let found: Promise<TestPeers> | undefined;

/** Other people's DICOM programs, installed when they are missing. Call it inside `describe`. */
export function testPeers(): () => TestPeers {
  let peers: TestPeers | undefined;
  before('DCMTK, Orthanc and the Python clients are there', async function () {
    this.timeout(300_000);
    found ??= ensureTestPeers();
    peers = await found;
  });
  return () => peers!;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  /** Both streams, as a terminal shows them. */
  readonly output: string;
}

export interface RunOptions {
  /** Given to the program as JSON. */
  readonly input?: unknown;
  readonly timeoutMs?: number;
  /** Called for each whole line of standard output. */
  readonly onLine?: (line: string) => void;
}

/** Runs a program to its end, for two minutes at most. */
export function runPeer(command: string, args: readonly string[], { input, timeoutMs = 120_000, onLine }: RunOptions = {}): Promise<Finished> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }, timeout: timeoutMs, killSignal: 'SIGKILL' });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input === undefined ? '' : JSON.stringify(input));
  let [stdout, output, rest] = ['', '', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    lines.forEach((line) => onLine?.(line));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { output += text; });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, output }));
  });
}

/** Runs one of the scripts beside this file with a JSON request. @returns what it printed, one JSON value a line */
export async function runScript<T>(python: string, script: string, input: unknown): Promise<readonly T[]> {
  const { code, stdout, output } = await runPeer(python, [path.join(import.meta.dirname, script)], { input });
  if (code !== 0) throw new Error(`${script} ended with code ${code}: ${output.slice(-2000)}`);
  return stdout.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as T);
}

export interface PeerProcess {
  readonly output: () => string;
  stop(): Promise<void>;
}

/** Starts a receiver. It dies with this process, however this process ends. */
export function startPeer(command: string, args: readonly string[]): PeerProcess {
  const leash = bestLeash() === 'kernel' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
  const [first = command, ...rest] = [...leash, command, ...args];
  const child: ChildProcess = spawn(first, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => { output = (output + text).slice(-20_000); });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    output: () => output,
    stop: async () => {
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(hard);
    },
  };
}

/** Options of storescp to take these SOP Classes in one transfer syntax that DCMTK names, and Verification. */
export async function storescpProfile(sopClassUIDs: readonly string[], transferSyntaxName: string): Promise<readonly string[]> {
  const file = path.join(await tempFolder(), 'profile.cfg');
  await writeFile(file, [
    '[[TransferSyntaxes]]', '[One]', `TransferSyntax1 = ${transferSyntaxName}`, '[Implicit]', 'TransferSyntax1 = LittleEndianImplicit',
    '[[PresentationContexts]]', '[Storage]', 'PresentationContext1 = VerificationSOPClass\\Implicit', ...sopClassUIDs.map((uid, at) => `PresentationContext${at + 2} = ${uid}\\One`),
    '[[Profiles]]', '[Default]', 'PresentationContexts = Storage', '',
  ].join('\n'));
  return ['-xf', file, 'Default'];
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const made: string[] = [];

/** A folder that `removeTempFolders` removes. */
export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(process.env['PACS_TEST_HOME'] ?? tmpdir(), 'peers-'));
  made.push(folder);
  return folder;
}

export async function removeTempFolders(): Promise<void> {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
}
