import type { Transcoder } from '../codecs/transcoder.ts';
import type { Stores } from '../stores/compose.ts';
import type { Right } from './auth.ts';
import type { TenantHandler } from './context.ts';
import { capabilities, createCapabilities } from './dicomweb/capabilities.ts';
import { createBulkData, createBulkDataOf } from './dicomweb/retrieve/bulkData.ts';
import { createFrames } from './dicomweb/retrieve/frames.ts';
import { createHeaderCache } from './dicomweb/retrieve/headerCache.ts';
import { createMetadata } from './dicomweb/retrieve/metadata.ts';
import { createRendered, createThumbnail } from './dicomweb/render/rendered.ts';
import { createRetrieve } from './dicomweb/retrieve/retrieve.ts';
import { createSearch } from './dicomweb/search/search.ts';
import { createStore } from './dicomweb/store/store.ts';
import { createDecideConflict } from './conflicts.ts';
import { createDecideFlows } from './decisions.ts';
import { createDecideFlow, createListFlows, createPrioritiseFlow, createReadFlow, type FlowDeps } from './flows.ts';
import { createWadoUri } from './dicomweb/retrieve/wadoUri.ts';
import type { Flows } from './flowsClient.ts';
import { createReadConflicts, createReadDeliveries, createReadHistory } from './history.ts';
import { createQuery } from './query.ts';
import { createStartSweep } from './sweeps.ts';
import { createReplayDeliveries } from './replays.ts';
import { createRequestRoute } from './routes.ts';
import { createReadConfig, createWriteConfig } from './tenantConfig.ts';

export interface ResourceDeps {
  readonly stores: Pick<Stores, 'archive' | 'index' | 'audit' | 'tenants' | 'deliveries'>;
  readonly codecs: Transcoder;
  /** Of instance headers that are kept, as JSON text. */
  readonly headerCacheBytes: number;
  readonly flows: Flows;
  readonly ui: FlowDeps['ui'];
  readonly stow: { readonly folder: string; readonly maxBytes: number; readonly waitMs: number };
  readonly verifyDigests: boolean;
  readonly now: () => Date;
}

/** One method of one resource; `path` is below /tenants/<tenantId>. */
export interface Resource {
  readonly method: 'get' | 'post' | 'put' | 'options';
  readonly path: string;
  readonly right: Right;
  readonly handler: TenantHandler;
}

const dicomWeb = '/dicom-web';
const study = `${dicomWeb}/studies/:study`;
const series = `${study}/series/:series`;
const instance = `${series}/instances/:instance`;

