import type { DicomJson, JsonAttribute } from '../../../dicom/json.ts';
import { resourceURL } from '../attributes.ts';
import type { ReceivedInstance, Refusal } from './receivePart.ts';

/** What became of everything that a store request brought. */
export interface StoreResult {
  readonly stored: readonly ReceivedInstance[];
  readonly refused: readonly Refusal[];
}

/** 200 when all are stored, 202 when some are, 409 when none is (PS3.18 10.5.3). */
export const storeStatus = ({ stored, refused }: StoreResult): number => refused.length === 0 ? 200 : stored.length > 0 ? 202 : 409;

const ui = (value: string): JsonAttribute => ({ vr: 'UI', Value: [value] });
const ur = (value: string): JsonAttribute => ({ vr: 'UR', Value: [value] });
const us = (value: number): JsonAttribute => ({ vr: 'US', Value: [value] });
const sequence = (tag: string, items: readonly DicomJson[]): DicomJson => items.length ? { [tag]: { vr: 'SQ', Value: items } } : {};

/** The Store Instances Response Module (PS3.18 Annex I.2). @param studyInstanceUID the study that the URL named */
export function storeResponse({ stored, refused }: StoreResult, dicomWeb: string, studyInstanceUID: string | undefined): DicomJson {
  const studies = new Set(stored.map((instance) => instance.studyInstanceUID));
  const study = studyInstanceUID ?? (studies.size === 1 ? [...studies][0] : undefined);
  return {
    ...(study === undefined || stored.length === 0 ? {} : { '00081190': ur(resourceURL(dicomWeb, study)) }),
    ...sequence('00081198', refused.flatMap(({ instance, reason }) => instance
      ? [{ '00081150': ui(instance.sopClassUID), '00081155': ui(instance.sopInstanceUID), '00081197': us(reason) }] : [])),
    ...sequence('00081199', stored.map((instance) => ({
      '00081150': ui(instance.sopClassUID), '00081155': ui(instance.sopInstanceUID),
      '00081190': ur(resourceURL(dicomWeb, instance.studyInstanceUID, instance.seriesInstanceUID, instance.sopInstanceUID)),
    }))),
    ...sequence('0008119A', refused.flatMap(({ instance, reason }) => instance ? [] : [{ '00081197': us(reason) }])),
  };
}
