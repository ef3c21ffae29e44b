import type { DicomJson, JsonAttribute } from '../../dicom/json.ts';
import { buildStudyDocuments, type StudyDocuments } from '../../domain/documents.ts';

/** A made study of one series and one instance. Everything follows from its number, so an archive of n studies is the start of a larger one. */
export interface MadeStudy {
  readonly studyInstanceUID: string;
  readonly patientID: string;
  readonly accessionNumber: string;
  readonly studyDate: string;
  readonly dataSet: DicomJson;
}

const families = ['Adams', 'Baker', 'Castro', 'Dubois', 'Eriksson', 'Fischer', 'Garcia', 'Hansen', 'Ito', 'Jansen', 'Kowalska', 'Lopez', 'Moreau', 'Novak', 'Olsen', 'Popov'] as const;
const given = ['Alex', 'Bo', 'Chris', 'Dana', 'Eli', 'Finn', 'Gwen', 'Hugo', 'Ida', 'Jan', 'Kim', 'Lou', 'Mika'] as const;
const classes = [['CT', '1.2.840.10008.5.1.4.1.1.2'], ['MR', '1.2.840.10008.5.1.4.1.1.4'], ['CR', '1.2.840.10008.5.1.4.1.1.1'], ['US', '1.2.840.10008.5.1.4.1.1.6.1']] as const;
const studiesOfAPatient = 4;
/** Other studies are spread over five years from here on. */
const firstDay = Date.UTC(2020, 0, 1);
const days = 5 * 365;

/** Days on which so many series were made, whatever the size of the archive, as long as that has them all. */
export const fullDays: readonly { readonly date: string; readonly seriesCount: number }[] =
  [1, 10, 100, 1_000, 10_000].map((seriesCount, index) => ({ date: `2019010${index + 1}`, seriesCount }));

/** How many studies the full days up to and with this one take. */
export const studiesUntil = (seriesCount: number): number => fullDays.filter((day) => day.seriesCount <= seriesCount).reduce((sum, day) => sum + day.seriesCount, 0);

/** @param number from 0 on */
export function madeStudy(number: number): MadeStudy {
  const uid = (level: number): string => `2.25.${level}${String(number).padStart(30, '0')}`;
  const [modality, sopClassUID] = classes[number % classes.length]!;
  const studyDate = fullDays.find(({ seriesCount }) => number < studiesUntil(seriesCount))?.date ?? dayOf(number);
  const patient = Math.floor(number / studiesOfAPatient);
  const [patientID, accessionNumber] = [`P${String(patient).padStart(7, '0')}`, `A${String(number).padStart(9, '0')}`];
  const time = `${two(number % 24)}${two(number % 60)}${two((number * 7) % 60)}`;
  const text = (vr: string, ...Value: readonly (string | number)[]): JsonAttribute => ({ vr, Value });
  return {
    studyInstanceUID: uid(1), patientID, accessionNumber, studyDate,
    dataSet: {
      '00080008': text('CS', 'ORIGINAL', 'PRIMARY'), '00080016': text('UI', sopClassUID), '00080018': text('UI', uid(3)),
      '00080020': text('DA', studyDate), '00080021': text('DA', studyDate), '00080030': text('TM', time), '00080031': text('TM', time),
      '00080050': text('SH', accessionNumber), '00080060': text('CS', modality), '00080070': text('LO', 'Bench'), '00080080': text('LO', `Hospital ${number % 7}`),
      '00080090': { vr: 'PN', Value: [{ Alphabetic: `${families[(number + 5) % families.length]}^${given[number % given.length]}` }] },
      '00081030': text('LO', `${modality} study ${number % 40}`),
      '00081032': { vr: 'SQ', Value: [{ '00080100': text('SH', `C${number % 40}`), '00080102': text('SH', '99BENCH'), '00080104': text('LO', `Procedure ${number % 40}`) }] },
      '0008103E': text('LO', `Series ${number % 11}`),
      '00100010': { vr: 'PN', Value: [{ Alphabetic: `${families[patient % families.length]}${patient}^${given[patient % given.length]}` }] },
      '00100020': text('LO', patientID), '00100030': text('DA', `19${two(30 + (patient % 70))}0${1 + (patient % 9)}1${patient % 9}`), '00100040': text('CS', patient % 2 === 0 ? 'F' : 'M'),
      '0020000D': text('UI', uid(1)), '0020000E': text('UI', uid(2)), '00200010': text('SH', `${number % 1000}`), '00200011': text('IS', 1 + (number % 3)), '00200013': text('IS', 1 + (number % 300)),
    },
  };
}

/** What the index holds of it. */
export function madeDocuments(tenantId: string, number: number): StudyDocuments {
  const { dataSet } = madeStudy(number);
  const uid = (tag: string): string => String(dataSet[tag]?.Value?.[0]);
  const hex = number.toString(16).padStart(64, '0');
  return buildStudyDocuments([{
    formatVersion: 1, tenantId, studyInstanceUID: uid('0020000D'), seriesInstanceUID: uid('0020000E'), packId: hex, committedAt: '2026-01-01T00:00:00.000Z', lengthBytes: 600_000,
    origin: { kind: 'dimse', gatewayId: 'gw1', associationId: `made-${number}`, callingAETitle: 'BENCH', calledAETitle: 'PACS', receivedAt: '2026-01-01T00:00:00.000Z' },
    instances: [{ sopInstanceUID: uid('00080018'), sopClassUID: uid('00080016'), transferSyntaxUID: '1.2.840.10008.1.2.1', offsetBytes: 1536, lengthBytes: 526_000, sha256: hex, verdict: 'accepted', attributes: dataSet }],
  }]);
}

const two = (value: number): string => String(value).padStart(2, '0');
/** A step that meets every day before it meets one again. */
const dayOf = (number: number): string => new Date(firstDay + ((number * 611) % days) * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
