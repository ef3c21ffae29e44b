import type { Request } from 'express';
import { isUidShaped } from '../../dicom/uid.ts';
import { badRequest } from '../problems.ts';

/** A UID of the path. @returns undefined when the route has no such part @throws HttpProblem 400 */
export function uidParameter(request: Request, name: 'study' | 'series' | 'instance'): string | undefined {
  const value = request.params[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && isUidShaped(value)) return value;
  throw badRequest(`The ${name} in the URL is no UID. A UID has digits and dots, 64 characters at most.`);
}

export function requiredUid(request: Request, name: 'study' | 'series' | 'instance'): string {
  const uid = uidParameter(request, name);
  if (uid === undefined) throw badRequest(`The URL names no ${name}.`);
  return uid;
}

/** Which study, series or instance a path names. */
export interface Scope {
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID?: string;
  readonly sopInstanceUID?: string;
}

export function scopeOf(request: Request): Scope {
  const seriesInstanceUID = uidParameter(request, 'series');
  const sopInstanceUID = uidParameter(request, 'instance');
  return {
    studyInstanceUID: requiredUid(request, 'study'),
    ...(seriesInstanceUID === undefined ? {} : { seriesInstanceUID }), ...(sopInstanceUID === undefined ? {} : { sopInstanceUID }),
  };
}

/** How a sentence names the object. */
export const nameOf = ({ studyInstanceUID, seriesInstanceUID, sopInstanceUID }: Scope): string =>
  sopInstanceUID !== undefined ? `instance ${sopInstanceUID}` : seriesInstanceUID !== undefined ? `series ${seriesInstanceUID}` : `study ${studyInstanceUID}`;
