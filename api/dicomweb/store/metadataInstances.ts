import { isDataSet, type DicomJson, type JsonValue } from '../../../dicom/json.ts';
import { dataSetPieces, Unwritable, type BulkPlace } from '../../../dicom/part10/dataSetWriter.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian, transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import { isUidShaped } from '../../../dicom/uid.ts';
import { badRequest, HttpProblem } from '../../problems.ts';
import { parseMediaRange, type MediaRange } from '../accept.ts';
import type { Part } from './multipartParser.ts';
import { parseDicomXml } from './parseDicomXml.ts';
import { refused, type ReceivedPart } from './receivePart.ts';
import { storeReasons } from './storeReasons.ts';
import type { SpooledBytes, StowSpool } from './stowSpool.ts';
import { xmlMediaType } from '../xmlPart.ts';

/** How a request writes its metadata: the media type of the parts that hold it, and what turns one into data sets. */
export interface MetadataSyntax {
  readonly mediaType: string;
  /** @throws SyntaxError when the text is not what its media type says */
  readonly parse: (text: string) => readonly DicomJson[];
}

/** `application/dicom+json`: an array of data sets (PS3.18 F.2.1); one alone is taken too. */
export const jsonMetadata: MetadataSyntax = {
  mediaType: 'application/dicom+json',
  parse: (text) => {
    const parsed = [JSON.parse(text) as JsonValue | readonly JsonValue[]].flat() as readonly JsonValue[];
    if (!parsed.every(isDataSet)) throw new SyntaxError('The metadata is no array of data sets.');
    return parsed as readonly DicomJson[];
  },
};

/** `application/dicom+xml`: a document of the Native DICOM Model, one data set a part (PS3.19 A.1). */
export const xmlMetadata: MetadataSyntax = { mediaType: xmlMediaType, parse: (text) => [parseDicomXml(text)] };

/** All metadata of a request is in memory at once. */
const maxMetadataBytes = 64 * 1024 * 1024;
/** Attributes that file meta says, or that describe the transport alone. */
const notOfTheDataSet = ['00083002', '00080056', '00081190'] as const;

interface Bulk extends SpooledBytes {
  readonly transferSyntaxUID: string;
}

/**
 * Instances of a request that sends metadata and bulk data apart (PS3.18 10.5.1.1): puts each together as a Part 10 file, as if it had come
 * as one. The parts may come in any order; Content-Location names a part that a BulkDataURI asks for. Pixel Data in a compressed media
 * type becomes encapsulated, each part of that location one frame.
 *
 * @param spool of its own, for the parts that are no metadata
 * @returns a part for each instance, or why it is none
 * @throws HttpProblem 400, 413
 */
export async function* instancesOfMetadata(parts: AsyncIterable<Part>, syntax: MetadataSyntax, spool: StowSpool): AsyncGenerator<Part | ReceivedPart> {
  const dataSets: DicomJson[] = [];
  const bulk = new Map<string, Bulk[]>();
  let metadataBytes = 0;
  for await (const part of parts) {
    const type = parseMediaRange(part.headers.get('content-type') ?? 'application/octet-stream');
    if (type?.type === syntax.mediaType) {
      const text = await textOf(part, maxMetadataBytes - metadataBytes);
      metadataBytes += text.length;
      dataSets.push(...parse(syntax, text));
    } else {
      const location = part.headers.get('content-location');
      if (location === undefined) throw badRequest('A part has bulk data without Content-Location. Give each part the URI that the metadata names in BulkDataURI.');
      const key = bulkKey(location);
      bulk.set(key, [...(bulk.get(key) ?? []), await spooled(part, type, spool)]);
    }
  }
  if (dataSets.length === 0) throw badRequest(`The body has no metadata. Send it first, as a part of type ${syntax.mediaType}.`);
  for (const dataSet of dataSets) yield instanceOf(dataSet, bulk, spool);
}

function parse(syntax: MetadataSyntax, text: string): readonly DicomJson[] {
  try {
    return syntax.parse(text);
  } catch (error) {
    throw new HttpProblem(400, `The metadata is no ${syntax.mediaType} of data sets. Nothing was stored.`, { cause: error });
  }
}

