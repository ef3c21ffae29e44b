import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { StackError, type Part } from './parts.ts';

/** Default port of everything that listens. SeaweedFS expects its gRPC ports 10000 above; the last four rows hold to that. */
export const DEFAULT_PORTS = {
  dicom: 11112,
  api: 8080,
  gatewayHttp: 8081,
  workerHttp: 8082,
  temporal: 7233,
  temporalUI: 8233,
  opensearch: 9200,
  opensearchTransport: 9300,
  s3: 8333,
  s3Grpc: 18333,
  s3Master: 9333,
  s3MasterGrpc: 19333,
  s3Volume: 9340,
  s3VolumeGrpc: 19340,
  s3Filer: 8888,
  s3FilerGrpc: 18888,
} as const;

export type PortName = keyof typeof DEFAULT_PORTS;
export type Ports = Readonly<Record<PortName, number>>;

export const PORTS_OF: Readonly<Record<Part, readonly PortName[]>> = {
  temporal: ['temporal', 'temporalUI'],
  s3: ['s3', 's3Grpc', 's3Master', 's3MasterGrpc', 's3Volume', 's3VolumeGrpc', 's3Filer', 's3FilerGrpc'],
  opensearch: ['opensearch', 'opensearchTransport'],
  gateway: ['dicom', 'gatewayHttp'],
  worker: ['workerHttp'],
  api: ['api'],
};

const names = Object.keys(DEFAULT_PORTS) as PortName[];
const portsFrom = (portOf: (name: PortName) => number): Ports =>
  Object.fromEntries(names.map((name) => [name, portOf(name)])) as Ports;

/** Ports above 1023 that browsers and `fetch` refuse to call (WHATWG Fetch, "bad port"): what listens there by HTTP looks down. */
const refusedByFetch: readonly number[] = [1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080];
const httpPorts: readonly PortName[] = ['api', 'gatewayHttp', 'workerHttp', 'temporalUI', 'opensearch', 's3', 's3Master', 's3Filer'];

/** @throws StackError when the offset would move a port out of 1–65535, or an HTTP port to one that no browser calls */
export function portsWithOffset(offset: number, given: Partial<Ports> = {}): Ports {
  const highest = Math.max(...Object.values(DEFAULT_PORTS)) + offset;
  if (!Number.isInteger(offset) || offset < 0 || highest > 65535) {
    throw new StackError(`PACS_PORT_OFFSET must be a whole number from 0 to ${65535 - highest + offset}, not ${offset}.`);
  }
  const ports = portsFrom((name) => given[name] ?? DEFAULT_PORTS[name] + offset);
  const refused = httpPorts.find((name) => refusedByFetch.includes(ports[name]));
  if (refused) throw new StackError(`Port ${ports[refused]} (${refused}) is one that browsers refuse to call. Choose another PACS_PORT_OFFSET, or another port for it.`);
  return ports;
}

/** Whether somebody could listen there now. */
export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}

/**
 * Ports that nobody uses now. Chosen below the range from which Linux takes ports for outgoing connections
 * (32768 and up), so that none is lost between this moment and the server's start.
 */
export async function freePorts(): Promise<Ports> {
  const chosen = new Set<number>();
  while (chosen.size < names.length) {
    const port = 15000 + Math.floor(Math.random() * 17000);
    if (!chosen.has(port) && (await isFree(port))) chosen.add(port);
  }
  const list = [...chosen];
  return portsFrom((name) => list[names.indexOf(name)] as number);
}

/** @throws StackError naming each port that is taken, who has it, and the setting that moves it */
export async function requireFree(parts: readonly Part[], ports: Ports): Promise<void> {
  const problems: string[] = [];
  for (const part of parts) {
    for (const name of PORTS_OF[part]) {
      if (await isFree(ports[name])) continue;
      const owner = portOwner(ports[name]);
      problems.push(`Port ${ports[name]} (${part}: ${name}) is taken${owner ? ` by process ${owner.pid} (${owner.name})` : ''}.`);
    }
  }
  if (problems.length === 0) return;
  throw new StackError(`${problems.join('\n')}\nStop that process, or move every port of this stack with PACS_PORT_OFFSET, for example:\n  PACS_PORT_OFFSET=1000 ./pacs up`);
}

/** Who listens on a TCP port, as far as Linux lets this user see it. */
export function portOwner(port: number): { readonly pid: number; readonly name: string } | undefined {
  try {
    const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
    const inodes = new Set(
      ['/proc/net/tcp', '/proc/net/tcp6']
        .flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(1))
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[1]?.endsWith(`:${hexPort}`) && fields[3] === '0A')
        .map((fields) => `socket:[${fields[9]}]`),
    );
    for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      if (openFiles(pid).some((file) => inodes.has(file))) {
        return { pid: Number(pid), name: path.basename(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '') };
      }
    }
  } catch {
    // Not Linux, or the process ended while we looked: the message does without the owner.
  }
  return undefined;
}

function openFiles(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
  } catch {
    return [];
  }
}
