import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { startStack, type Stack } from '../../../infra/native/stack.ts';
import type { OnProgress } from '../../../infra/native/parts.ts';
import { freePorts } from '../../../infra/native/ports.ts';
import { tokenKey } from '../../../infra/secrets.ts';
import { signToken } from '../../../infra/token.ts';
import { createArchiveStore } from '../../../stores/s3/archiveStore.ts';
import type { ArchiveStore } from '../../../stores/ports.ts';
import { createS3, type Bucket } from '../../../stores/s3/s3.ts';
import { aTenant } from '../../support/aStudy.ts';
import { PacsClient } from '../../support/pacsClient.ts';
import { s3ValuesOf } from '../../support/storeValues.ts';
import { createClock, type Clock } from './clock.ts';
import { startDestination, type CountingDestination } from './destination.ts';
import type { Call } from './faultList.ts';
import { startGrpcProxy, type GrpcProxy } from './grpcProxy.ts';
import { startHttpProxy, type HttpProxy } from './httpProxy.ts';
import { mountSmallDisk, type SmallDisk } from './smallDisk.ts';
import { startTcpLink, type TcpLink } from './tcpLink.ts';

/** The processes that can be killed. The gateway and its worker stand in the hospital, the others in the cloud. */
export const siteParts = ['gateway', 'edgeWorker', 'worker', 'api', 'temporal', 's3', 'opensearch'] as const;
export type SitePart = (typeof siteParts)[number];

/** Every way on which bytes travel, each with a proxy in it. */
export interface Links {
  readonly edgeS3: HttpProxy;
  readonly cloudS3: HttpProxy;
  readonly index: HttpProxy;
  readonly edgeTemporal: GrpcProxy;
  readonly cloudTemporal: GrpcProxy;
  readonly api: HttpProxy;
  /** Modality to gateway. */
  readonly dicom: TcpLink;
  /** Gateway to the second system. */
  readonly delivery: TcpLink;
}

/** A hospital's gateway and a cloud, as processes of their own, with a proxy in every link between them. */
export interface Site {
  readonly tenantId: string;
  readonly links: Links;
  readonly destination: CountingDestination;
  /** Past the proxies. */
  readonly api: PacsClient;
  /** For senders: through the proxy. */
  readonly sendingApi: PacsClient;
  readonly temporal: Client;
  readonly bucket: Bucket;
  readonly archive: ArchiveStore;
  readonly openSearchUrl: string;
  readonly gatewayUrl: string;
  readonly spoolFolder: string;
  /** Undefined where this user may not mount one, or none was asked for. */
  readonly disk: SmallDisk | undefined;
  /** Of the edge's and of the cloud's own processes; undefined without libfaketime. */
  readonly clocks: { readonly edge: Clock; readonly cloud: Clock } | undefined;
  /** SIGKILL. */
  kill(part: SitePart): Promise<void>;
  restart(part: SitePart): Promise<void>;
  pid(part: SitePart): number | undefined;
  logFile(part: SitePart): string;
  /** Parts that ended by themselves. */
  readonly crashes: readonly string[];
  stop(): Promise<void>;
}

export interface SiteOptions {
  readonly home: string;
  readonly binDir?: string;
  /** Of the spool's own disk; without it the spool lies in `home`. */
  readonly spoolMiB?: number;
  /** Called when an archived pack, a written index or a delivered instance shows that work goes on. */
  readonly onProgress?: () => void;
  readonly onStart?: OnProgress;
  readonly signal?: AbortSignal;
}

export const destinationId = 'second';