async function textOf(part: Part, maxBytes: number): Promise<string> {
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  for await (const piece of part.body) {
    lengthBytes += piece.length;
    if (lengthBytes > maxBytes) throw new HttpProblem(413, `The metadata of a request may have ${maxMetadataBytes / 1024 / 1024} MiB. Nothing was stored: send fewer instances at once.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

async function spooled(part: Part, type: MediaRange | undefined, spool: StowSpool): Promise<Bulk> {
  const writer = spool.writer();
  for await (const piece of part.body) await writer.write(piece);
  return { ...await writer.keep(), transferSyntaxUID: transferSyntaxOf(type) };
}

/** Transfer syntax of a media type that does not say one (PS3.18 Tables 8.7.3-2 to 8.7.3-5). */
const defaultSyntaxes: Readonly<Record<string, string>> = {
  'image/jpeg': '1.2.840.10008.1.2.4.70', 'image/jls': '1.2.840.10008.1.2.4.80', 'image/jp2': '1.2.840.10008.1.2.4.90', 'image/jpx': '1.2.840.10008.1.2.4.92',
  'image/jphc': '1.2.840.10008.1.2.4.201', 'image/jxl': '1.2.840.10008.1.2.4.110', 'image/dicom-rle': '1.2.840.10008.1.2.5',
  'video/mpeg': '1.2.840.10008.1.2.4.100', 'video/mp4': '1.2.840.10008.1.2.4.102', 'video/h265': '1.2.840.10008.1.2.4.107',
};

const transferSyntaxOf = (type: MediaRange | undefined): string =>
  type?.parameters.get('transfer-syntax') ?? defaultSyntaxes[type?.type ?? ''] ?? explicitVRLittleEndian;

/** A location with and without the host names the same part, for clients that write one here and the other there. */
const bulkKey = (uri: string): string => (URL.canParse(uri) ? new URL(uri).pathname + new URL(uri).search : uri.trim());

function instanceOf(dataSet: DicomJson, bulk: ReadonlyMap<string, readonly Bulk[]>, spool: StowSpool): Part | ReceivedPart {
  const [sopClassUID, sopInstanceUID] = [uidIn(dataSet, '00080016'), uidIn(dataSet, '00080018')];
  if (!sopClassUID || !sopInstanceUID) return refused(storeReasons.notUnderstood);
  const pixels = bulk.get(bulkKey(dataSet['7FE00010']?.BulkDataURI ?? ''))?.[0];
  const transferSyntaxUID = pixels?.transferSyntaxUID ?? explicitVRLittleEndian;
  const known = transferSyntax(transferSyntaxUID);
  if (!known?.explicit || known.bigEndian || known.deflated) return refused(storeReasons.transferSyntax, { sopClassUID, sopInstanceUID });
  try {
    const pieces = [...dataSetPieces<Bulk>(inUTF8(dataSet), { bulk: (uri) => placeOf(bulk.get(bulkKey(uri))) })];
    const meta = encodeFileMeta({ sopClassUID, sopInstanceUID, transferSyntaxUID });
    return { headers: new Map(), body: fileOf(meta, pieces, spool) };
  } catch (error) {
    if (!(error instanceof Unwritable)) throw error;
    const missing = bulkURIsOf(dataSet).some((uri) => !bulk.has(bulkKey(uri)));
    return refused(missing ? storeReasons.missingBulkData : storeReasons.notUnderstood, { sopClassUID, sopInstanceUID });
  }
}

function placeOf(parts: readonly Bulk[] | undefined): BulkPlace<Bulk> | undefined {
  const [first] = parts ?? [];
  if (!parts || !first) return undefined;
  return transferSyntax(first.transferSyntaxUID)?.encapsulated ? { fragments: parts } : first;
}

/** JSON and XML hold text as Unicode: the data set says that it is in UTF-8. */
function inUTF8(dataSet: DicomJson): DicomJson {
  const own = Object.entries(dataSet).filter(([tag]) => !(notOfTheDataSet as readonly string[]).includes(tag));
  return { ...Object.fromEntries(own), '00080005': { vr: 'CS', Value: ['ISO_IR 192'] } };
}

async function* fileOf(meta: Buffer, pieces: readonly (Buffer | Bulk)[], spool: StowSpool): AsyncGenerator<Buffer> {
  yield meta;
  let small: Buffer[] = [];
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) small.push(piece);
    else {
      yield Buffer.concat(small);
      small = [];
      yield* spool.read(piece);
    }
  }
  yield Buffer.concat(small);
}

function uidIn(dataSet: DicomJson, tag: string): string | undefined {
  const value = dataSet[tag]?.Value?.[0];
  return typeof value === 'string' && isUidShaped(value) ? value : undefined;
}

function bulkURIsOf(dataSet: DicomJson): readonly string[] {
  return Object.values(dataSet).flatMap(({ vr, BulkDataURI, Value = [] }) =>
    vr === 'SQ' ? Value.filter(isDataSet).flatMap((item) => bulkURIsOf(item as DicomJson)) : BulkDataURI === undefined ? [] : [BulkDataURI]);
}
