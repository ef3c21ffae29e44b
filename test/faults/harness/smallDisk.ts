import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, statfsSync } from 'node:fs';
import path from 'node:path';

/** A disk of its own for the gateway's spool. */
export interface SmallDisk {
  readonly folder: string;
  /** Takes what is free and what becomes free, but for so many bytes, until `empty`. */
  fill(leaveBytes: number): void;
  empty(): void;
  unmount(): void;
}

/** @returns undefined where this user may not mount one */
export function mountSmallDisk(folder: string, sizeMiB: number): SmallDisk | undefined {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=700`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const filler = path.join(folder, '.filler');
  let filling: NodeJS.Timeout | undefined;
  const fill = (leaveBytes: number): void => {
    const { bavail, bsize } = statfsSync(folder);
    try {
      appendFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
    } catch {
      // The gateway was writing, too: full is what was wanted.
    }
  };
  const empty = (): void => {
    clearInterval(filling);
    rmSync(filler, { force: true });
  };
  return {
    folder, empty,
    fill: (leaveBytes) => {
      empty();
      fill(leaveBytes);
      // Packs that the gateway keeps make room for a while.
      filling = setInterval(fill, 200, leaveBytes).unref();
    },
    unmount: () => void execFileSync('umount', ['-l', folder], { stdio: 'ignore' }),
  };
}
