import type { StudyDocuments } from '../../domain/documents.ts';
import { numberOf, textOf } from '../../domain/indexedAttributes.ts';
import type { InstanceLocationFields } from '../../domain/instance.ts';
import { indexNames } from '../../domain/keys.ts';
import { earliest } from '../../dicom/dateTime.ts';
import type { DicomJson } from '../../dicom/json.ts';
import type { DocumentWrite } from './openSearch.ts';
import type { InstanceLocation } from '../ports.ts';
import { searchTerms } from './searchTerms.ts';

/** IDs begin with the tenant, which has no `|`: no UID, however odd, names another tenant's document. */
export const studyId = (tenantId: string, studyInstanceUID: string): string => `${tenantId}|${studyInstanceUID}`;
export const seriesId = (tenantId: string, studyInstanceUID: string, seriesInstanceUID: string): string =>
  `${studyId(tenantId, studyInstanceUID)}|${seriesInstanceUID}`;
export const instanceId = (tenantId: string, studyInstanceUID: string, sopInstanceUID: string): string =>
  `${studyId(tenantId, studyInstanceUID)}|${sopInstanceUID}`;

/** What an instance's document says of its place. */
export interface InstanceSource extends Pick<InstanceLocationFields, 'sopInstanceUID' | 'seriesInstanceUID' | 'packId' | 'committedAt'> {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly location: Pick<InstanceLocationFields, 'sopClassUID' | 'transferSyntaxUID' | 'offsetBytes' | 'lengthBytes' | 'sha256'>;
}
export const locationFields = ['tenantId', 'studyInstanceUID', 'seriesInstanceUID', 'sopInstanceUID', 'packId', 'location'] as const;

/** Instances, then series, then the study: once the study is found, what it counts is found too. */
export function* documentWrites(documents: StudyDocuments, version: number): Iterable<DocumentWrite> {
  const { tenantId, studyInstanceUID, study, series, instances } = documents;
  const common = { tenantId, studyInstanceUID };
  for (const instance of instances) {
    yield { index: indexNames.instances, id: instanceId(tenantId, studyInstanceUID, instance.sopInstanceUID), version,
      body: { ...common, ...instanceFields(instance), ...searchable(instance.attributes) } };
  }
  for (const { seriesInstanceUID, attributes } of series) {
    yield { index: indexNames.series, id: seriesId(tenantId, studyInstanceUID, seriesInstanceUID), version,
      body: { ...common, seriesInstanceUID, seriesNumber: numberOf(attributes, '00200011'), ...searchable(attributes) } };
  }
  yield { index: indexNames.studies, id: studyId(tenantId, studyInstanceUID), version,
    body: { ...common, summary: study.summary, ...studyOrder(study.attributes), ...searchable(study.attributes) } };
}

/** IDs of what a study's documents are; of a study without current instances none. Equal IDs of two levels cannot be: the UIDs in them count. */
export function documentIds({ tenantId, studyInstanceUID, study, series, instances }: StudyDocuments): readonly string[] {
  if (study.summary.instanceCount === 0) return [];
  return [studyId(tenantId, studyInstanceUID), ...series.map(({ seriesInstanceUID }) => seriesId(tenantId, studyInstanceUID, seriesInstanceUID)),
    ...instances.map(({ sopInstanceUID }) => instanceId(tenantId, studyInstanceUID, sopInstanceUID))];
}

const searchable = (attributes: DicomJson): object => ({ attributes, ...searchTerms(attributes) });

/** Sort fields; undefined ones are not written. */
const studyOrder = (attributes: DicomJson): object => ({
  studyDate: earliest('DA', textOf(attributes, '00080020') ?? ''),
  studyTime: earliest('TM', textOf(attributes, '00080030') ?? ''),
});

function instanceFields(instance: StudyDocuments['instances'][number]): object {
  const { sopInstanceUID, sopClassUID, transferSyntaxUID, offsetBytes, lengthBytes, sha256, seriesInstanceUID, packId, committedAt } = instance;
  return {
    seriesInstanceUID, sopInstanceUID, packId, committedAt, instanceNumber: numberOf(instance.attributes, '00200013'),
    location: { sopClassUID, transferSyntaxUID, offsetBytes, lengthBytes, sha256 },
  };
}

/** Documents are of current instances alone, which are accepted. */
export const locationOf = ({ tenantId, studyInstanceUID, seriesInstanceUID, packId, sopInstanceUID, location }: InstanceSource): InstanceLocation =>
  ({ tenantId, studyInstanceUID, seriesInstanceUID, packId, sopInstanceUID, ...location, verdict: 'accepted' });
