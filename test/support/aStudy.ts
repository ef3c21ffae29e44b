import { createHash, randomInt } from 'node:crypto';
import type { DicomJson, JsonValue } from '../../dicom/json.ts';
import { tagOf, vrOfTag } from '../../dicom/tags.ts';
import { buildStudyDocuments, type StudyDocuments } from '../../domain/documents.ts';
import type { IndexedInstance } from '../../domain/instance.ts';
import { packIdInput, type PackIndex } from '../../domain/pack.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export const aTenant = (): string => `t-${Date.now().toString(36)}-${randomInt(1e9).toString(36)}`;
export const aUID = (): string => `2.25.${randomInt(1, 2 ** 40)}${randomInt(2 ** 40)}`;

/** A data set from keywords: `dataSet({ PatientName: 'Doe^Jane', Modality: ['CT', 'SR'] })`; items of sequences are data sets. */
export function dataSet(values: Readonly<Record<string, JsonValue | readonly JsonValue[]>>): DicomJson {
  return Object.fromEntries(Object.entries(values).map(([keyword, value]) => {
    const tag = tagOf(keyword);
    const vr = vrOfTag(tag) ?? 'UN';
    const list = (Array.isArray(value) ? value : [value]) as readonly JsonValue[];
    return [tag, { vr, Value: vr === 'PN' ? list.map((name) => (typeof name === 'string' ? { Alphabetic: name } : name)) : list }];
  }));
}

export interface InstanceOptions {
  readonly sopInstanceUID?: string;
  readonly content?: string;
  readonly attributes?: Readonly<Record<string, JsonValue | readonly JsonValue[]>>;
}

export function anInstance({ sopInstanceUID = aUID(), content = sopInstanceUID, attributes = {} }: InstanceOptions = {}): IndexedInstance {
  return {
    sopInstanceUID, sopClassUID: '1.2.840.10008.5.1.4.1.1.2', transferSyntaxUID: '1.2.840.10008.1.2.1',
    offsetBytes: 512, lengthBytes: 1_000, sha256: sha256(content), verdict: 'accepted',
    attributes: dataSet({ SOPInstanceUID: sopInstanceUID, ...attributes }),
  };
}

export interface PackOptions {
  readonly tenantId?: string;
  readonly studyInstanceUID?: string;
  readonly seriesInstanceUID?: string;
  readonly committedAt?: string;
  /** Of every instance of the pack; Study and Series Instance UID are added. */
  readonly attributes?: InstanceOptions['attributes'];
  readonly instances?: readonly InstanceOptions[];
}

export function aPackIndex({ tenantId = aTenant(), studyInstanceUID = aUID(), seriesInstanceUID = aUID(), committedAt = '2024-05-01T10:00:00.000Z',
  attributes = {}, instances = [{}] }: PackOptions = {}): PackIndex {
  const common = { StudyInstanceUID: studyInstanceUID, SeriesInstanceUID: seriesInstanceUID, ...attributes };
  const indexed = instances.map((instance) => anInstance({ ...instance, attributes: { ...common, ...instance.attributes } }));
  return {
    formatVersion: 1, tenantId, studyInstanceUID, seriesInstanceUID, packId: sha256(packIdInput(indexed)), committedAt, lengthBytes: 10_240,
    origin: { kind: 'dimse', gatewayId: 'gw1', associationId: 'a1', callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: committedAt },
    instances: indexed,
  };
}

/** Documents of a study of one pack per series given. */
export function aStudy(tenantId: string, ...series: readonly Omit<PackOptions, 'tenantId'>[]): StudyDocuments {
  const studyInstanceUID = series.find((one) => one.studyInstanceUID)?.studyInstanceUID ?? aUID();
  return buildStudyDocuments((series.length > 0 ? series : [{}]).map((one) => aPackIndex({ ...one, tenantId, studyInstanceUID })));
}
