import { createHash } from 'node:crypto';
import { isDataSet, stringifyDicomJson, type DicomJson, type JsonAttribute } from '../../../dicom/json.ts';
import type { InstanceHeader } from '../../../domain/instance.ts';
import type { ArchiveStore, InstanceLocation, StudyIndex } from '../../../stores/ports.ts';
import type { TenantHandler } from '../../context.ts';
import { notFound } from '../../problems.ts';
import { isNotModified, sendStream } from '../../stream.ts';
import { negotiateDataSets } from '../accept.ts';
import { inUTF8, resourceURL, specificCharacterSet } from '../attributes.ts';
import { windows } from './instanceStream.ts';
import { multipartContentType, multipartEnd } from '../multipart.ts';
import { nameOf, scopeOf } from '../parameters.ts';
import { xmlMediaType, xmlPart } from '../xmlPart.ts';

export interface MetadataDeps {
  readonly archive: Pick<ArchiveStore, 'getHeaders'>;
  readonly index: Pick<StudyIndex, 'locate' | 'version'>;
}

/** WADO-RS metadata of a study, a series or an instance (PS3.18 10.4.1.1.2): data sets without bulk data, one pack in memory at a time. */
export const createMetadata = (deps: MetadataDeps): TenantHandler =>
  async function metadata(context, request, response) {
    const scope = scopeOf(request);
    const contentType = negotiateDataSets(request, context.query);
    const version = await deps.index.version(context.tenantId, scope.studyInstanceUID);
    if (version === 0) throw notFound(`There is no ${nameOf(scope)} in this archive.`);
    const boundary = createHash('sha256').update(JSON.stringify([context.tenantId, scope, version, context.tenantUrl, contentType])).digest('hex').slice(0, 32);
    const etag = `W/"${boundary}"`;
    const dicomWeb = `${context.tenantUrl}/dicom-web`;
    const headers = headersOf(deps.archive, deps.index.locate(context.tenantId, scope), context.signal);
    const none = (): Error => notFound(`There is no ${nameOf(scope)} in this archive.`);
    const inXml = contentType === xmlMediaType;
    response.setHeader('Vary', 'Accept');
    if (isNotModified(request.get('If-None-Match'), etag)) return void response.setHeader('ETag', etag).status(304).end();
    await sendStream(context, response, { status: 200, text: true, headers: { 'Content-Type': inXml ? multipartContentType(boundary, xmlMediaType) : contentType, ETag: etag } },
      inXml ? xmlParts(headers, dicomWeb, boundary, none) : jsonArray(headers, dicomWeb, none));
  };

interface LocatedHeader {
  readonly location: InstanceLocation;
  readonly header: InstanceHeader;
}

/** Reads the header files of the packs that hold the instances, one after the other. */
export async function* headersOf(archive: Pick<ArchiveStore, 'getHeaders'>, locations: AsyncIterable<InstanceLocation>, signal: AbortSignal): AsyncGenerator<LocatedHeader> {
  let packId = '';
  let headers = new Map<number, InstanceHeader>();
  for await (const window of windows(locations)) {
    for (const location of window) {
      if (location.packId !== packId) {
        const lines = await archive.getHeaders(location, signal);
        if (!lines) throw new Error(`Pack ${location.packId} has no header file`);
        headers = new Map(lines.map((line) => [line.offsetBytes, line]));
        packId = location.packId;
      }
      const header = headers.get(location.offsetBytes);
      if (!header) throw new Error(`The header file of pack ${packId} has no instance ${location.sopInstanceUID}`);
      yield { location, header };
    }
  }
}

/** Written in pieces of this size, not one an instance. */
const pieceBytes = 64 * 1024;

async function* jsonArray(headers: AsyncIterable<LocatedHeader>, dicomWeb: string, none: () => Error): AsyncGenerator<Uint8Array> {
  let [held, heldBytes, isEmpty]: [Buffer[], number, boolean] = [[], 0, true];
  for await (const { location, header } of headers) {
    const text = textOf(header, location, dicomWeb);
    held.push(isEmpty ? opening : comma, text);
    heldBytes += text.length;
    isEmpty = false;
    if (heldBytes < pieceBytes) continue;
    yield Buffer.concat(held);
    [held, heldBytes] = [[], 0];
  }
  if (isEmpty) throw none();
  yield Buffer.concat([...held, closing]);
}

/** What was written for a header, as long as that is kept in memory (headerCache.ts): viewers ask for a series again and again. */
const texts = new WeakMap<InstanceHeader, { readonly dicomWeb: string; readonly text: Buffer }>();
const [opening, comma, closing] = [Buffer.from('['), Buffer.from(','), Buffer.from(']')] as const;

function textOf(header: InstanceHeader, location: InstanceLocation, dicomWeb: string): Buffer {
  const known = texts.get(header);
  if (known?.dicomWeb === dicomWeb) return known.text;
  const text = Buffer.from(stringifyDicomJson(metadataOf(header, location, dicomWeb)));
  texts.set(header, { dicomWeb, text });
  return text;
}

async function* xmlParts(headers: AsyncIterable<LocatedHeader>, dicomWeb: string, boundary: string, none: () => Error): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const { location, header } of headers) {
    const { studyInstanceUID, seriesInstanceUID, sopInstanceUID } = location;
    yield xmlPart(boundary, metadataOf(header, location, dicomWeb), resourceURL(dicomWeb, studyInstanceUID, seriesInstanceUID, sopInstanceUID), first);
    first = false;
  }
  if (first) throw none();
  yield multipartEnd(boundary);
}

const availableTransferSyntaxUID = '00083002';

/** A header as a client gets it: text in UTF-8, and places in the file as URLs. */
export function metadataOf({ header }: InstanceHeader, location: InstanceLocation, dicomWeb: string): DicomJson {
  const instance = resourceURL(dicomWeb, location.studyInstanceUID, location.seriesInstanceUID, location.sopInstanceUID);
  return {
    ...withBulkDataURLs(header, `${instance}/bulkdata`),
    ...(header[specificCharacterSet] === undefined ? {} : { [specificCharacterSet]: inUTF8 }),
    [availableTransferSyntaxUID]: { vr: 'UI', Value: [location.transferSyntaxUID] },
  };
}

function withBulkDataURLs(dataSet: DicomJson, base: string): DicomJson {
  return Object.fromEntries(Object.entries(dataSet).map(([tag, attribute]) => [tag, withBulkDataURL(attribute, `${base}/${tag}`)]));
}

/** @param url of this attribute; an item of a sequence is named by its number from 1 on */
function withBulkDataURL(attribute: JsonAttribute, url: string): JsonAttribute {
  const { vr, Value, BulkDataURI } = attribute;
  if (BulkDataURI !== undefined) return placeOf(attribute) === undefined ? { vr } : { vr, BulkDataURI: url };
  if (vr !== 'SQ' || Value === undefined) return attribute;
  return { vr, Value: Value.map((item, index) => isDataSet(item) ? withBulkDataURLs(item as DicomJson, `${url}/${index + 1}`) : item) };
}

/** Where a header says that a value lies in the file. */
export function placeOf(attribute: JsonAttribute | undefined): { readonly offsetBytes: number; readonly lengthBytes: number } | undefined {
  const match = /^#(\d+),(\d+)$/.exec(attribute?.BulkDataURI ?? '');
  return match ? { offsetBytes: Number(match[1]), lengthBytes: Number(match[2]) } : undefined;
}
