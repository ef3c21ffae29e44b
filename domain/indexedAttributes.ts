import type { DicomJson, JsonAttribute } from '../dicom/json.ts';

/**
 * The attributes that the index holds of every instance, by level of the composite object model (PS3.3 A.1.2,
 * PS3.4 C.6, PS3.18 10.6.1.2): what QIDO-RS and C-FIND can match and return. `tag` is as in the DICOM JSON Model.
 */
export interface IndexedAttribute {
  readonly tag: string;
  readonly keyword: string;
  readonly vr: string;
}

const rows = (text: string): readonly IndexedAttribute[] =>
  text.trim().split('\n').map((line) => {
    const [tag, vr, keyword] = line.trim().split(' ') as [string, string, string];
    return { tag, vr, keyword };
  });

/** Patient and study level: equal in every instance of a study, by definition. */
export const studyLevel = rows(`
  00080005 CS SpecificCharacterSet
  00080020 DA StudyDate
  00080030 TM StudyTime
  00080050 SH AccessionNumber
  00080051 SQ IssuerOfAccessionNumberSequence
  00080090 PN ReferringPhysicianName
  00080201 SH TimezoneOffsetFromUTC
  00081030 LO StudyDescription
  00081032 SQ ProcedureCodeSequence
  00081048 PN PhysiciansOfRecord
  00081060 PN NameOfPhysiciansReadingStudy
  00081080 LO AdmittingDiagnosesDescription
  00100010 PN PatientName
  00100020 LO PatientID
  00100021 LO IssuerOfPatientID
  00100030 DA PatientBirthDate
  00100032 TM PatientBirthTime
  00100040 CS PatientSex
  00101001 PN OtherPatientNames
  00101002 SQ OtherPatientIDsSequence
  00101010 AS PatientAge
  00101020 DS PatientSize
  00101030 DS PatientWeight
  00102160 SH EthnicGroup
  00102180 SH Occupation
  00104000 LT PatientComments
  0020000D UI StudyInstanceUID
  00200010 SH StudyID
  00321032 PN RequestingPhysician
  00321060 LO RequestedProcedureDescription
  00380010 LO AdmissionID`);

export const seriesLevel = rows(`
  00080021 DA SeriesDate
  00080031 TM SeriesTime
  00080060 CS Modality
  00080070 LO Manufacturer
  00080080 LO InstitutionName
  00081010 SH StationName
  0008103E LO SeriesDescription
  00081040 LO InstitutionalDepartmentName
  00081050 PN PerformingPhysicianName
  00081070 PN OperatorsName
  00081090 LO ManufacturerModelName
  00180015 CS BodyPartExamined
  00181000 LO DeviceSerialNumber
  00181030 LO ProtocolName
  00185100 CS PatientPosition
  0020000E UI SeriesInstanceUID
  00200011 IS SeriesNumber
  00200052 UI FrameOfReferenceUID
  00200060 CS Laterality
  00400244 DA PerformedProcedureStepStartDate
  00400245 TM PerformedProcedureStepStartTime
  00400253 SH PerformedProcedureStepID
  00400254 LO PerformedProcedureStepDescription
  00400275 SQ RequestAttributesSequence`);

export const instanceLevel = rows(`
  00080008 CS ImageType
  00080012 DA InstanceCreationDate
  00080013 TM InstanceCreationTime
  00080016 UI SOPClassUID
  00080018 UI SOPInstanceUID
  00080022 DA AcquisitionDate
  00080023 DA ContentDate
  0008002A DT AcquisitionDateTime
  00080032 TM AcquisitionTime
  00080033 TM ContentTime
  00200012 IS AcquisitionNumber
  00200013 IS InstanceNumber
  00201041 DS SliceLocation
  00280002 US SamplesPerPixel
  00280004 CS PhotometricInterpretation
  00280008 IS NumberOfFrames
  00280010 US Rows
  00280011 US Columns
  00280100 US BitsAllocated
  00280101 US BitsStored
  00280103 US PixelRepresentation
  0040A043 SQ ConceptNameCodeSequence
  0040A491 CS CompletionFlag
  0040A493 CS VerificationFlag
  00420010 ST DocumentTitle
  00700080 CS ContentLabel
  00700081 LO ContentDescription`);

/** Derived by the index itself, not taken from a data set (PS3.4 Table C.6-1, PS3.18 10.6.3.3). */
export const computedAttributes = rows(`
  00080061 CS ModalitiesInStudy
  00080062 UI SOPClassesInStudy
  00083002 UI AvailableTransferSyntaxUID
  00201206 IS NumberOfStudyRelatedSeries
  00201208 IS NumberOfStudyRelatedInstances
  00201209 IS NumberOfSeriesRelatedInstances`);

/** Those that the documents of series have and the documents of instances lack: they change with every instance that arrives. */
export const countedTags: readonly string[] = computedAttributes.map(({ tag }) => tag).filter((tag) => tag !== '00083002');

export const indexedAttributes = [...studyLevel, ...seriesLevel, ...instanceLevel];
const indexedTags = new Set(indexedAttributes.map(({ tag }) => tag));

/** Of a header, what the index keeps. */
export const pickIndexed = (header: DicomJson): DicomJson =>
  Object.fromEntries(Object.entries(header).filter(([tag]) => indexedTags.has(tag)));

export const isEmpty = (attribute: JsonAttribute | undefined): boolean =>
  !attribute?.Value?.some((value) => value !== null && value !== '' && (typeof value !== 'object' || Object.keys(value).length > 0));

/** First value as text: of a UI, CS, IS and so on. */
export function textOf(dataSet: DicomJson, tag: string): string | undefined {
  const value = dataSet[tag]?.Value?.[0];
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}
export const numberOf = (dataSet: DicomJson, tag: string): number | undefined => {
  const text = textOf(dataSet, tag);
  const value = text === undefined || text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
};
