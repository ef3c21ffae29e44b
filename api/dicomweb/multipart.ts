/** Writing of multipart/related bodies (RFC 2387, PS3.18 8.7.1). */

export interface PartHeaders {
  readonly contentType: string;
  readonly contentLocation: string;
  readonly contentLength?: number | undefined;
}

/** @param boundary letters, digits and hyphens only, so that it needs no quotes */
export const multipartContentType = (boundary: string, type: string): string => `multipart/related; type="${type}"; boundary=${boundary}`;

/** What stands before a part's bytes. @param first whether no part stands before it */
export const partStart = (boundary: string, { contentType, contentLocation, contentLength }: PartHeaders, first: boolean): Buffer => Buffer.from(
  `${first ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Location: ${contentLocation}\r\n${
    contentLength === undefined ? '' : `Content-Length: ${contentLength}\r\n`}\r\n`, 'latin1');

export const multipartEnd = (boundary: string): Buffer => Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
