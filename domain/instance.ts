import type { DicomJson } from '../dicom/json.ts';
import type { StudyChoice } from './choice.ts';

/** One Part 10 file inside a pack: who it is and where its bytes lie. */
export interface PackedInstance {
  readonly sopInstanceUID: string;
  readonly sopClassUID: string;
  readonly transferSyntaxUID: string;
  /** Of the Part 10 file's first byte (its preamble) in the tar, not of the tar header before it. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Lower-case hex, of the whole Part 10 file: what `sha256sum` prints after `tar x`. */
  readonly sha256: string;
}

/**
 * One line of `<packId>.headers.json.gz`: the instance and its data set without bulk data.
 * `unreadable` stands in for the header when the data set cannot be parsed.
 */
export interface InstanceHeader extends PackedInstance {
  /** DICOM JSON Model (PS3.18 Annex F) of the data set up to Pixel Data; values over 1 KiB of bulk VRs are left out. */
  readonly header: DicomJson;
  /** What an operator reads when parsing stopped; no attribute values in it. */
  readonly unreadable?: string;
  /** The Pixel Data element, absent when the instance has none. */
  readonly pixelData?: PixelDataLocation;
}

/** Where Pixel Data lies, counted from the start of the Part 10 file. */
export interface PixelDataLocation {
  /** Of the first byte of the value: pixels when native, the Basic Offset Table's item when encapsulated. */
  readonly offsetBytes: number;
  /** Of the value; -1 when the data set ends before Pixel Data's declared end. */
  readonly lengthBytes: number;
  readonly encapsulated: boolean;
  /**
   * Encapsulated only: for every frame its fragments as [offset, length] pairs, item headers excluded (PS3.5 A.4).
   * Native frames are found by arithmetic (rows × columns × samples × bits). Absent when the fragments tell no frames apart.
   */
  readonly frames?: readonly (readonly [offsetBytes: number, lengthBytes: number])[][];
}

export type Verdict = 'accepted' | 'quarantined' | 'duplicate' | 'conflict';

/** One entry of a pack's index: the verdict that archivePack committed for an instance. */
export interface IndexedInstance extends PackedInstance {
  readonly verdict: Verdict;
  /** A sentence for an admin; set unless accepted. Names attributes, never their values (UIDs excepted). */
  readonly reason?: string;
  /** Set for a conflict with an instance of another study or series. */
  readonly conflictsWith?: { readonly studyInstanceUID: string; readonly seriesInstanceUID: string };
  /** The choice that counts for this SOP Instance UID. Laid over when a study's indexes are read; no pack's index holds it. */
  readonly choice?: StudyChoice;
  /** The attributes that QIDO-RS and C-FIND match and return (domain/indexedAttributes.ts). Empty when quarantined. */
  readonly attributes: DicomJson;
}

/** What an instance document says of the bytes' place, beside its attributes. */
export interface InstanceLocationFields extends PackedInstance {
  readonly seriesInstanceUID: string;
  readonly packId: string;
  readonly committedAt: string;
}
