import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { echo } from '../edge-gateway/scu/echo.ts';
import { freePorts } from '../infra/native/ports.ts';
import { bestLeash } from '../infra/native/process.ts';

/** Another DICOM receiver, measured with the same sender in the same run. */
export interface PeerSystem {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly httpPort: number;
  readonly aeTitle: string;
  /** A process an association, gone with it. */
  readonly forks: boolean;
  /** Stops it and takes away what it received. */
  stop(): Promise<void>;
}

const maxLengthBytes = 131_072;
/**
 * DCMTK, which Orthanc uses as well, writes an answer in two pieces and leaves Nagle's algorithm on: the second waits 40 ms for the
 * sender's delayed acknowledgement, with any sender. This setting of theirs turns it off.
 */
const fairness = { TCP_NODELAY: '1' };
const aeTitle = 'PEER';

const locate = (name: string): string | undefined =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'].map((folder) => path.join(folder, name)).find((file) => existsSync(file));

/** The peers that are installed, by name, each to be started anew for every run. */
export function installedPeers(folder: string): Readonly<Record<string, () => Promise<PeerSystem>>> {
  const storescp = locate('storescp');
  const orthanc = locate('Orthanc');
  return {
    ...(storescp && { 'DCMTK storescp': () => start('DCMTK storescp', path.join(folder, 'storescp'), (home, port) => [
      storescp, '--fork', '--bit-preserving', '--max-pdu', `${maxLengthBytes}`, '--output-directory', home, `${port}`]) }),
    ...(orthanc && { Orthanc: () => start('Orthanc', path.join(folder, 'orthanc'), (home, port, httpPort) => {
      const file = path.join(home, 'orthanc.json');
      writeFileSync(file, JSON.stringify({
        Name: 'bench', StorageDirectory: path.join(home, 'data'), IndexDirectory: path.join(home, 'data'), Plugins: [],
        DicomAet: aeTitle, DicomPort: port, DicomCheckCalledAet: false, DicomAlwaysAllowStore: true, MaximumPduLength: maxLengthBytes,
        HttpPort: httpPort, RemoteAccessAllowed: false, AuthenticationEnabled: false,
      }));
      return [orthanc, file];
    }) }),
  };
}

async function start(name: string, home: string, commandOf: (home: string, port: number, httpPort: number) => readonly string[]): Promise<PeerSystem> {
  rmSync(home, { recursive: true, force: true });
  mkdirSync(path.join(home, 'data'), { recursive: true });
  const { dicom: port, api: httpPort } = await freePorts();
  const log = openSync(`${home}.log`, 'a');
  const leash = bestLeash() === 'kernel' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
  const [command = '', ...args] = [...leash, ...commandOf(home, port, httpPort)];
  const child = spawn(command, args, { env: { ...process.env, ...fairness }, stdio: ['ignore', log, log] });
  await untilItAnswers(name, child, port);
  return {
    name, pid: child.pid ?? -1, port, httpPort, aeTitle, forks: commandOf(home, port, httpPort).includes('--fork'),
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGTERM')) await Promise.race([ended, sleep(5000)]);
      child.kill('SIGKILL');
      rmSync(home, { recursive: true, force: true });
    },
  };
}

async function untilItAnswers(name: string, child: ChildProcess, port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`${name} ended while it started`);
    const status = await echo({ host: '127.0.0.1', port, callingAETitle: 'BENCH', calledAETitle: aeTitle }).catch(() => undefined);
    if (status === 0) return;
    await sleep(100);
  }
  child.kill('SIGKILL');
  throw new Error(`${name} does not answer C-ECHO`);
}
