import type { RenderOptions } from '../../../codecs/render.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { isUidShaped } from '../../../dicom/uid.ts';
import type { Piece } from '../../../stores/packs/lentBytes.ts';
import type { TenantContext, TenantHandler } from '../../context.ts';
import { badRequest, notAcceptable, notFound } from '../../problems.ts';
import { sendStream } from '../../stream.ts';
import { parseMediaRanges } from '../accept.ts';
import { documentOf } from '../render/documentContent.ts';
import { giveInstance } from './givenInstance.ts';
import { findInstance, type FoundInstance, type ImageDeps } from './imageSource.ts';
import { streamInstances, type StreamedInstance } from './instanceStream.ts';
import { openPictures } from '../render/picture.ts';
import { renditionOf } from './rendition.ts';
import { imageTypes, qualityOf, windowFrom } from '../render/renderOptions.ts';

/** WADO-URI (PS3.18 9): one instance, named by the query, as a DICOM file or as a picture. */
export const createWadoUri = (deps: ImageDeps & { readonly verifyDigests: boolean }): TenantHandler =>
  async function wadoUri(context, _request, response) {
    const { query, signal } = context;
    if (query.get('requestType') !== 'WADO') throw badRequest('The parameter requestType is WADO.');
    const scope = { studyInstanceUID: uid(query, 'studyUID'), seriesInstanceUID: uid(query, 'seriesUID'), sopInstanceUID: uid(query, 'objectUID') };
    const found = await findInstance(deps, context.tenantId, scope, signal);
    const types = contentTypes(query);
    if (types.includes('application/dicom')) {
      const given = await dicomFile(deps, found, query.get('transferSyntax'), context);
      return sendStream(context, response, { status: 200, headers: { 'Content-Type': 'application/dicom', 'Content-Length': String(given.lengthBytes) } }, given.body);
    }
    const document = documentOf(deps, found, signal);
    const type = document ? types.find((each) => each === '*/*' || each === document.type) && document.type : pictureType(types);
    if (type === undefined) throw notAcceptable(`Instance ${scope.sopInstanceUID} is given as application/dicom, or as ${document ? document.type : imageTypes.join(', ')}.`);
    const content = document ? document.read : picture(deps, found, query, type as (typeof imageTypes)[number], signal);
    await sendStream(context, response, { status: 200, headers: { 'Content-Type': type, 'Content-Security-Policy': "sandbox; default-src 'none'" } }, once(content));
  };

async function* once(content: () => Promise<Buffer>): AsyncGenerator<Uint8Array> {
  yield await content();
}

function uid(query: URLSearchParams, name: string): string {
  const value = query.get(name) ?? '';
  if (isUidShaped(value)) return value;
  throw badRequest(`The parameter ${name} is missing or no UID.`);
}

/** Media types in the client's order; image/jpeg when it names none (PS3.18 9.1.2.2.1). */
const contentTypes = (query: URLSearchParams): readonly string[] => parseMediaRanges(query.get('contentType') || 'image/jpeg, */*').map(({ type }) => type);

const pictureType = (types: readonly string[]): string | undefined =>
  types.map((type) => (type === '*/*' || type === 'image/*' ? 'image/jpeg' : imageTypes.find((each) => each === type))).find((type) => type !== undefined);

async function dicomFile(deps: ImageDeps & { readonly verifyDigests: boolean }, { location }: FoundInstance, asked: string | null, { signal }: TenantContext): Promise<{ readonly lengthBytes: number; readonly body: AsyncGenerator<Piece> }> {
  if (asked !== null && asked !== '*' && !isUidShaped(asked)) throw badRequest('The parameter transferSyntax is no UID.');
  const rendition = renditionOf(location, [{ envelope: 'single', transferSyntaxUID: asked ?? explicitVRLittleEndian }, ...(asked === null ? [{ envelope: 'single' as const, transferSyntaxUID: undefined }] : [])]);
  if (!rendition) throw notAcceptable(`Instance ${location.sopInstanceUID} is stored in transfer syntax ${location.transferSyntaxUID} and cannot be given as asked.`);
  const instances = streamInstances(deps.archive, [location], signal);
  const given = await giveInstance((await instances.next()).value as StreamedInstance, rendition, { codecs: deps.codecs, verify: deps.verifyDigests, signal });
  async function* body(): AsyncGenerator<Piece> {
    try {
      yield* given.bytes;
    } finally {
      await instances.return(undefined);
    }
  }
  return { lengthBytes: given.lengthBytes, body: body() };
}

function picture(deps: ImageDeps, found: FoundInstance, query: URLSearchParams, type: RenderOptions['type'], signal: AbortSignal): () => Promise<Buffer> {
  const frame = wholeNumber(query, 'frameNumber') ?? 1;
  const [columns, rows] = [wholeNumber(query, 'columns'), wholeNumber(query, 'rows')];
  const [center, width] = [decimalNumber(query, 'windowCenter'), decimalNumber(query, 'windowWidth')];
  if ((center === undefined) !== (width === undefined)) throw badRequest('windowCenter and windowWidth come together.');
  const options: RenderOptions = {
    type, quality: qualityOf(query.get('imageQuality'), 'imageQuality'),
    window: center === undefined || width === undefined ? undefined : windowFrom(center, width, 'LINEAR'),
    viewport: columns === undefined && rows === undefined ? undefined : { width: columns ?? maxSide, height: rows ?? maxSide, enlarge: columns !== undefined && rows !== undefined },
  };
  return async () => {
    const pictures = await openPictures(deps, found, signal);
    if (frame > pictures.frameCount) throw notFound(`Instance ${found.location.sopInstanceUID} has ${pictures.frameCount} frames; ${frame} is none of them.`);
    return pictures.picture(frame, options);
  };
}

const maxSide = 8192;

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text) && (name === 'frameNumber' || Number(text) <= maxSide)) return Number(text);
  throw badRequest(`The parameter ${name} is a whole number from 1 on${name === 'frameNumber' ? '' : ` to ${maxSide}`}.`);
}

function decimalNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^[+-]?\d+(\.\d+)?$/.test(text.trim())) return Number(text);
  throw badRequest(`The parameter ${name} is a decimal number.`);
}
