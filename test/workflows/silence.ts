import { DefaultLogger, Runtime } from '@temporalio/worker';

/** Retried activities and refused updates are what these tests are about: no news. Call it before anything else of the SDK runs. */
export function silence(): void {
  try {
    Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined) });
  } catch {
    // Another test file has installed it.
  }
}
