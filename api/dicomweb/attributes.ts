import { tagOf, type Tag } from '../../dicom/tags.ts';
import type { DicomJson, JsonAttribute } from '../../dicom/json.ts';
import type { QueryLevel } from '../../stores/ports.ts';

const tags = (keywords: string): readonly Tag[] => keywords.trim().split(/\s+/).map(tagOf);

/** What a search returns of each level without being asked (PS3.18 10.6.3.3, Tables 10.6.3-3, -4 and -5). */
export const returnedByDefault: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  studies: tags(`SpecificCharacterSet StudyDate StudyTime AccessionNumber InstanceAvailability ModalitiesInStudy
    ReferringPhysicianName TimezoneOffsetFromUTC RetrieveURL PatientName PatientID PatientBirthDate PatientSex
    StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances`),
  series: tags(`SpecificCharacterSet Modality TimezoneOffsetFromUTC SeriesDescription RetrieveURL SeriesInstanceUID
    SeriesNumber NumberOfSeriesRelatedInstances PerformedProcedureStepStartDate PerformedProcedureStepStartTime
    RequestAttributesSequence`),
  instances: tags(`SpecificCharacterSet SOPClassUID SOPInstanceUID InstanceAvailability TimezoneOffsetFromUTC RetrieveURL
    AvailableTransferSyntaxUID InstanceNumber NumberOfFrames Rows Columns BitsAllocated`),
};

/** The UIDs that name the object and those above it: returned always, though a path may have them already. */
export const alwaysReturned: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  studies: tags('StudyInstanceUID'),
  series: tags('StudyInstanceUID SeriesInstanceUID'),
  instances: tags('StudyInstanceUID SeriesInstanceUID SOPInstanceUID'),
};

export const instanceAvailability = tagOf('InstanceAvailability');
export const retrieveURL = tagOf('RetrieveURL');
export const specificCharacterSet = tagOf('SpecificCharacterSet');
const [studyUID, seriesUID, instanceUID] = tags('StudyInstanceUID SeriesInstanceUID SOPInstanceUID') as [Tag, Tag, Tag];

/** JSON is UTF-8 whatever the data set was, and says so (PS3.18 F.2). */
export const inUTF8: JsonAttribute = { vr: 'CS', Value: ['ISO_IR 192'] };

/** The absolute URL of an object's resource; `dicomWeb` is the DICOMweb root. */
export const resourceURL = (dicomWeb: string, studyInstanceUID: string, seriesInstanceUID?: string, sopInstanceUID?: string): string =>
  `${dicomWeb}/studies/${studyInstanceUID}${seriesInstanceUID === undefined ? '' : `/series/${seriesInstanceUID}`}${
    sopInstanceUID === undefined ? '' : `/instances/${sopInstanceUID}`}`;

const uid = (match: DicomJson, tag: Tag): string => String(match[tag]?.Value?.[0] ?? '');

/** The resource that a match of a search names. */
export function retrieveURLOf(dicomWeb: string, level: QueryLevel, match: DicomJson): string {
  if (level === 'studies') return resourceURL(dicomWeb, uid(match, studyUID));
  if (level === 'series') return resourceURL(dicomWeb, uid(match, studyUID), uid(match, seriesUID));
  return resourceURL(dicomWeb, uid(match, studyUID), uid(match, seriesUID), uid(match, instanceUID));
}
