import type { Request } from 'express';
import { codecRow, canTranscode } from '../../../codecs/syntaxes.ts';
import { explicitVRLittleEndian, transferSyntax } from '../../../dicom/transferSyntaxes.ts';
import { notAcceptable } from '../../problems.ts';
import { acceptedRanges, type MediaRange } from '../accept.ts';

/** Media types of compressed frames and their transfer syntaxes; the first is the type's default (PS3.18 Table 8.7.3-5). */
export const frameMediaTypes: Readonly<Record<string, readonly string[]>> = {
  'image/jpeg': ['1.2.840.10008.1.2.4.70', '1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.51', '1.2.840.10008.1.2.4.57'],
  'image/dicom-rle': ['1.2.840.10008.1.2.5'],
  'image/jls': ['1.2.840.10008.1.2.4.80', '1.2.840.10008.1.2.4.81'],
  'image/jp2': ['1.2.840.10008.1.2.4.90', '1.2.840.10008.1.2.4.91'],
  'image/jpx': ['1.2.840.10008.1.2.4.92', '1.2.840.10008.1.2.4.93'],
  'image/jph': ['1.2.840.10008.1.2.4.201', '1.2.840.10008.1.2.4.202', '1.2.840.10008.1.2.4.203'],
  'image/jxl': ['1.2.840.10008.1.2.4.110', '1.2.840.10008.1.2.4.111', '1.2.840.10008.1.2.4.112'],
};
const octetStream = 'application/octet-stream';

/** How frames are handed out. */
export interface FrameWay {
  readonly envelope: 'multipart' | 'single';
  readonly mediaType: string;
  readonly transferSyntaxUID: string;
  /** Whether the frames are decoded, and perhaps encoded again, on their way. */
  readonly transcoded: boolean;
}

/**
 * The best way to hand out frames that the client takes (PS3.18 8.7.3.3.3).
 *
 * @param stored the transfer syntax of the bytes at hand
 * @param single whether one frame is asked for, which may come without an envelope
 * @throws HttpProblem 406
 */
export function frameWayOf(request: Request, query: URLSearchParams, stored: string, single: boolean): FrameWay {
  const way = frameWayFor(acceptedRanges(request, query), stored, single);
  if (way) return way;
  throw notAcceptable(`The frames are stored in transfer syntax ${stored} and cannot be given as asked. Ask for multipart/related; type="${octetStream}", or for type="${storedType(stored)}"; transfer-syntax=${stored}.`);
}

/** The same for media ranges in the client's order. @returns undefined when none of them fits */
export function frameWayFor(ranges: readonly MediaRange[], stored: string, single: boolean): FrameWay | undefined {
  for (const { type, parameters } of ranges) {
    const multipart = type === 'multipart/related' || type === 'multipart/*' || type === '*/*';
    if (!multipart && !single) continue;
    const asked = multipart ? (type === 'multipart/related' ? parameters.get('type')?.toLowerCase() : undefined) ?? '*/*' : type;
    const way = wayOf(asked, parameters.get('transfer-syntax'), stored);
    if (way) return { envelope: multipart ? 'multipart' : 'single', ...way };
  }
  return undefined;
}

type Way = Omit<FrameWay, 'envelope'>;

function wayOf(type: string, asked: string | undefined, stored: string): Way | undefined {
  const asStored = (mediaType: string): Way => ({ mediaType, transferSyntaxUID: stored, transcoded: false });
  if (type === '*/*') return asked === '*' ? asStored(storedType(stored)) : byDefault(stored) ?? asStored(storedType(stored));
  if (type === octetStream || type === 'application/*') {
    if (asked === '*' || (asked !== undefined && asked === stored)) return asStored(octetStream);
    return asked === undefined || asked === explicitVRLittleEndian ? decoded(stored) : undefined;
  }
  const wanted = type === 'image/*' ? frameMediaTypes[storedType(stored)] : frameMediaTypes[type];
  if (!wanted) return undefined;
  if (wanted.includes(stored) && (asked === undefined || asked === '*' || asked === stored)) return asStored(storedType(stored));
  const target = asked === undefined || asked === '*' ? wanted[0] : asked;
  if (target === undefined || !wanted.includes(target) || !canTranscode(stored, target)) return undefined;
  return { mediaType: type === 'image/*' ? storedType(stored) : type, transferSyntaxUID: target, transcoded: true };
}

function decoded(stored: string): Way | undefined {
  if (isNative(stored)) return { mediaType: octetStream, transferSyntaxUID: explicitVRLittleEndian, transcoded: false };
  return canTranscode(stored, explicitVRLittleEndian) ? { mediaType: octetStream, transferSyntaxUID: explicitVRLittleEndian, transcoded: true } : undefined;
}

/** Decoded, unless there is only a lossy form, or none that is decoded here (PS3.18 8.7.3.3.2). */
const byDefault = (stored: string): Way | undefined => (isNative(stored) || codecRow(stored)?.lossy !== true ? decoded(stored) : undefined);

const isNative = (uid: string): boolean => transferSyntax(uid)?.encapsulated !== true;

const storedType = (stored: string): string => Object.keys(frameMediaTypes).find((type) => frameMediaTypes[type]!.includes(stored)) ?? octetStream;
