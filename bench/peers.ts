import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { echo } from '../edge-gateway/scu/echo.ts';
import { freePorts } from '../infra/native/ports.ts';
import { bestLeash } from '../infra/native/process.ts';

/** Another PACS, measured with the same load from the same load generator in the same run. */
export interface PeerSystem {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly httpPort: number;
  readonly aeTitle: string;
  /** Stops it and takes away what it received. */
  stop(): Promise<void>;
}

export interface PeerOptions {
  /**
   * DCMTK, which Orthanc uses as well, writes an answer in two pieces and leaves Nagle's algorithm on: the second waits 40 ms for the
   * sender's delayed acknowledgement, with any sender. Its setting TCP_NODELAY=1 turns that off. Default true.
   */
  readonly noDelay?: boolean;
  /** Whether an instance is synced before it is acknowledged, where that can be chosen. Default true. */
  readonly sync?: boolean;
}

const maxLengthBytes = 131_072;
export const peerAETitle = 'PEER';

/** @returns the program's path; undefined when it is not installed */
export const locate = (name: string): string | undefined =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'].map((folder) => path.join(folder, name)).find((file) => existsSync(file));

type PeerName = 'Orthanc' | 'DCMTK dcmqrscp';

/** The peers that are installed, by name, each to be started anew for every run. */
export function installedPeers(folder: string, options: PeerOptions = {}): Readonly<Partial<Record<PeerName, () => Promise<PeerSystem>>>> {
  const dcmqrscp = locate('dcmqrscp');
  const orthanc = locate('Orthanc');
  return {
    ...(dcmqrscp && { 'DCMTK dcmqrscp': () => start('DCMTK dcmqrscp', path.join(folder, 'dcmqrscp'), options, (home, port) => {
      const file = path.join(home, 'dcmqrscp.cfg');
      writeFileSync(file, dcmqrscpConfig(home, port));
      return [dcmqrscp, '--config', file];
    }) }),
    ...(orthanc && { Orthanc: () => start('Orthanc', path.join(folder, 'orthanc'), options, (home, port, httpPort) => {
      const file = path.join(home, 'orthanc.json');
      writeFileSync(file, JSON.stringify({
        Name: 'bench', StorageDirectory: path.join(home, 'data'), IndexDirectory: path.join(home, 'data'), Plugins: [],
        DicomAet: peerAETitle, DicomPort: port, DicomCheckCalledAet: false, DicomAlwaysAllowStore: true, DicomAlwaysAllowFind: true, DicomAlwaysAllowGet: true,
        DicomAlwaysAllowMove: true, MaximumPduLength: maxLengthBytes, SyncStorageArea: options.sync ?? true, LimitFindResults: 0, LimitFindInstances: 0,
        HttpPort: httpPort, RemoteAccessAllowed: false, AuthenticationEnabled: false,
      }));
      return [orthanc, file];
    }) }),
  };
}

const dcmqrscpConfig = (home: string, port: number): string => `NetworkTCPPort = ${port}
MaxPDUSize = ${maxLengthBytes}
MaxAssociations = 64
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
${peerAETitle} ${path.join(home, 'data')} RW (100000, 1024gb) ANY
AETable END
`;

async function start(name: string, home: string, { noDelay = true }: PeerOptions, commandOf: (home: string, port: number, httpPort: number) => readonly string[]): Promise<PeerSystem> {
  rmSync(home, { recursive: true, force: true });
  mkdirSync(path.join(home, 'data'), { recursive: true });
  const { dicom: port, api: httpPort } = await freePorts();
  const log = openSync(`${home}.log`, 'a');
  const leash = bestLeash() === 'kernel' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
  const [command = '', ...args] = [...leash, ...commandOf(home, port, httpPort)];
  const child = spawn(command, args, { env: { ...process.env, ...(noDelay ? { TCP_NODELAY: '1' } : {}) }, stdio: ['ignore', log, log] });
  await untilItAnswers(name, child, port);
  return {
    name: noDelay ? name : `${name}, its defaults`, pid: child.pid ?? -1, port, httpPort, aeTitle: peerAETitle,
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
    const status = await echo({ host: '127.0.0.1', port, callingAETitle: 'BENCH', calledAETitle: peerAETitle }).catch(() => undefined);
    if (status === 0) return;
    await sleep(100);
  }
  child.kill('SIGKILL');
  throw new Error(`${name} does not answer C-ECHO`);
}
