import type { Request } from 'express';
import { notAcceptable } from '../problems.ts';

/** One member of an Accept header (RFC 9110 12.5.1): names in lower case, parameters' values as they came. */
export interface MediaRange {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly q: number;
}

/**
 * What the client takes, best first: by q, then by how much it says. The query parameter `accept`, for clients that
 * cannot set headers, stands in for the header (PS3.18 8.3.3.1).
 */
export function acceptedRanges(request: Request, query: URLSearchParams): readonly MediaRange[] {
  const text = query.getAll('accept').join(',') || request.get('Accept') || '*/*';
  return parseMediaRanges(text).filter(({ q }) => q > 0).toSorted((a, b) => b.q - a.q || specificity(b) - specificity(a));
}

export const parseMediaRanges = (text: string): readonly MediaRange[] =>
  splitOutsideQuotes(text, ',').map(parseMediaRange).filter((range) => range !== undefined);

/** Reads one media type with its parameters, quoted or not; spaces around `;` and `=` are tolerated. */
export function parseMediaRange(text: string): MediaRange | undefined {
  const [type = '', ...rest] = splitOutsideQuotes(text, ';').map((part) => part.trim());
  if (!/^[^\s/]+\/[^\s/]+$/.test(type)) return undefined;
  const parameters = new Map<string, string>();
  for (const parameter of rest) {
    const at = parameter.indexOf('=');
    if (at > 0) parameters.set(parameter.slice(0, at).trim().toLowerCase(), unquoted(parameter.slice(at + 1).trim()));
  }
  const q = Number(parameters.get('q') ?? 1);
  return { type: type.toLowerCase(), parameters, q: q >= 0 && q <= 1 ? q : 0 };
}

const specificity = ({ type, parameters }: MediaRange): number =>
  (type === '*/*' ? 0 : type.endsWith('/*') ? 100 : 200) + parameters.size;

function splitOutsideQuotes(text: string, separator: string): readonly string[] {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') quoted = !quoted;
    else if (quoted && text[at] === '\\') at++;
    else if (!quoted && text[at] === separator) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  return [...parts, text.slice(from)].filter((part) => part.trim() !== '');
}

const unquoted = (text: string): string =>
  text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).replaceAll(/\\(.)/g, '$1') : text;

const jsonTypes = new Map<string, 'application/dicom+json' | 'application/json'>([
  ['application/dicom+json', 'application/dicom+json'], ['application/*', 'application/dicom+json'], ['*/*', 'application/dicom+json'],
  ['application/json', 'application/json'],
]);

/** One data set as JSON or as XML, in one body. @returns the Content-Type to answer with @throws HttpProblem 406 */
export function negotiateDataSet(request: Request, query: URLSearchParams): DataSetType {
  const best = acceptedRanges(request, query).map(({ type }) => (type === 'application/dicom+xml' ? type : jsonTypes.get(type))).find((type) => type !== undefined);
  if (best) return best;
  throw notAcceptable('This resource is given as application/dicom+json or application/dicom+xml. Ask for one of them in Accept.');
}

/** Data sets as JSON in one body, or as XML, each a part of `multipart/related` (PS3.18 8.7.3.2). */
export type DataSetType = 'application/dicom+json' | 'application/json' | 'application/dicom+xml';

/** @throws HttpProblem 406 */
export function negotiateDataSets(request: Request, query: URLSearchParams): DataSetType {
  const types = acceptedRanges(request, query).map(({ type, parameters }) =>
    type === 'multipart/*' || (type === 'multipart/related' && (parameters.get('type') ?? 'application/dicom+xml').toLowerCase() === 'application/dicom+xml')
      ? 'application/dicom+xml' : jsonTypes.get(type));
  const best = types.find((type) => type !== undefined);
  if (best) return best;
  throw notAcceptable('This resource is given as application/dicom+json, or as multipart/related; type="application/dicom+xml". Ask for one of them in Accept.');
}

/** A way the client takes Part 10 files: which envelope, which transfer syntax (`undefined`: the default of PS3.18 8.7.3.3). */
export interface FileOption {
  readonly envelope: 'multipart' | 'single';
  readonly transferSyntaxUID: string | undefined;
}

/**
 * @param single whether the resource is one instance, which may come without an envelope
 * @returns the ways in the client's order, at least one
 * @throws HttpProblem 406
 */
export function acceptedFileOptions(request: Request, query: URLSearchParams, single: boolean): readonly FileOption[] {
  const options = acceptedRanges(request, query).flatMap(({ type, parameters }): readonly FileOption[] => {
    const transferSyntaxUID = parameters.get('transfer-syntax');
    if (type === '*/*' || type === 'multipart/*') return [{ envelope: 'multipart', transferSyntaxUID }];
    if (type === 'multipart/related' && (parameters.get('type') ?? 'application/dicom').toLowerCase() === 'application/dicom') return [{ envelope: 'multipart', transferSyntaxUID }];
    return single && (type === 'application/dicom' || type === 'application/*') ? [{ envelope: 'single', transferSyntaxUID }] : [];
  });
  if (options.length) return options;
  throw notAcceptable(`This resource is given as multipart/related; type="application/dicom"${single ? ', or as application/dicom' : ''}. Ask for that in Accept, with transfer-syntax=* for the files as they are stored.`);
}
