import type { TenantHandler } from '../context.ts';
import { notAcceptable } from '../problems.ts';
import { acceptedRanges } from './accept.ts';
import { imageTypes } from './render/renderOptions.ts';
import { frameMediaTypes } from './retrieve/frameTypes.ts';
import { storeMediaTypes } from './store/store.ts';

/** What one method of a resource does, takes and gives. */
interface Capability {
  readonly method: 'GET' | 'POST';
  /** Below the DICOMweb root. */
  readonly path: string;
  readonly id: string;
  readonly query: readonly string[];
  /** Media types of the request's body. */
  readonly takes: readonly string[];
  readonly gives: readonly string[];
  readonly statuses: readonly number[];
}

const dicomFiles = ['multipart/related; type="application/dicom"'];
const dataSets = ['application/dicom+json', 'application/json', 'multipart/related; type="application/dicom+xml"'];
const octets = 'application/octet-stream';
const parts = (types: readonly string[]): readonly string[] => types.map((type) => `multipart/related; type="${type}"`);
const frameTypes = [octets, ...Object.keys(frameMediaTypes)];

const searchQuery = ['{attributeID}', 'includefield', 'fuzzymatching', 'emptyvaluematching', 'multiplevaluematching', 'limit', 'offset', 'accept'];
const renderedQuery = ['accept', 'annotation', 'iccprofile', 'quality', 'viewport', 'window'];
const study = 'studies/{study}';
const series = `${study}/series/{series}`;
const instance = `${series}/instances/{instance}`;
const frames = `${instance}/frames/{frames}`;

const get = (path: string, id: string, gives: readonly string[], query: readonly string[] = ['accept'], statuses: readonly number[] = [200, 304, 400, 404, 406]): Capability =>
  ({ method: 'GET', path, id, query, takes: [], gives, statuses });
const search = (path: string, what: string): Capability => get(path, `SearchFor${what}`, dataSets, searchQuery, [200, 204, 400, 406]);
const store = (path: string, id: string): Capability =>
  ({ method: 'POST', path, id, query: ['accept'], takes: storeMediaTypes, gives: ['application/dicom+json', 'application/dicom+xml'], statuses: [200, 202, 400, 406, 409, 413, 415, 503] });
const levels = [[study, 'Study'], [series, 'Series'], [instance, 'Instance']] as const;

/** Every method of every DICOMweb resource. */
export const capabilities: readonly Capability[] = [
  search('studies', 'Studies'), search('series', 'Series'), search('instances', 'Instances'),
  search(`${study}/series`, 'StudySeries'), search(`${study}/instances`, 'StudyInstances'), search(`${series}/instances`, 'SeriesInstances'),
  ...levels.flatMap(([path, level]) => [
    get(path, `Retrieve${level}`, path === instance ? [...dicomFiles, 'application/dicom'] : dicomFiles, ['accept'], [200, 206, 304, 400, 404, 406]),
    get(`${path}/metadata`, `Retrieve${level}Metadata`, dataSets),
    get(`${path}/rendered`, `Retrieve${level}Rendered`, [...path === instance ? [...imageTypes, 'application/pdf', 'text/html'] : [], ...parts(imageTypes)], renderedQuery),
    get(`${path}/thumbnail`, `Retrieve${level}Thumbnail`, imageTypes, renderedQuery),
    get(`${path}/bulkdata`, `Retrieve${level}Bulkdata`, parts([octets])),
    get(`${path}/pixeldata`, `Retrieve${level}PixelData`, parts(frameTypes), ['accept'], [200, 206, 304, 400, 404, 406]),
  ]),
  get(`${instance}/bulkdata/{attribute}`, 'RetrieveBulkdata', [octets, ...parts(frameTypes)], ['accept'], [200, 206, 304, 400, 404, 406, 416]),
  get(frames, 'RetrieveFrames', [...frameTypes, ...parts(frameTypes)]),
  get(`${frames}/rendered`, 'RetrieveFramesRendered', [...imageTypes, ...parts(imageTypes)], renderedQuery),
  get(`${frames}/thumbnail`, 'RetrieveFramesThumbnail', imageTypes, renderedQuery),
  store('studies', 'StoreInstances'), store(study, 'StoreStudyInstances'),
];

const wadl = 'application/vnd.sun.wadl+xml';

/**
 * The Capabilities Description (PS3.18 8.9 and Annex H) of the whole service, or of one resource of it.
 *
 * @param path of the resource, below the DICOMweb root
 */
export const createCapabilities = (path?: string): TenantHandler => {
  const rows = path === undefined ? capabilities : capabilities.filter((row) => row.path === path);
  const methods = ['OPTIONS', ...new Set(path === undefined ? ['GET'] : rows.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))];
  return async function readCapabilities({ query, tenantUrl }, request, response) {
    const type = acceptedRanges(request, query).map((range) => types.get(range.type)).find((each) => each !== undefined);
    if (type === undefined) throw notAcceptable(`The capabilities are given as ${wadl} or application/json. Ask for one of them in Accept.`);
    const description = descriptionOf(rows, `${tenantUrl}/dicom-web/`);
    response.status(200).vary('Accept').setHeader('Allow', methods.join(', ')).setHeader('Content-Type', type)
      .send(Buffer.from(type === 'application/json' ? JSON.stringify(description) : xmlOf(description)));
  };
};

const types = new Map([[wadl, wadl], ['application/*', wadl], ['*/*', wadl], ['application/json', 'application/json']]);

/** An element of the WADL document; the JSON document is of the same shape. */
interface Node { readonly name: string; readonly attributes?: Readonly<Record<string, string>>; readonly children?: readonly Node[] }

function descriptionOf(rows: readonly Capability[], base: string): Node {
  const resources = [...Map.groupBy(rows, (row) => row.path)].map(([path, methods]): Node => ({
    name: 'resource', attributes: { path }, children: [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']): Node => ({ name: 'param', attributes: { name, style: 'template', required: 'true' } })),
      ...methods.map(methodOf)],
  }));
  return { name: 'application', attributes: { xmlns: 'http://wadl.dev.java.net/2009/02' }, children: [{ name: 'resources', attributes: { base }, children: resources }] };
}

const methodOf = ({ method, id, query, takes, gives, statuses }: Capability): Node => ({
  name: 'method', attributes: { name: method, id }, children: [
    { name: 'request', children: [
      ...query.map((name): Node => ({ name: 'param', attributes: { name, style: 'query' } })),
      { name: 'param', attributes: { name: 'Accept', style: 'header', default: gives[0] ?? '' }, children: gives.map((value) => ({ name: 'option', attributes: { value } })) },
      ...takes.map((mediaType): Node => ({ name: 'representation', attributes: { mediaType } })),
    ] },
    ...statuses.map((status): Node => ({ name: 'response', attributes: { status: String(status) },
      children: (status < 300 && status !== 204 ? gives : status >= 400 ? ['application/problem+json'] : []).map((mediaType) => ({ name: 'representation', attributes: { mediaType } })) })),
  ],
});

const xmlOf = (node: Node): string => `<?xml version="1.0" encoding="UTF-8"?>\n${elementOf(node)}\n`;

const elementOf = ({ name, attributes = {}, children = [] }: Node): string => {
  const start = `<${name}${Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`).join('')}`;
  return children.length === 0 ? `${start}/>` : `${start}>${children.map(elementOf).join('')}</${name}>`;
};

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
