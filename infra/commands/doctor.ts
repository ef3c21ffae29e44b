import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { binariesPresent } from '../native/download.ts';
import { fairnessIgnored, fairnessOf } from './status.ts';
import { PARTS } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { isFree, portOwner, PORTS_OF } from '../native/ports.ts';
import { bestLeash } from '../native/process.ts';

type Finding = { readonly ok: boolean; readonly what: string; readonly remedy?: string };

const MIN_FREE_GB = 5;
const SLOW_SYNC_MS = 10;

/** Looks at everything that has kept a stack from starting. @returns 1 when something needs a person */
export async function doctor(config: InfraConfig): Promise<number> {
  const findings = [...tools(), ...disk(config.home), ...await ports(config), ...programs(config)];
  for (const { ok, what, remedy } of findings) {
    console.log(`${ok ? '✔' : '✖'} ${what}`);
    if (!ok && remedy) console.log(`    → ${remedy}`);
  }
  return findings.every(({ ok }) => ok) ? 0 : 1;
}

function tools(): readonly Finding[] {
  const [major = 0] = process.versions.node.split('.').map(Number);
  return [
    { ok: major >= 24, what: `Node ${process.versions.node}`, remedy: 'Delete node_modules and run ./pacs again: it installs Node 24 there.' },
    tool('Python 3', 'python3', ['--version'], 'Install Python 3 (Debian: apt-get install python3 python3-pip python3-venv).'),
    tool('pip', 'python3', ['-m', 'pip', '--version'], 'Install pip for Python 3 (Debian: apt-get install python3-pip python3-venv).'),
    tool('Maven', 'mvn', ['-v'], 'Install Maven and a JDK (Debian: apt-get install maven).'),
    {
      ok: process.platform !== 'linux' || bestLeash() === 'kernel',
      what: `parts die with their starter: ${bestLeash() === 'kernel' ? 'by the kernel (setpriv)' : 'by a watching shell'}`,
      remedy: 'Install util-linux for setpriv; until then a shell beside each part does it.',
    },
  ];
}

function tool(name: string, command: string, args: readonly string[], remedy: string): Finding {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  // Maven colours its first line even into a pipe.
  const version = (stdout ?? '').replace(/\u001b\[[0-9;]*m/g, '').split('\n')[0]?.trim().split(' from ')[0];
  return { ok: status === 0, what: status === 0 ? `${name}: ${version}` : `${name} is missing`, remedy };
}

function disk(home: string): readonly Finding[] {
  mkdirSync(home, { recursive: true });
  const { bavail, bsize } = statfsSync(home);
  const freeGb = (bavail * bsize) / 1e9;
  const syncMs = measureSync(path.join(home, `.doctor-${process.pid}`));
  return [
    { ok: freeGb >= MIN_FREE_GB, what: `${freeGb.toFixed(1)} GB free at ${home}`, remedy: `At least ${MIN_FREE_GB} GB are wanted. PACS_HOME moves .pacs/ to another disk.` },
    { ok: syncMs < SLOW_SYNC_MS, what: `${syncMs.toFixed(2)} ms to write 512 KB and sync it`, remedy: 'Every received instance waits for this once per association; a local SSD takes under 5 ms. PACS_HOME moves .pacs/ to another disk.' },
  ];
}

function measureSync(file: string): number {
  const fd = openSync(file, 'w');
  try {
    const bytes = Buffer.alloc(512 * 1024, 1);
    const began = performance.now();
    for (let i = 0; i < 20; i++) {
      writeSync(fd, bytes);
      fsyncSync(fd);
    }
    return (performance.now() - began) / 20;
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}

async function ports(config: InfraConfig): Promise<readonly Finding[]> {
  const running = liveStack(pathsOf(config.home));
  if (running) {
    const fairness = running.urls ? await fairnessOf(running.urls) : undefined;
    return [{ ok: true, what: `the PACS is ${running.state} (process ${running.pid}) and has its ports` },
      ...(fairness === 'ignored' ? [{ ok: false, what: 'Temporal ignores fairness keys', remedy: fairnessIgnored }] : [])];
  }
  const names = PARTS.flatMap((part) => PORTS_OF[part].map((name) => ({ part, name, port: config.ports[name] })));
  const free = await Promise.all(names.map(({ port }) => isFree(port)));
  const taken = names.filter((_, index) => !free[index]);
  if (taken.length === 0) return [{ ok: true, what: `all ${names.length} ports are free` }];
  return taken.map(({ part, name, port }) => {
    const owner = portOwner(port);
    return { ok: false, what: `port ${port} (${part}: ${name}) is taken${owner ? ` by process ${owner.pid} (${owner.name})` : ''}`, remedy: 'Stop that process, or set PACS_PORT_OFFSET=1000 to move every port.' };
  });
}

const programs = (config: InfraConfig): readonly Finding[] => [{
  ok: true,
  what: binariesPresent(pathsOf(config.home).bin) ? 'Temporal, SeaweedFS, OpenSearch and Java are downloaded' : 'Temporal, SeaweedFS, OpenSearch and Java will be downloaded by the first ./pacs up',
}];
