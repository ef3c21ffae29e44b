import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { InfraConfig } from '../config.ts';
import { isPart, PARTS, StackError, type Part } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';

/** `logs [part] [-f]`: the end of one log or of all; `-f` goes on as they grow. */
export async function logs(config: InfraConfig, args: readonly string[]): Promise<number> {
  const paths = pathsOf(config.home);
  const follow = args.some((arg) => arg === '-f' || arg === '--follow');
  const names = args.filter((arg) => !arg.startsWith('-'));
  const unknown = names.find((name) => !isPart(name) && name !== 'supervisor');
  if (unknown) throw new StackError(`There is no part "${unknown}". Parts: ${PARTS.join(', ')}, supervisor.`);
  const chosen = (names.length > 0 ? names : [...PARTS, 'supervisor']) as readonly (Part | 'supervisor')[];
  const files = chosen.map((name) => paths.logOf(name)).filter((file) => existsSync(file));
  if (files.length === 0) throw new StackError(`No log yet in ${paths.logs}. \`./pacs up\` starts the PACS.`);
  const tail = spawn('tail', ['-n', names.length === 1 ? '200' : '20', ...(follow ? ['-F'] : []), ...files], { stdio: 'inherit' });
  process.on('SIGINT', () => {}); // Ctrl-C ends tail, and with it this
  return new Promise((resolve) => tail.once('close', () => resolve(0)));
}
