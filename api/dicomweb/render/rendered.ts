import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import { CodecError } from '../../../codecs/errors.ts';
import type { ImageType } from '../../../codecs/render.ts';
import type { TenantContext, TenantHandler } from '../../context.ts';
import { HttpProblem, notAcceptable, notFound } from '../../problems.ts';
import { isNotModified, sendStream } from '../../stream.ts';
import { acceptedRanges } from '../accept.ts';
import { resourceURL } from '../attributes.ts';
import { documentOf, type DocumentContent } from './documentContent.ts';
import { frameList } from '../retrieve/frames.ts';
import { findInstance, type FoundInstance, type ImageDeps } from '../retrieve/imageSource.ts';
import { headersOf } from '../retrieve/metadata.ts';
import { multipartContentType, multipartEnd, partStart } from '../multipart.ts';
import { nameOf, scopeOf, type Scope } from '../parameters.ts';
import { openPictures } from './picture.ts';
import { imageTypes, renderingOf, type AskedRendering } from './renderOptions.ts';

/** Rendered frames, instances, series and studies (PS3.18 10.4.1.1.3): pictures, documents as they are, reports as HTML. */
export const createRendered = (deps: ImageDeps): TenantHandler =>
  async function rendered(context, request, response) {
    const scope = scopeOf(request);
    const asked = renderingOf(context.query);
    response.setHeader('Vary', 'Accept');
    warnOf(response, asked.ignored);
    if (scope.sopInstanceUID === undefined) return sendMany(deps, context, request, response, { scope, asked });
    const found = await findInstance(deps, context.tenantId, scope, context.signal);
    const document = request.params['frames'] === undefined ? documentOf(deps, found, context.signal) : undefined;
    if (document) return sendDocument(context, request, response, found, document);
    await sendFrames(deps, context, request, response, { found, asked });
  };

/** What the query asks for and does not get. */
function warnOf(response: Response, ignored: readonly string[]): void {
  if (ignored.length > 0) response.setHeader('Warning', `299 pacs "The following parameters are not supported: ${ignored.join(', ')}"`);
}

interface PictureWay {
  readonly envelope: 'multipart' | 'single';
  readonly type: ImageType;
}

/** @param many whether only an envelope holds what was asked for @throws HttpProblem 406 */
function pictureWay(request: Request, query: URLSearchParams, many: boolean): PictureWay {
  for (const { type, parameters } of acceptedRanges(request, query)) {
    const multipart = type === 'multipart/related' || type === 'multipart/*';
    const wanted = multipart ? parameters.get('type')?.toLowerCase() ?? 'image/jpeg' : type;
    const image = wanted === '*/*' || wanted === 'image/*' ? 'image/jpeg' : imageTypes.find((each) => each === wanted);
    if (image) return { envelope: many || multipart ? 'multipart' : 'single', type: image };
  }
  throw notAcceptable(`Pictures are given as ${imageTypes.join(', ')}, several of them as multipart/related. Ask for one of these in Accept.`);
}

interface AskedFrames {
  readonly found: FoundInstance;
  readonly asked: AskedRendering;
}

async function sendFrames(deps: ImageDeps, context: TenantContext, request: Request, response: Response, { found, asked }: AskedFrames): Promise<void> {
  const named = request.params['frames'] === undefined ? undefined : frameList(request);
  const way = pictureWay(request, context.query, (named?.length ?? 1) > 1);
  const pictures = await openPictures(deps, found, context.signal);
  const outside = named?.find((number) => number > pictures.frameCount);
  if (outside !== undefined) throw notFound(`Instance ${found.location.sopInstanceUID} has ${pictures.frameCount} frames; ${outside} is none of them.`);
  const every = way.envelope === 'multipart' && named === undefined;
  const numbers = named ?? (every ? Array.from({ length: pictures.frameCount }, (_, at) => at + 1) : [representativeFrame(found, pictures.frameCount)]);
  const etag = etagOf([found.location.sha256, numbers, way, asked.options]);
  if (isHeld(request, response, etag)) return;
  const instance = instanceURL(context, found);
  const film = way.type === 'image/gif' && way.envelope === 'single' && named === undefined && pictures.frameCount > 1;
  async function* made(): AsyncGenerator<Part> {
    if (film) return yield { location: '', bytes: await pictures.film({ ...asked.options, type: way.type }) };
    for (const number of numbers) yield { location: `${instance}/frames/${number}/rendered`, bytes: await pictures.picture(number, { ...asked.options, type: way.type }) };
  }
  await send(context, response, way, etag, made());
}

/** One picture of each instance that has any; the others are left out. */
async function sendMany(deps: ImageDeps, context: TenantContext, request: Request, response: Response, { scope, asked }: { readonly scope: Scope; readonly asked: AskedRendering }): Promise<void> {
  const way = pictureWay(request, context.query, true);
  const version = await deps.index.version(context.tenantId, scope.studyInstanceUID);
  if (version === 0) throw notFound(`There is no ${nameOf(scope)} in this archive.`);
  const etag = etagOf([context.tenantId, scope, version, way, asked.options]);
  if (isHeld(request, response, etag)) return;
  async function* made(): AsyncGenerator<Part> {
    let count = 0;
    for await (const found of headersOf(deps.archive, deps.index.locate(context.tenantId, scope), context.signal)) {
      const bytes = await pictureIfAny(deps, found, { ...asked.options, type: way.type }, context.signal);
      if (bytes) yield { location: `${instanceURL(context, found)}/rendered`, bytes };
      if (bytes) count += 1;
    }
    if (count === 0) throw notFound(`${nameOf(scope)} has nothing that can be rendered.`);
  }
  await send(context, response, way, etag, made());
}