/** Starts cloud, edge and everything between them. Studies are stable after two seconds, and their flows close soon after. */
export async function startSite({ home, binDir, spoolMiB, onProgress = () => {}, onStart, signal }: SiteOptions): Promise<Site> {
  const tenantId = aTenant();
  const [ports, edgePorts] = [await freePorts(), await freePorts()];
  mkdirSync(home, { recursive: true });
  const closers: (() => Promise<void> | void)[] = [];
  const later = <T extends { close(): Promise<void> }>(part: T): T => {
    closers.unshift(() => part.close());
    return part;
  };
  try {
    const archived = ({ method, path: key, status }: Call): void => { if (method === 'PUT' && key.includes('.index.json.gz') && status === 200) onProgress(); };
    const indexed = ({ path: key, status }: Call): void => { if (key.includes('_bulk') && status === 200) onProgress(); };
    const destination = later(await startDestination(onProgress));
    const links: Links = {
      edgeS3: later(await startHttpProxy(ports.s3)), cloudS3: later(await startHttpProxy(ports.s3, archived)), index: later(await startHttpProxy(ports.opensearch, indexed)),
      edgeTemporal: later(await startGrpcProxy(ports.temporal)), cloudTemporal: later(await startGrpcProxy(ports.temporal)), api: later(await startHttpProxy(ports.api)),
      dicom: later(await startTcpLink(() => edgePorts.dicom)), delivery: later(await startTcpLink(() => destination.port)),
    };
    const [edgeClock, cloudClock] = [createClock(path.join(home, 'edge.clock')), createClock(path.join(home, 'cloud.clock'))];
    const clocks = edgeClock && cloudClock && { edge: edgeClock, cloud: cloudClock };
    const crashes: string[] = [];
    const common = { ...(binDir ? { binDir } : {}), ...(onStart ? { onProgress: onStart } : {}), ...(signal ? { signal } : {}) };
    const cloud = await startStack({
      ...common, home: path.join(home, 'cloud'), ports, parts: ['temporal', 's3', 'opensearch', 'worker', 'api'],
      onCrash: (part) => crashes.push(`cloud ${part}`),
      env: {
        S3_ENDPOINT: links.cloudS3.url, OPENSEARCH_URL: links.index.url, TEMPORAL_ADDRESS: links.cloudTemporal.address,
        PACS_TENANT_ID: tenantId, PACS_TENANTS: tenantId, PACS_WORKER_ROLES: 'core,ingest,index,route', PACS_LOG_LEVEL: 'warn',
        PACS_STUDY_QUIET_SECONDS: '2', PACS_STUDY_CLOSE_SECONDS: '4', PACS_ROUTE_RETRY_SECONDS: '1', ...clocks?.cloud.env,
      },
    });
    closers.unshift(() => cloud.stop());
    const keys = { accessKeyId: cloud.env['AWS_ACCESS_KEY_ID']!, secretAccessKey: cloud.env['AWS_SECRET_ACCESS_KEY']! };
    const disk = spoolMiB === undefined ? undefined : mountSmallDisk(path.join(home, 'disk'), spoolMiB);
    if (disk) closers.unshift(() => disk.unmount());
    const spoolFolder = path.join(disk?.folder ?? home, 'spool');
    const edge = await startStack({
      ...common, home: path.join(home, 'edge'), ports: edgePorts, parts: ['gateway', 'worker'], onCrash: (part) => crashes.push(`edge ${part}`),
      external: { temporalAddress: links.edgeTemporal.address, s3Endpoint: links.edgeS3.url, opensearchUrl: links.index.url, s3Keys: keys },
      env: {
        PACS_TENANT_ID: tenantId, PACS_TENANTS: tenantId, PACS_WORKER_ROLES: 'edge', PACS_LOG_LEVEL: 'warn', PACS_SPOOL_DIR: spoolFolder,
        PACS_ROUTE_RETRY_SECONDS: '1', PACS_SPOOL_MIN_FREE_BYTES: '1', ...clocks?.edge.env,
      },
    });
    closers.unshift(() => edge.stop());
    const bucket = createS3({ ...s3ValuesOf(cloud.env), endpoint: `http://127.0.0.1:${ports.s3}` });
    closers.unshift(() => bucket.s3.destroy());
    const connection = Connection.lazy({ address: `127.0.0.1:${ports.temporal}` });
    closers.unshift(() => connection.close());
    const token = await signToken({ sub: 'faults', tenants: [tenantId], roles: ['admin'] }, tokenKey(cloud.env['PACS_TOKEN_KEY_FILE']!), '12h');
    const stackOf = (part: SitePart): readonly [Stack, Parameters<Stack['kill']>[0]] =>
      part === 'gateway' ? [edge, 'gateway'] : part === 'edgeWorker' ? [edge, 'worker'] : [cloud, part];
    const site: Site = {
      tenantId, links, destination, bucket, disk, clocks, spoolFolder, crashes,
      api: new PacsClient(`http://127.0.0.1:${ports.api}`, tenantId, token), sendingApi: new PacsClient(links.api.url, tenantId, token),
      temporal: new Client({ connection, namespace: 'pacs' }), archive: createArchiveStore({ ...bucket, cacheBytes: 1 }),
      openSearchUrl: `http://127.0.0.1:${ports.opensearch}`, gatewayUrl: edge.urls.gatewayHttp,
      kill: (part) => { const [stack, name] = stackOf(part); return stack.kill(name, 'SIGKILL'); },
      restart: (part) => { const [stack, name] = stackOf(part); return stack.restart(name); },
      pid: (part) => { const [stack, name] = stackOf(part); return stack.pid(name); },
      logFile: (part) => { const [stack, name] = stackOf(part); return stack.logFile(name); },
      stop: () => runAll(closers),
    };
    await site.api.configure(() => ({
      destinations: [{ kind: 'dicom', destinationId, gatewayId: 'gw1', host: '127.0.0.1', port: links.delivery.port, calledAETitle: destination.aeTitle }],
      rules: [{ ruleId: 'everything', destinationId }],
    }));
    return site;
  } catch (error) {
    await runAll(closers);
    throw error;
  }
}

async function runAll(closers: readonly (() => Promise<void> | void)[]): Promise<void> {
  for (const close of closers) await close();
}
