import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import type { Transcoder } from '../../../codecs/transcoder.ts';
import type { Piece } from '../../../stores/packs/lentBytes.ts';
import type { ArchiveStore, InstanceLocation, StudyIndex } from '../../../stores/ports.ts';
import type { TenantContext, TenantHandler } from '../../context.ts';
import { HttpProblem, notAcceptable, notFound } from '../../problems.ts';
import { isNotModified, sendStream } from '../../stream.ts';
import { acceptedFileOptions, type FileOption } from '../accept.ts';
import { resourceURL } from '../attributes.ts';
import { giveInstance, type GiveOptions } from './givenInstance.ts';
import { streamInstances, type StreamedInstance } from './instanceStream.ts';
import { multipartContentType, multipartEnd, partStart } from '../multipart.ts';
import { nameOf, scopeOf, type Scope } from '../parameters.ts';
import { peek, type Peeked } from './peek.ts';
import { maxTranscodedBytes, renditionOf } from './rendition.ts';

export interface RetrieveDeps {
  readonly archive: Pick<ArchiveStore, 'readRange' | 'lendRange'>;
  readonly index: Pick<StudyIndex, 'locate' | 'version'>;
  readonly codecs: Pick<Transcoder, 'transcode'>;
  /** Whether single instances are compared with the digest they were received with while they stream. */
  readonly verifyDigests: boolean;
}

/** Locations looked at before the status is chosen: whether the client takes these decides between 200, 206 and 406. */
const lookAhead = 2000;

/** WADO-RS, Part 10 files of a study, a series or an instance (PS3.18 10.4). */
export const createRetrieve = (deps: RetrieveDeps): TenantHandler =>
  async function retrieve(context, request, response) {
    const scope = scopeOf(request);
    const options = acceptedFileOptions(request, context.query, scope.sopInstanceUID !== undefined);
    response.setHeader('Vary', 'Accept');
    // Read before the list, so that an answer is never told apart by a later version than it has.
    const version = scope.sopInstanceUID === undefined ? await deps.index.version(context.tenantId, scope.studyInstanceUID) : 0;
    const found = await peek(deps.index.locate(context.tenantId, scope), lookAhead);
    const [first] = found.seen;
    if (!first) throw notFound(`There is no ${nameOf(scope)} in this archive.`);
    const { envelope } = options.find((option) => renditionOf(first, [option])) ?? options[0]!;
    const ways = options.filter((option) => option.envelope === envelope);

    if (envelope === 'single') return sendInstance(deps, context, request, response, first, ways);
    await sendMultipart(deps, context, request, response, { scope, version, found, ways });
  };

async function sendInstance(deps: RetrieveDeps, context: TenantContext, request: Request, response: Response, location: InstanceLocation, ways: readonly FileOption[]): Promise<void> {
  const rendition = renditionOf(location, ways);
  if (!rendition) throw noRendition(location.transferSyntaxUID);
  const etag = `"${location.sha256}${rendition.how === 'stored' ? '' : `-${rendition.transferSyntaxUID}`}"`;
  response.setHeader('ETag', etag);
  if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();
  const options = { codecs: deps.codecs, verify: deps.verifyDigests, signal: context.signal };
  const instances = streamInstances(deps.archive, [location], context.signal);
  try {
    const given = await giveInstance((await instances.next()).value as StreamedInstance, rendition, options);
    await sendStream(context, response, { status: 200, headers: {
      'Content-Type': `application/dicom; transfer-syntax=${given.transferSyntaxUID}`, 'Content-Length': String(given.lengthBytes),
    } }, pieces(given.bytes));
  } finally {
    await instances.return(undefined);
  }
}

async function* pieces(bytes: AsyncIterable<Piece>): AsyncGenerator<Piece> {
  yield* bytes;
}

interface MultipartAnswer {
  readonly scope: Scope;
  readonly version: number;
  readonly found: Peeked<InstanceLocation>;
  readonly ways: readonly FileOption[];
}

async function sendMultipart(deps: RetrieveDeps, context: TenantContext, request: Request, response: Response, answer: MultipartAnswer): Promise<void> {
  const { scope, version, found, ways } = answer;
  const [first] = found.seen as [InstanceLocation];
  const taken = found.seen.filter((location) => renditionOf(location, ways)).length;
  if (taken === 0) throw noRendition(first.transferSyntaxUID);
  const what = JSON.stringify([context.tenantId, scope, scope.sopInstanceUID === undefined ? version : first.sha256, ways]);
  const boundary = createHash('sha256').update(what).digest('hex').slice(0, 32);
  const etag = `W/"${boundary}"`;
  response.setHeader('ETag', etag);
  if (isNotModified(request.get('If-None-Match'), etag)) return void response.status(304).end();
  const missing = found.seen.length - taken;
  const warning = `299 pacs "${missing} instances are not available in the transfer syntaxes asked for"`;
  const parts = new Parts(boundary, `${context.tenantUrl}/dicom-web`, ways, { codecs: deps.codecs, verify: deps.verifyDigests, signal: context.signal });
  const given = found.all(missing > 0 ? (location) => renditionOf(location, ways) !== undefined : undefined);
  await sendStream(context, response, {
    status: missing > 0 ? 206 : 200,
    headers: { 'Content-Type': multipartContentType(boundary, 'application/dicom'), Warning: missing > 0 ? warning : undefined },
  }, parts.body(streamInstances(deps.archive, given, context.signal)));
}

class Parts {
  readonly #boundary: string;
  readonly #dicomWeb: string;
  readonly #ways: readonly FileOption[];
  readonly #give: GiveOptions;

  constructor(boundary: string, dicomWeb: string, ways: readonly FileOption[], give: GiveOptions) {
    this.#boundary = boundary;
    this.#dicomWeb = dicomWeb;
    this.#ways = ways;
    this.#give = give;
  }

  async *body(instances: AsyncIterable<StreamedInstance>): AsyncGenerator<Piece> {
    let first = true;
    for await (const instance of instances) {
      const { studyInstanceUID, seriesInstanceUID, sopInstanceUID, transferSyntaxUID } = instance.location;
      const rendition = renditionOf(instance.location, this.#ways);
      if (!rendition) throw new Error(`Instance ${sopInstanceUID} in transfer syntax ${transferSyntaxUID} cannot be given as asked`);
      const given = await giveInstance(instance, rendition, this.#give);
      yield partStart(this.#boundary, {
        contentType: `application/dicom; transfer-syntax=${given.transferSyntaxUID}`,
        contentLocation: resourceURL(this.#dicomWeb, studyInstanceUID, seriesInstanceUID, sopInstanceUID),
        contentLength: given.lengthBytes,
      }, first);
      first = false;
      yield* given.bytes;
    }
    yield multipartEnd(this.#boundary);
  }
}

const noRendition = (stored: string): HttpProblem => notAcceptable(
  `It is stored in transfer syntax ${stored} and cannot be given as asked (up to ${maxTranscodedBytes / 1024 / 1024} MiB are transcoded). Ask with transfer-syntax=* for the file as it is stored.`);