/** Thumbnails (PS3.18 10.4.1.1.4): a single small picture of the frame, or of one that stands for the instance, series or study. */
export const createThumbnail = (deps: ImageDeps): TenantHandler =>
  async function thumbnail(context, request, response) {
    const scope = scopeOf(request);
    const { options, ignored } = renderingOf(context.query);
    const way = pictureWay(request, context.query, false);
    response.setHeader('Vary', 'Accept');
    warnOf(response, ignored);
    const viewport = options.viewport ?? { width: thumbnailSide, height: thumbnailSide, enlarge: false };
    const frame = request.params['frames'] === undefined ? undefined : frameList(request)[0];
    const version = await deps.index.version(context.tenantId, scope.studyInstanceUID);
    if (version === 0) throw notFound(`There is no ${nameOf(scope)} in this archive.`);
    const etag = etagOf([context.tenantId, scope, version, frame, way.type, options]);
    async function* made(): AsyncGenerator<Part> {
      yield { location: '', bytes: await firstPicture(deps, context, scope, frame, { ...options, viewport, type: way.type }) };
    }
    if (isHeld(request, response, etag)) return;
    await send(context, response, { ...way, envelope: 'single' }, etag, made());
  };

const thumbnailSide = 128;
/** Instances that are looked at for one that has a picture. */
const maxTried = 20;

async function firstPicture(deps: ImageDeps, context: TenantContext, scope: Scope, frame: number | undefined, options: Parameters<typeof pictureIfAny>[2]): Promise<Buffer> {
  let tried = 0;
  for await (const found of headersOf(deps.archive, deps.index.locate(context.tenantId, scope), context.signal)) {
    const bytes = scope.sopInstanceUID === undefined
      ? await pictureIfAny(deps, found, options, context.signal)
      : await onePicture(deps, found, frame, options, context.signal);
    if (bytes) return bytes;
    if ((tried += 1) >= maxTried) break;
  }
  throw notFound(tried === 0 ? `There is no ${nameOf(scope)} in this archive.` : `There is nothing in ${nameOf(scope)} that can be rendered.`);
}

async function onePicture(deps: ImageDeps, found: FoundInstance, frame: number | undefined, options: Parameters<typeof pictureIfAny>[2], signal: AbortSignal): Promise<Buffer> {
  const pictures = await openPictures(deps, found, signal);
  const number = frame ?? representativeFrame(found, pictures.frameCount);
  if (number > pictures.frameCount) throw notFound(`Instance ${found.location.sopInstanceUID} has ${pictures.frameCount} frames; ${number} is none of them.`);
  return pictures.picture(number, options);
}

async function pictureIfAny(deps: ImageDeps, found: FoundInstance, options: AskedRendering['options'] & { readonly type: ImageType }, signal: AbortSignal): Promise<Buffer | undefined> {
  try {
    return await onePicture(deps, found, undefined, options, signal);
  } catch (error) {
    const noPicture = (error instanceof CodecError && error.problem !== 'busy') || (error instanceof HttpProblem && (error.status === 404 || error.status === 406));
    if (noPicture) return undefined;
    throw error;
  }
}

/** Representative Frame Number (0028,6010), else the first. */
function representativeFrame({ header }: FoundInstance, frameCount: number): number {
  const number = header.header['00286010']?.Value?.[0];
  return typeof number === 'number' && number >= 1 && number <= frameCount ? number : 1;
}

async function sendDocument(context: TenantContext, request: Request, response: Response, { location }: FoundInstance, { type, read }: DocumentContent): Promise<void> {
  const group = `${type.split('/')[0]}/*`;
  if (!acceptedRanges(request, context.query).some((range) => range.type === type || range.type === group || range.type === '*/*')) {
    throw notAcceptable(`Instance ${location.sopInstanceUID} is rendered as ${type}. Ask for that in Accept.`);
  }
  const etag = etagOf([location.sha256, type]);
  if (isHeld(request, response, etag)) return;
  async function* content(): AsyncGenerator<Uint8Array> {
    yield await read();
  }
  // The document is somebody else's text: no script of it runs on this origin.
  await sendStream(context, response, { status: 200, headers: {
    'Content-Type': type === 'text/html' ? `${type}; charset=utf-8` : type, ETag: etag,
    'Content-Security-Policy': "sandbox; default-src 'none'", 'X-Content-Type-Options': 'nosniff',
  } }, content());
}

interface Part {
  readonly location: string;
  readonly bytes: Buffer;
}

async function send(context: TenantContext, response: Response, { envelope, type }: PictureWay, etag: string, made: AsyncGenerator<Part>): Promise<void> {
  const boundary = etag.replace(/\W/g, '');
  await sendStream(context, response, {
    status: 200, headers: { 'Content-Type': envelope === 'single' ? type : multipartContentType(boundary, type), ETag: etag },
  }, envelope === 'single' ? bare(made) : enveloped(made, boundary, type));
}

async function* bare(made: AsyncGenerator<Part>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of made) yield bytes;
}

async function* enveloped(made: AsyncGenerator<Part>, boundary: string, contentType: string): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const { location, bytes } of made) {
    yield partStart(boundary, { contentType, contentLocation: location, contentLength: bytes.length }, first);
    first = false;
    yield bytes;
  }
  yield multipartEnd(boundary);
}

const instanceURL = ({ tenantUrl }: TenantContext, { location }: FoundInstance): string =>
  resourceURL(`${tenantUrl}/dicom-web`, location.studyInstanceUID, location.seriesInstanceUID, location.sopInstanceUID);

const etagOf = (what: unknown): string => `"${createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 32)}"`;

function isHeld(request: Request, response: Response, etag: string): boolean {
  if (!isNotModified(request.get('If-None-Match'), etag)) return false;
  response.setHeader('ETag', etag).status(304).end();
  return true;
}
