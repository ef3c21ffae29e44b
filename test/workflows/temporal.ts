import { startTemporal, type Temporal, type TemporalOptions } from './server.ts';

export type { Temporal } from './server.ts';

const started = new Map<string, Promise<Temporal>>();

/** Shared by every test file that asks for the same options; stopped after the last test. Call it in `before`. */
export async function temporal(context: Mocha.Context, options: TemporalOptions = {}): Promise<Temporal> {
  context.timeout(60_000);
  const key = JSON.stringify(options);
  if (!started.has(key)) started.set(key, startTemporal(options));
  return started.get(key)!;
}

after('stops the Temporal servers', async function stopAll() {
  this.timeout(60_000);
  for (const server of started.values()) await (await server.catch(() => undefined))?.stop();
});
