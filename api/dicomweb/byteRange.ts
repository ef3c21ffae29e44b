import { HttpProblem } from '../problems.ts';

export interface ByteRange {
  readonly from: number;
  readonly lengthBytes: number;
  readonly partial: boolean;
}

/**
 * Which bytes a request asks for (RFC 9110 14.2). Several ranges, other units, and a range that is none are answered with the whole; so
 * is one whose If-Range names another state of the resource.
 *
 * @throws HttpProblem 416
 */
export function byteRangeOf(header: string | undefined, totalBytes: number, ifRange: string | undefined, etag: string): ByteRange {
  const whole = { from: 0, lengthBytes: totalBytes, partial: false };
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.replaceAll(' ', '') ?? '');
  if (!match || match[0] === 'bytes=-' || (ifRange !== undefined && ifRange !== etag)) return whole;
  const [, first = '', last = ''] = match;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return whole;
  const from = first === '' ? Math.max(0, totalBytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? totalBytes - 1 : Math.min(Number(last), totalBytes - 1);
  if (from <= to) return { from, lengthBytes: to - from + 1, partial: true };
  throw new HttpProblem(416, `The value has ${totalBytes} bytes; the range asked for lies outside.`, { headers: { 'Content-Range': `bytes */${totalBytes}` } });
}