/** Everything under a tenant, and the right it needs. The first row that fits a request answers it. */
export function resourcesOf(deps: ResourceDeps): readonly Resource[] {
  const { archive, index, audit, tenants, deliveries } = deps.stores;
  const { codecs } = deps;
  const headers = createHeaderCache(archive, deps.headerCacheBytes);
  const images = { index, codecs, archive: { ...headers, readRange: (...range: Parameters<typeof archive.readRange>) => archive.readRange(...range) } };
  const [rendered, thumbnail] = [createRendered(images), createThumbnail(images)];
  const [bulkData, pixelData] = [createBulkDataOf(images, 'bulkdata'), createBulkDataOf(images, 'pixeldata')];
  const retrieve = createRetrieve({ archive, index, codecs, verifyDigests: deps.verifyDigests });
  const metadata = createMetadata({ archive: headers, index });
  const store = createStore({ archive, tenants, flows: deps.flows, ...deps.stow, now: deps.now });
  const flows: FlowDeps = { flows: deps.flows, ui: deps.ui };
  const get = (path: string, right: Right, handler: TenantHandler): Resource => ({ method: 'get', path, right, handler });
  const post = (path: string, right: Right, handler: TenantHandler): Resource => ({ method: 'post', path, right, handler });
  const describe = (path: string, handler: TenantHandler): Resource => ({ method: 'options', path, right: 'search', handler });
  return [
    get(dicomWeb, 'search', createCapabilities()), describe(dicomWeb, createCapabilities()),
    ...[...new Set(capabilities.map(({ path }) => path))].map((path) => describe(routeOf(path), createCapabilities(path))),
    get(`${dicomWeb}/studies`, 'search', createSearch({ index }, 'studies', ['studies'])),
    get(`${dicomWeb}/series`, 'search', createSearch({ index }, 'series', ['studies', 'series'])),
    get(`${dicomWeb}/instances`, 'search', createSearch({ index }, 'instances', ['studies', 'series', 'instances'])),
    get(`${study}/series`, 'search', createSearch({ index }, 'series', ['series'])),
    get(`${study}/instances`, 'search', createSearch({ index }, 'instances', ['series', 'instances'])),
    get(`${series}/instances`, 'search', createSearch({ index }, 'instances', ['instances'])),
    get(study, 'retrieve', retrieve), get(series, 'retrieve', retrieve), get(instance, 'retrieve', retrieve),
    get(`${study}/metadata`, 'retrieve', metadata), get(`${series}/metadata`, 'retrieve', metadata), get(`${instance}/metadata`, 'retrieve', metadata),
    ...[study, series, instance].flatMap((path) => [
      get(`${path}/bulkdata`, 'retrieve', bulkData), get(`${path}/pixeldata`, 'retrieve', pixelData),
    ]),
    get(`${instance}/bulkdata/*path`, 'retrieve', createBulkData(images)),
    get(`${instance}/frames/:frames`, 'retrieve', createFrames(images)),
    ...[study, series, instance, `${instance}/frames/:frames`].flatMap((path) => [
      get(`${path}/rendered`, 'retrieve', rendered), get(`${path}/thumbnail`, 'retrieve', thumbnail),
    ]),
    get('/wado', 'retrieve', createWadoUri({ ...images, verifyDigests: deps.verifyDigests })),
    post(`${dicomWeb}/studies`, 'store', store), post(study, 'store', store),
    post('/query', 'search', createQuery({ index })),
    post('/routes', 'requestRoute', createRequestRoute({ tenants, index, audit, flows: deps.flows })),
    get('/flows', 'readFlows', createListFlows(flows)),
    post('/flows/decisions', 'steerFlows', createDecideFlows(flows)),
    post('/flows/*flowId/priority', 'steerFlows', createPrioritiseFlow(flows)),
    post('/flows/*flowId/retry', 'steerFlows', createDecideFlow(flows, 'retry')),
    post('/flows/*flowId/skip', 'steerFlows', createDecideFlow(flows, 'skip')),
    post('/flows/*flowId/reject', 'steerFlows', createDecideFlow(flows, 'reject')),
    get('/flows/*flowId', 'readFlows', createReadFlow(flows)),
    get('/studies/:study/history', 'readHistory', createReadHistory({ audit })),
    get('/studies/:study/conflicts', 'readConflicts', createReadConflicts({ archive })),
    post('/studies/:study/conflicts/:instance', 'decideConflicts', createDecideConflict({ archive, flows: deps.flows, now: deps.now })),
    get('/destinations/:destinationId/deliveries/:study', 'readDeliveries', createReadDeliveries({ deliveries })),
    post('/sweeps', 'steerFlows', createStartSweep({ flows: deps.flows })),
    post('/destinations/:destinationId/replays', 'steerFlows', createReplayDeliveries({ tenants, flows: deps.flows, now: deps.now })),
    get('/config', 'configure', createReadConfig({ tenants })),
    { method: 'put', path: '/config', right: 'configure', handler: createWriteConfig({ tenants }) },
  ];
}

/** The route of a resource that a capability names: its templates as parameters. */
const routeOf = (template: string): string => `${dicomWeb}/${template.replace('{attribute}', '*path').replaceAll(/\{(\w+)\}/g, ':$1')}`;
