import type { Response } from 'express';
import { CodecError } from '../codecs/errors.ts';
import { statusOf as serverStatusOf } from '../stores/errors.ts';
import { UnsupportedMatch, VersionConflict } from '../stores/ports.ts';
import { MultipartError } from './dicomweb/store/multipartParser.ts';

/** A problem document (RFC 9457). `detail` tells what happened, to which object, and what to do. */
export interface Problem {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly requestId: string;
  readonly [member: string]: unknown;
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request', 401: 'Not authenticated', 403: 'Not allowed', 404: 'Not found', 405: 'Method not allowed',
  406: 'Not acceptable', 409: 'Conflict', 410: 'Gone', 412: 'Precondition failed', 413: 'Too large', 415: 'Unsupported media type',
  416: 'Range not satisfiable', 422: 'Unprocessable', 428: 'Precondition required', 500: 'Internal error', 503: 'Unavailable', 504: 'Timed out',
};

interface ProblemExtras {
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the document. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Thrown by handlers; sent as it is. Its message holds UIDs and names of configuration, never attribute values. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly status: number;
  readonly extras: ProblemExtras;

  constructor(status: number, detail: string, extras: ProblemExtras = {}) {
    super(detail, extras.cause === undefined ? {} : { cause: extras.cause });
    this.status = status;
    this.extras = extras;
  }
}

export const badRequest = (detail: string, members: Readonly<Record<string, unknown>> = {}): HttpProblem => new HttpProblem(400, detail, { members });
export const notFound = (detail: string): HttpProblem => new HttpProblem(404, detail);
export const notAcceptable = (detail: string): HttpProblem => new HttpProblem(406, detail);
export const unavailable = (detail: string, retryAfterSeconds: number, extras: ProblemExtras = {}): HttpProblem =>
  new HttpProblem(503, detail, { ...extras, headers: { 'Retry-After': String(retryAfterSeconds), ...extras.headers } });

/** What another tenant's token gets, and what a tenant that nobody has gets: the same. */
export const unknownTenant = (): HttpProblem =>
  notFound('This token opens no tenant of that name. Check the tenant in the URL, or ask for a token that holds it.');

const tryLater = 'Nothing was changed by this request; send it again in a few seconds.';
const unreachableCodes: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'EAI_AGAIN',
  // gRPC: deadline exceeded, resource exhausted, unavailable
  4, 8, 14,
]);
const unreachableNames: ReadonlySet<string> = new Set(['TimeoutError', 'ConnectionError', 'NoLivingConnectionsError', 'RequestTimeout', 'SlowDown']);

/** What was thrown → what the client is told. First row that applies. */
const table: readonly (readonly [applies: (error: Error) => boolean, problem: (error: Error) => HttpProblem])[] = [
  [(error) => error instanceof HttpProblem, (error) => error as HttpProblem],
  [(error) => error instanceof UnsupportedMatch, (error) => badRequest(error.message)],
  [(error) => error instanceof CodecError, (error) => codecProblem(error as CodecError)],
  [(error) => error instanceof MultipartError, (error) => badRequest(error.message)],
  [(error) => error instanceof VersionConflict, () => new HttpProblem(412, 'Somebody else changed it since you read it. Read it again, make your change on that, and send it with the new ETag.')],
  [(error) => error instanceof URIError || statusOf(error) === 400, () => badRequest('The URL or the body of the request is malformed. Check percent-codes and JSON syntax.')],
  [(error) => statusOf(error) === 413, () => new HttpProblem(413, 'The body is larger than this resource takes.')],
  [(error) => statusOf(error) === 415, () => new HttpProblem(415, 'This resource takes application/json in UTF-8 without another encoding.')],
  [(error) => 'code' in error && error.code === 'ENOSPC', (error) => unavailable('There is no room to take a request of this size at the moment. Nothing was stored; send it again later.', 60, { cause: error })],
  [isUnreachable, (error) => unavailable(`A server behind this API does not answer. ${tryLater}`, 5, { cause: error })],
  [() => true, (error) => new HttpProblem(500, 'The request could not be finished because of a fault in this software. Report it with the request id.', { cause: error })],
];

/** What was not decoded can still be had as it is stored; `failed` is a fault of the codec. */
function codecProblem(error: CodecError): HttpProblem {
  if (error.problem === 'busy') return unavailable(error.message, 5);
  const sentence = `${error.message} Ask for the instance with transfer-syntax=*, which gives it as it is stored.`;
  return error.problem === 'failed' ? new HttpProblem(500, sentence, { cause: error }) : notAcceptable(sentence);
}

const statusOf = (error: Error): unknown => 'status' in error ? error.status : undefined;

function isUnreachable(error: Error): boolean {
  if (unreachableNames.has(error.name) || ('code' in error && unreachableCodes.has(error.code)) || (serverStatusOf(error) ?? 0) >= 500) return true;
  return error.cause instanceof Error && isUnreachable(error.cause);
}

export function problemOf(thrown: unknown): HttpProblem {
  const error = thrown instanceof Error ? thrown : new Error('something other than an error was thrown', { cause: thrown });
  for (const [applies, problem] of table) if (applies(error)) return problem(error);
  throw error;
}

/** @returns the document that goes to the client */
export const documentOf = (problem: HttpProblem, requestId: string): Problem => ({
  ...problem.extras.members,
  status: problem.status,
  title: titles[problem.status] ?? 'Error',
  detail: problem.message,
  requestId,
});

export function sendProblem(response: Response, problem: HttpProblem, requestId: string): void {
  for (const [name, value] of Object.entries(problem.extras.headers ?? {})) response.setHeader(name, value);
  response.status(problem.status).type('application/problem+json').send(JSON.stringify(documentOf(problem, requestId)));
}
