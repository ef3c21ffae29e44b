import { badRequest } from './problems.ts';

export interface Page {
  readonly limit: number;
  readonly offset: number;
}

/** @throws HttpProblem 400 */
export function pageOf(query: URLSearchParams, byDefault: number, max: number): Page {
  return { limit: Math.min(number(query, 'limit', byDefault, 1), max), offset: number(query, 'offset', 0, 0) };
}

function number(query: URLSearchParams, name: string, byDefault: number, min: number): number {
  const text = query.get(name);
  if (text === null) return byDefault;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min)) throw badRequest(`${name} takes a whole number, ${min} or more.`);
  return value;
}

/** @returns the next page's URL, undefined on the last page */
export const nextPage = (url: string, { limit, offset }: Page, total: number): string | undefined =>
  offset + limit < total ? `${url}?limit=${limit}&offset=${offset + limit}` : undefined;
