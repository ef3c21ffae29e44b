import { existsSync, globSync, writeFileSync } from 'node:fs';

/** Debian's libfaketime: what the process and every library in it read as the time of day; its timers go on as they were. */
const library = (): string | undefined => globSync('/usr/lib/*/faketime/libfaketimeMT.so.1').find(existsSync);

/** The clock of some processes, which can be set while they run. */
export interface Clock {
  /** For the processes' environment. */
  readonly env: Readonly<Record<string, string>>;
  /** @param seconds ahead of the true time; below 0 behind it. Seen within a second. */
  set(seconds: number): void;
}

/** @returns undefined where libfaketime is not installed (Debian: apt-get install faketime) */
export function createClock(file: string): Clock | undefined {
  const preload = library();
  if (!preload) return undefined;
  const set = (seconds: number): void => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  set(0);
  return { set, env: { LD_PRELOAD: preload, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' } };
}
