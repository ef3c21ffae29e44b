import type { DicomJson } from '../dicom/json.ts';
import type { InstanceLocationFields } from './instance.ts';

/** The documents of one study at the three levels: what the index holds of it. */
export interface StudyDocuments {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly study: LevelDocument & { readonly summary: StudySummary };
  readonly series: readonly (LevelDocument & { readonly seriesInstanceUID: string })[];
  readonly instances: readonly (LevelDocument & InstanceLocationFields)[];
}

/** `attributes` is what QIDO-RS and C-FIND match and return at this level, levels above included. */
export interface LevelDocument {
  readonly attributes: DicomJson;
}

/** What a study's packs hold in all. */
export interface StudySummary {
  readonly seriesCount: number;
  /** Current instances. */
  readonly instanceCount: number;
  readonly quarantinedCount: number;
  readonly duplicateCount: number;
  readonly conflictCount: number;
}
