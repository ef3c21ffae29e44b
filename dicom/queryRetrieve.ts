import { tagOf } from './tags.ts';

/** Query/Retrieve Level (0008,0052), from the top (PS3.4 C.3). */
export const queryRetrieveLevels = ['PATIENT', 'STUDY', 'SERIES', 'IMAGE'] as const;
export type QueryRetrieveLevel = (typeof queryRetrieveLevels)[number];
export type QueryRetrieveOperation = 'find' | 'move' | 'get';

/** A Query/Retrieve SOP Class (PS3.4 Tables C.6.1.3-1 and C.6.2.3-1). */
export interface QueryRetrieveClass {
  readonly uid: string;
  readonly name: string;
  readonly operation: QueryRetrieveOperation;
  readonly levels: readonly QueryRetrieveLevel[];
}

const patientRoot = queryRetrieveLevels;
const studyRoot = queryRetrieveLevels.slice(1);
const row = (uid: string, name: string, operation: QueryRetrieveOperation, levels: readonly QueryRetrieveLevel[]): QueryRetrieveClass => ({ uid, name, operation, levels });

export const queryRetrieveClasses: readonly QueryRetrieveClass[] = [
  row('1.2.840.10008.5.1.4.1.2.1.1', 'Patient Root Query/Retrieve Information Model - FIND', 'find', patientRoot),
  row('1.2.840.10008.5.1.4.1.2.1.2', 'Patient Root Query/Retrieve Information Model - MOVE', 'move', patientRoot),
  row('1.2.840.10008.5.1.4.1.2.1.3', 'Patient Root Query/Retrieve Information Model - GET', 'get', patientRoot),
  row('1.2.840.10008.5.1.4.1.2.2.1', 'Study Root Query/Retrieve Information Model - FIND', 'find', studyRoot),
  row('1.2.840.10008.5.1.4.1.2.2.2', 'Study Root Query/Retrieve Information Model - MOVE', 'move', studyRoot),
  row('1.2.840.10008.5.1.4.1.2.2.3', 'Study Root Query/Retrieve Information Model - GET', 'get', studyRoot),
];

export const queryRetrieveClass = (uid: string): QueryRetrieveClass | undefined => queryRetrieveClasses.find((each) => each.uid === uid);
export const classesOf = (operation: QueryRetrieveOperation): readonly QueryRetrieveClass[] => queryRetrieveClasses.filter((each) => each.operation === operation);

/** The attribute that names an entity of each level (PS3.4 C.3.2). */
export const uniqueKeys: Readonly<Record<QueryRetrieveLevel, string>> = {
  PATIENT: tagOf('PatientID'), STUDY: tagOf('StudyInstanceUID'), SERIES: tagOf('SeriesInstanceUID'), IMAGE: tagOf('SOPInstanceUID'),
};

/** Elements of an identifier that say how, and not what, is asked (PS3.4 C.4.1.1.3.1, C.2.2.2.1). */
export const queryControls = {
  specificCharacterSet: tagOf('SpecificCharacterSet'), level: tagOf('QueryRetrieveLevel'), view: tagOf('QueryRetrieveView'),
  retrieveAETitle: tagOf('RetrieveAETitle'), instanceAvailability: tagOf('InstanceAvailability'), timezone: tagOf('TimezoneOffsetFromUTC'),
} as const;
