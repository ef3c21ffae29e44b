import type { DicomJson } from '../../dicom/json.ts';
import { fullDays, madeStudy, studiesUntil } from './madeStudies.ts';

/** One kind of search, asked for another study each time. */
export interface Question {
  readonly what: string;
  /** Below the tenant's DICOMweb root. */
  readonly qido?: (study: number) => string;
  /** An identifier of the Study Root model; the same goes to our gateway and to Orthanc. */
  readonly find?: (study: number) => DicomJson;
  /** The body of Orthanc's `/tools/find`. */
  readonly orthanc?: (study: number) => object;
  /** How many results it has, where that follows from the archive. */
  readonly results?: number;
}

const page = 100;
const key = (vr: string, value?: string) => (value === undefined ? { vr } : { vr, Value: [value] });
const studyKeys = { '00080020': key('DA'), '00080050': key('SH'), '00080052': key('CS', 'STUDY'), '00100010': key('PN'), '00100020': key('LO'), '0020000D': key('UI') } satisfies DicomJson;
const range = (date: string): string => `${date.slice(0, 4)}0101-${date.slice(0, 4)}1231`;

export const questions: readonly Question[] = [
  { what: 'first page of all studies', qido: () => `studies?limit=${page}`, orthanc: () => ({ Level: 'Study', Query: {}, Limit: page, Expand: true }), results: page },
  { what: 'first page of all series', qido: () => `series?limit=${page}`, orthanc: () => ({ Level: 'Series', Query: {}, Limit: page, Expand: true }), results: page },
  { what: 'first page of all instances', qido: () => `instances?limit=${page}`, orthanc: () => ({ Level: 'Instance', Query: {}, Limit: page, Expand: true }), results: page },
  { what: 'studies of a patient, by PatientID', qido: (study) => `studies?PatientID=${madeStudy(study).patientID}`, orthanc: (study) => ({ Level: 'Study', Query: { PatientID: madeStudy(study).patientID }, Expand: true }),
    find: (study) => ({ ...studyKeys, '00100020': key('LO', madeStudy(study).patientID) }) },
  { what: 'a study, by AccessionNumber', qido: (study) => `studies?AccessionNumber=${madeStudy(study).accessionNumber}`, orthanc: (study) => ({ Level: 'Study', Query: { AccessionNumber: madeStudy(study).accessionNumber }, Expand: true }),
    find: (study) => ({ ...studyKeys, '00080050': key('SH', madeStudy(study).accessionNumber) }), results: 1 },
  { what: 'studies by the start of a name', qido: (study) => `studies?PatientName=${nameStart(study)}*`, orthanc: (study) => ({ Level: 'Study', Query: { PatientName: `${nameStart(study)}*` }, Limit: page, Expand: true }) },
  { what: 'MR studies of a year, first page', qido: (study) => `studies?StudyDate=${range(madeStudy(study).studyDate)}&ModalitiesInStudy=MR&limit=${page}` },
  { what: 'studies of a day with 100', qido: () => `studies?StudyDate=${fullDays[2]!.date}`, orthanc: () => ({ Level: 'Study', Query: { StudyDate: fullDays[2]!.date }, Expand: true }),
    find: () => ({ ...studyKeys, '00080020': key('DA', fullDays[2]!.date) }), results: 100 },
];

const nameStart = (study: number): string => (madeStudy(study).dataSet['00100010']!.Value![0] as { readonly Alphabetic: string }).Alphabetic.split('^')[0]!.slice(0, 8);

/** All series of a day, as the paper's search test asks for: a page holds 1,000. */
export const dayQuestions = (studyCount: number): readonly (Question & { readonly results: number })[] =>
  fullDays.filter(({ seriesCount }) => seriesCount <= 1000 && studiesUntil(seriesCount) <= studyCount).map(({ date, seriesCount }) => ({
    what: `all ${seriesCount} series of a day`, qido: () => `series?SeriesDate=${date}&limit=1000`, results: seriesCount,
    orthanc: () => ({ Level: 'Series', Query: { SeriesDate: date }, Expand: true }),
  }));
