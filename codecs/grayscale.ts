import type { DicomJson, JsonAttribute } from '../dicom/json.ts';
import type { ImagePixel } from '../dicom/imagePixel.ts';

/** A VOI transformation that a client asks for (PS3.18 8.3.5.1.4). */
export interface Window {
  readonly center: number;
  readonly width: number;
  readonly function: 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID';
}

/** Bytes of a value that the header names by its place in the file. */
export type ReadBulk = (attribute: JsonAttribute | undefined) => Buffer | undefined;

type Transform = (value: number) => number;

/**
 * From stored value to 8 bits of display: Modality LUT or rescale (PS3.3 C.11.1), VOI LUT or window (C.11.2.1), and
 * inversion for MONOCHROME1. Without any window, from the least to the greatest value of the frame.
 *
 * @param values the frame's stored values, padding included
 */
export function displayOf(frame: FrameAttributes, pixel: ImagePixel, values: ArrayLike<number>, asked: Window | undefined): Transform {
  const modality = modalityTransform(frame);
  const voi = asked ? windowed(asked) : voiTransform(frame) ?? fullRange(frame, values, modality);
  const inverted = pixel.photometricInterpretation === 'MONOCHROME1' || text(frame.top['20500020']) === 'INVERSE';
  return (stored) => {
    const shown = Math.min(255, Math.max(0, voi(modality(stored))));
    return Math.round(inverted ? 255 - shown : shown);
  };
}

/** Where the attributes of one frame are: in its functional groups (PS3.3 C.7.6.16.2), or in the data set itself. */
export interface FrameAttributes {
  readonly top: DicomJson;
  readonly rescale: DicomJson;
  readonly voi: DicomJson;
  readonly bulk: ReadBulk;
}

/** @param frame from 1 */
export function frameAttributes(header: DicomJson, frame: number, bulk: ReadBulk): FrameAttributes {
  const shared = item(header['52009229']);
  const own = item(header['52009230'], frame - 1);
  const group = (tag: string): DicomJson => item(own?.[tag]) ?? item(shared?.[tag]) ?? header;
  return { top: header, rescale: group('00289145'), voi: group('00289132'), bulk };
}

const item = (attribute: JsonAttribute | undefined, at = 0): DicomJson | undefined => {
  const value = attribute?.Value?.[at];
  return typeof value === 'object' && value !== null ? (value as DicomJson) : undefined;
};
const numberAt = (attribute: JsonAttribute | undefined, at = 0): number | undefined => {
  const value = attribute?.Value?.[at];
  return typeof value === 'number' ? value : undefined;
};
const text = (attribute: JsonAttribute | undefined): string | undefined => {
  const value = attribute?.Value?.[0];
  return typeof value === 'string' ? value : undefined;
};

function modalityTransform({ rescale, bulk }: FrameAttributes): Transform {
  const lut = item(rescale['00283000']);
  const table = lut && lookupTable(lut, bulk);
  if (table) return table.at;
  const slope = numberAt(rescale['00281053']) ?? 1;
  const intercept = numberAt(rescale['00281052']) ?? 0;
  return (stored) => stored * slope + intercept;
}

function voiTransform({ voi, bulk }: FrameAttributes): Transform | undefined {
  const lut = item(voi['00283010']);
  const table = lut && lookupTable(lut, bulk);
  if (table) return (value) => (table.at(value) * 255) / table.greatest;
  const center = numberAt(voi['00281050']);
  const width = numberAt(voi['00281051']);
  const name = text(voi['00281056']) ?? 'LINEAR';
  if (center === undefined || width === undefined || width <= 0) return undefined;
  return windowed({ center, width, function: name === 'SIGMOID' || name === 'LINEAR_EXACT' ? name : 'LINEAR' });
}

/** PS3.3 C.11.2.1.2 and C.11.2.1.3, to 0 … 255. */
export function windowed({ center, width, function: kind }: Window): Transform {
  if (kind === 'SIGMOID') return (value) => 255 / (1 + Math.exp((-4 * (value - center)) / width));
  if (kind === 'LINEAR_EXACT') return (value) => ((value - center) / width + 0.5) * 255;
  if (width <= 1) return (value) => (value <= center - 0.5 ? 0 : 255);
  return (value) => ((value - (center - 0.5)) / (width - 1) + 0.5) * 255;
}

function fullRange({ top }: FrameAttributes, values: ArrayLike<number>, modality: Transform): Transform {
  const padding = numberAt(top['00280120']);
  const limit = numberAt(top['00280121']) ?? padding;
  const isPadding = (value: number): boolean => padding !== undefined && limit !== undefined && value >= Math.min(padding, limit) && value <= Math.max(padding, limit);
  let [least, greatest] = [Infinity, -Infinity];
  for (let at = 0; at < values.length; at++) {
    const stored = values[at]!;
    if (isPadding(stored)) continue;
    const value = modality(stored);
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  const span = greatest - least;
  return (value) => (span > 0 ? ((value - least) * 255) / span : 0);
}

interface Table {
  readonly at: Transform;
  readonly greatest: number;
}

/** A LUT of PS3.3 C.11.1.1: number of entries (0 is 65536), first value mapped, bits of an entry; then the entries. */
function lookupTable(lut: DicomJson, bulk: ReadBulk): Table | undefined {
  const descriptor = lut['00283002']?.Value;
  const [count = 0, first = 0, bits = 16] = (descriptor ?? []).map((value) => (typeof value === 'number' ? value : 0));
  const entries = entriesOf(lut['00283006'], count === 0 ? 65536 : count, bits, bulk);
  if (!entries || entries.length === 0) return undefined;
  const last = entries.length - 1;
  return { at: (value) => entries[Math.min(last, Math.max(0, Math.round(value) - first))] ?? 0, greatest: 2 ** bits - 1 };
}

/** Entries as numbers, bytes, or words in binary; 8-bit entries may come one or two in a word (PS3.3 C.11.1.1.1). */
export function entriesOf(attribute: JsonAttribute | undefined, count: number, bits: number, bulk: ReadBulk): ArrayLike<number> | undefined {
  if (attribute?.Value) return attribute.Value.map((value) => (typeof value === 'number' ? value : 0)).slice(0, count);
  const bytes = attribute?.InlineBinary === undefined ? bulk(attribute) : Buffer.from(attribute.InlineBinary, 'base64');
  if (!bytes) return undefined;
  if (bits <= 8 && bytes.length < count * 2) return bytes.subarray(0, count);
  return new Uint16Array(new Uint8Array(bytes).buffer, 0, Math.min(count, Math.floor(bytes.length / 2)));
}
