import { rmSync } from 'node:fs';
import path from 'node:path';
import { printProgress } from '../infra/commands/show.ts';
import type { InfraConfig } from '../infra/config.ts';
import { startStack, type Stack } from '../infra/native/stack.ts';
import type { S3Values } from '../stores/s3/s3.ts';

/** A stack of its own on free ports below `.pacs/tmp/`, gone when the work is done. */
export async function withStack<T>(config: InfraConfig, work: (stack: Stack, home: string) => Promise<T>): Promise<T> {
  const home = path.join(config.home, 'tmp', `bench-${process.pid}`);
  const stop = new AbortController();
  let stack: Stack | undefined;
  const ask = (): void => {
    stop.abort();
    void stack?.stop().then(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  try {
    stack = await startStack({
      home, binDir: process.env['PACS_BIN_DIR'] ?? path.join(config.home, 'bin'), ports: 'free', external: config.external,
      env: { PACS_LOG_LEVEL: 'warn', ...config.passedOn }, onProgress: printProgress, signal: stop.signal,
      onCrash: (part) => printProgress({ subject: part, state: 'crashed', text: 'ended by itself' }),
    });
    return await work(stack, home);
  } finally {
    await stack?.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

export const s3Of = ({ env }: Stack): S3Values => ({
  endpoint: env['S3_ENDPOINT']!, region: env['PACS_S3_REGION']!, bucket: env['PACS_S3_BUCKET']!,
  credentials: { accessKeyId: env['AWS_ACCESS_KEY_ID']!, secretAccessKey: env['AWS_SECRET_ACCESS_KEY']! },
});
