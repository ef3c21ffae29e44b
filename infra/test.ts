import { spawn } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { InfraConfig } from './config.ts';
import { SERVERS, StackError } from './native/parts.ts';
import { ensureTestPeers } from './native/peers.ts';
import { CHECKOUT } from './native/paths.ts';
import { startStack, type Stack } from './native/stack.ts';
import { printProgress } from './commands/show.ts';

type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };

const EVERYTHING = 'test/**/*.test.ts';
/** Tests here need no servers. */
const UNIT = ['test/unit/', 'test/architecture.test.ts', 'test/replay/'];

/**
 * `test [unit|GLOB …]`: types, lint and every test; with arguments only the tests they name. Servers run on free
 * ports in a folder of their own, so a PACS that is up is not touched.
 *
 * @returns 0 when nothing failed; the last line printed is `N passed, N failed`
 */
export async function test(config: InfraConfig, args: readonly string[]): Promise<number> {
  const files = (args.length === 0 ? [EVERYTHING] : args.map(pattern)).flatMap((glob) => globSync(glob, { cwd: CHECKOUT })).sort();
  if (args.length > 0 && files.length === 0) throw new StackError(`No test file matches ${args.join(' ')}.`);
  const results: Counts[] = [];
  if (args.length === 0) {
    // Before anything runs: a suite that finds no peer skips, and nobody should read that as tested.
    await ensureTestPeers(printProgress);
    results.push(await step('types', ['node_modules/typescript/bin/tsc', '--noEmit']));
    results.push(await step('lint', ['node_modules/eslint/bin/eslint.js', '.']));
  }
  if (files.length > 0) results.push(await runMocha(config, files));
  const sum = (of: (counts: Counts) => number): number => results.reduce((total, counts) => total + of(counts), 0);
  const [passed, failed, skipped] = [sum((c) => c.passed), sum((c) => c.failed), sum((c) => c.skipped)];
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed === 0 ? 0 : 1;
}

const pattern = (arg: string): string => {
  if (arg.endsWith('.ts')) return arg;
  return arg.startsWith('test/') ? `${arg.replace(/\/$/, '')}/**/*.test.ts` : `test/${arg}/**/*.test.ts`;
};

async function step(name: string, args: readonly string[]): Promise<Counts> {
  const code = await node(args, {});
  console.log(`${code === 0 ? '✔' : '✖'} ${name}`);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

async function runMocha(config: InfraConfig, files: readonly string[]): Promise<Counts> {
  const home = path.join(config.home, 'tmp', `test-${process.pid}`);
  const binDir = path.join(config.home, 'bin');
  const resultFile = path.join(home, 'result.json');
  mkdirSync(home, { recursive: true });
  const needsServers = files.some((file) => !UNIT.some((prefix) => file.startsWith(prefix)));
  let stack: Stack | undefined;
  const stop = new AbortController();
  const ask = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  try {
    if (needsServers) {
      stack = await startStack({ home, binDir, ports: 'free', parts: SERVERS, external: config.external, onProgress: printProgress, signal: stop.signal });
    }
    const code = await node(
      ['node_modules/mocha/bin/mocha.js', '--no-config', '--extension', 'ts', '--timeout', '30000', '--forbid-only', '--exit', '--reporter', 'infra/testReporter.ts', ...files],
      { ...stack?.env, PACS_BIN_DIR: binDir, PACS_TEST_HOME: home, PACS_TEST_RESULT: resultFile }, stop.signal,
    );
    return countsOf(resultFile, code);
  } finally {
    await stack?.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** A run that ended without a result counts as one failure: nobody should read it as success. */
function countsOf(resultFile: string, code: number): Counts {
  try {
    const counts = JSON.parse(readFileSync(resultFile, 'utf8')) as Counts;
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } catch {
    console.error(`The test run ended with code ${code} before it had a result.`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function node(args: readonly string[], env: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: CHECKOUT, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] });
    signal?.addEventListener('abort', () => child.kill('SIGTERM'));
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 1));
  });
}
