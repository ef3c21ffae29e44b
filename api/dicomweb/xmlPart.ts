import type { DicomJson } from '../../dicom/json.ts';
import { stringifyDicomXml } from '../../dicom/xml.ts';
import { partStart } from './multipart.ts';

export const xmlMediaType = 'application/dicom+xml';

/**
 * One data set as a part of a multipart answer (PS3.18 8.7.5). XML has no line end of CR and LF, so that none of its text can be taken
 * for the boundary.
 *
 * @param url of what the data set describes
 */
export const xmlPart = (boundary: string, dataSet: DicomJson, url: string, first: boolean): Buffer =>
  Buffer.concat([partStart(boundary, { contentType: xmlMediaType, contentLocation: url }, first), Buffer.from(stringifyDicomXml(dataSet))]);
