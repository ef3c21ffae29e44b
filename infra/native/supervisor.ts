import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InfraConfig } from '../config.ts';
import type { OnProgress, Part } from './parts.ts';
import type { Exit } from './process.ts';
import { startStack, type Stack } from './stack.ts';

const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 30_000;
/** A part that ran this long begins again with the shortest delay. */
const CALM_MS = 60_000;

/**
 * Starts the stack and keeps it up until a signal asks to stop: a part that ends by itself is started again, after
 * 1 s, 2 s, 4 s … up to 30 s.
 *
 * @param parts what to start; everything when undefined
 * @param onUp called once, when everything is ready
 */
export async function supervise(config: InfraConfig, parts: readonly Part[] | undefined, onProgress: OnProgress, onUp: (stack: Stack) => void): Promise<void> {
  const stop = new AbortController();
  const asked = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
  const ask = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  const crashes = new Map<Part, { count: number; at: number }>();

  const onCrash = async (part: Part, exit: Exit): Promise<void> => {
    const before = crashes.get(part);
    const count = before && Date.now() - before.at < CALM_MS ? before.count + 1 : 0;
    crashes.set(part, { count, at: Date.now() });
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** count, LONGEST_DELAY_MS);
    onProgress({ subject: part, state: 'crashed', text: `ended by itself (${exit.signal ?? `code ${exit.code}`}); starting it again in ${delayMs / 1000} s; log: ${stack.logFile(part)}` });
    await Promise.race([sleep(delayMs), asked]);
    if (stop.signal.aborted) return;
    await stack.restart(part).catch((error: Error) => {
      onProgress({ subject: part, state: 'warning', text: error.message.split('\n')[0] ?? '' });
      if (!stop.signal.aborted) void onCrash(part, { code: null, signal: null });
    });
  };

  const stack = await startStack({
    home: config.home, binDir: path.join(config.home, 'bin'), ports: config.ports, external: config.external, env: config.passedOn,
    ...(parts ? { parts } : {}),
    onProgress, signal: stop.signal, onCrash: (part, exit) => void onCrash(part, exit),
  });
  onUp(stack);
  await asked;
  await stack.stop();
}
