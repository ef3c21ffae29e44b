import { createHash } from 'node:crypto';
import { createDicomServer, type DicomServer, type DicomServerOptions } from '../../edge-gateway/server.ts';
import { DataSetInterrupted, type AssociationEnd, type AssociationInfo, type DimseRequest, type DimseResponse } from '../../edge-gateway/services/service.ts';

/** What the server's session kept of one instance. */
export interface KeptInstance {
  readonly sopInstanceUID: string;
  readonly transferSyntaxUID: string;
  readonly lengthBytes: number;
  readonly sha256: string;
}

export interface TestServer {
  readonly server: DicomServer;
  /** Of the listener without TLS, or of the one with it when that is the only one. */
  readonly port: number;
  readonly associations: AssociationInfo[];
  readonly kept: KeptInstance[];
  readonly ends: AssociationEnd[];
  /** How data sets were cut off. */
  readonly interrupted: AssociationEnd[];
  /** The sentences of warnings and errors. */
  readonly incidents: string[];
  readonly logLines: string[];
  /** Bytes of data sets that the session has taken. */
  arrivedBytes(): number;
}

const running: DicomServer[] = [];

/** Listens on a free port with a session that hashes what it gets and forgets it. */
export async function aDicomServer(options: Partial<DicomServerOptions> & { readonly handle?: (request: DimseRequest) => Promise<DimseResponse> } = {}): Promise<TestServer> {
  const kept: KeptInstance[] = [];
  const associations: AssociationInfo[] = [];
  const ends: AssociationEnd[] = [];
  const interrupted: AssociationEnd[] = [];
  const incidents: string[] = [];
  const logLines: string[] = [];
  let arrivedBytes = 0;
  const log = (list: string[]) => (fields: object, sentence: string): void => {
    logLines.push(`${JSON.stringify(fields)} ${sentence}`);
    list.push(sentence);
  };
  const keep = async (request: DimseRequest): Promise<DimseResponse> => {
    const hash = createHash('sha256');
    try {
      const lengthBytes = await request.dataSet!.consume((fragment) => {
        arrivedBytes += fragment.length;
        hash.update(fragment);
      });
      const sopInstanceUID = request.command.affectedSOPInstanceUID!;
      kept.push({ sopInstanceUID, transferSyntaxUID: request.transferSyntaxUID, lengthBytes, sha256: hash.digest('hex') });
      return { status: 0 };
    } catch (error) {
      if (error instanceof DataSetInterrupted) interrupted.push(error.how);
      throw error;
    }
  };
  const server = createDicomServer({
    host: '127.0.0.1', port: 0, aeTitles: ['PACS'],
    logger: { info: log([]), warn: log(incidents), error: log(incidents) },
    openSession: (association) => {
      associations.push(association);
      return Promise.resolve({ handle: options.handle ?? keep, ended: (how: AssociationEnd) => Promise.resolve(void ends.push(how)) });
    },
    ...options,
    limits: { artimTimeoutMs: 2_000, ...options.limits },
  });
  running.push(server);
  const { port, tlsPort } = await server.listen();
  return { server, port: port ?? tlsPort!, associations, kept, ends, interrupted, incidents, logLines, arrivedBytes: () => arrivedBytes };
}

/** For `afterEach`. */
export async function closeDicomServers(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.close({ drainMs: 0 })));
}

/** Waits until it holds, for two seconds at most. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 2_000) throw new Error(`it never happened that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
