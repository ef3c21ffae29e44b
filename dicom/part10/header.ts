import type { DicomJson, JsonAttribute } from '../json.ts';
import { bulkDataURI, ElementReader, isPixelData, NeedBytes, type ReadElement, type ReadLimits } from './elementReader.ts';
import { encodingOf, jsonKey, tagText } from './encoding.ts';
import { maxFileMetaBytes, parseFileMeta, PartTenError, type FileMeta } from './fileMeta.ts';
import { locateFrames, type PixelDataLocation, type ValueLocation } from './frames.ts';
import { InflatedSource, Unreadable, type ByteSource } from './source.ts';

export type { ByteSource } from './source.ts';
export type { PixelDataLocation } from './frames.ts';

/** What may be spent on the header of one instance. */
export interface HeaderLimits extends ReadLimits {
  /** Of the longest top-level element that is held whole, a sequence mostly. */
  readonly elementBytes: number;
  /** Of a deflated data set, inflated, up to Pixel Data. */
  readonly inflatedBytes: number;
}

export const defaultHeaderLimits: HeaderLimits = {
  depth: 64,
  count: 1_000_000,
  elementBytes: 64 * 1024 * 1024,
  inflatedBytes: 256 * 1024 * 1024,
};

export interface InstanceHeaderReading {
  /**
   * The data set up to Pixel Data in the DICOM JSON Model (PS3.18 Annex F), or up to where it became unreadable.
   * File meta and group lengths are left out. A long value has the BulkDataURI `#<offset>,<length>`, its place in bytes
   * from the start of the file (of the inflated data set when the transfer syntax is deflated).
   */
  readonly header: DicomJson;
  /** As the file meta has it; absent when that cannot be read. */
  readonly transferSyntaxUID?: string;
  /** Of the first such element. A deflated one is placed in the inflated data set and never encapsulated. */
  readonly pixelData?: PixelDataLocation;
  /** A sentence without attribute values; set when the bytes are no whole Part 10 file up to Pixel Data. */
  readonly unreadable?: string;
}

const windowBytes = 64 * 1024;

/**
 * Reads the header of one Part 10 file (PS3.10 7) in windows of 64 KiB, wider only where one element needs it; the
 * bytes of long values are not read. Bad bytes end as `unreadable`; only what `source.read` throws is thrown.
 */
export const readInstanceHeader = async (
  source: ByteSource,
  limits: Partial<HeaderLimits> = {},
): Promise<InstanceHeaderReading> => {
  const attributes = new Map<number, JsonAttribute>();
  let meta: FileMeta | undefined;
  let pixelData: PixelDataLocation | undefined;
  let unreadable: string | undefined;
  try {
    const start = await readFileMeta(source);
    meta = start.meta;
    pixelData = await readDataSet(source, start, { ...defaultHeaderLimits, ...limits }, attributes);
  } catch (error) {
    if (!(error instanceof Unreadable || error instanceof PartTenError)) throw error;
    unreadable = error.message;
  }
  return {
    header: dataSetOf(attributes),
    ...(meta === undefined ? {} : { transferSyntaxUID: meta.transferSyntaxUID }),
    ...(pixelData === undefined ? {} : { pixelData }),
    ...(unreadable === undefined ? {} : { unreadable }),
  };
};

/** The first bytes of the file, which mostly hold the header as well, and what its file meta says. */
interface FileStart {
  readonly meta: FileMeta;
  readonly bytes: Buffer;
}

const readFileMeta = async (source: ByteSource): Promise<FileStart> => {
  for (let length = windowBytes; ; length *= 4) {
    const bytes = await source.read(0, Math.min(length, source.lengthBytes));
    const meta = parseFileMeta(bytes);
    if (!('needMore' in meta)) return { meta, bytes };
    if (length >= source.lengthBytes || length > maxFileMetaBytes) {
      throw new Unreadable('The file ends within its File Meta Information.');
    }
  }
};

const readDataSet = async (
  file: ByteSource, { meta, bytes }: FileStart, limits: HeaderLimits, attributes: Map<number, JsonAttribute>,
): Promise<PixelDataLocation | undefined> => {
  const encoding = encodingOf(meta.transferSyntaxUID);
  const reader = new ElementReader(encoding, limits);
  if (!encoding.deflated) {
    const window = new Window(file, reader, limits.elementBytes, bytes);
    return readElements(file, meta.dataSetOffsetBytes, window, attributes);
  }
  const inflated = new InflatedSource(file, meta.dataSetOffsetBytes, limits.inflatedBytes);
  try {
    return await readElements(inflated, 0, new Window(inflated, reader, limits.elementBytes), attributes);
  } finally {
    inflated.close();
  }
};

/** Reads elements up to Pixel Data or the end. The attributes read stay in the map when it throws. */
const readElements = async (
  source: ByteSource, start: number, window: Window, attributes: Map<number, JsonAttribute>,
): Promise<PixelDataLocation | undefined> => {
  const offsetTables = new Map<number, ValueLocation>();
  let at = start;
  for (;;) {
    if (await window.endsAt(at, attributes)) return undefined;
    const element = await window.element(at);
    if (isPixelData(element.tag)) return locatePixelData(source, element, attributes, offsetTables);
    if (element.tag === 0x7fe00001 || element.tag === 0x7fe00002) {
      offsetTables.set(element.tag, { offsetBytes: element.valueOffsetBytes, lengthBytes: element.lengthBytes });
    }
    keep(element, attributes);
    at = element.nextOffsetBytes;
  }
};

/** Of an attribute that comes twice, the first counts. Groups 0000 and 0002 and group lengths are no part of the model. */
const keep = ({ tag, attribute }: ReadElement, attributes: Map<number, JsonAttribute>): void => {
  const group = Math.floor(tag / 0x10000);
  if (attribute === undefined || (tag & 0xffff) === 0 || group === 0 || group === 2 || group === 0xfffe) return;
  if (!attributes.has(tag)) attributes.set(tag, attribute);
};

/** The part of the source that the reader sees. */
class Window {
  readonly #source: ByteSource;
  readonly #reader: ElementReader;
  readonly #maxBytes: number;
  #end = 0;

  /** @param start the first bytes of the source, when they have been read already */
  constructor(source: ByteSource, reader: ElementReader, maxBytes: number, start: Buffer = Buffer.alloc(0)) {
    this.#source = source;
    this.#reader = reader;
    this.#maxBytes = maxBytes;
    this.#show(start, 0);
  }

  /** @throws Unreadable when the last element was longer than what there is, which only a deflated set tells late */
  async endsAt(at: number, attributes: ReadonlyMap<number, JsonAttribute>): Promise<boolean> {
    if (at < this.#end) return false;
    if (at < this.#source.lengthBytes) await this.#move(at, windowBytes);
    if (at < this.#source.lengthBytes) return false;
    if (at === this.#source.lengthBytes) return true;
    throw new Unreadable(`The data set ends in the middle of ${tagText([...attributes.keys()].at(-1) ?? 0)}.`);
  }

  async element(at: number): Promise<ReadElement> {
    for (let lengthBytes = windowBytes; ; lengthBytes *= 2) {
      try {
        return this.#reader.topLevelElement(at);
      } catch (error) {
        if (!(error instanceof NeedBytes)) throw error;
        const neededBytes = error.endOffsetBytes - at;
        if (neededBytes > this.#maxBytes) throw new Unreadable('An element is longer than a header may be.', { cause: error });
        lengthBytes = Math.max(lengthBytes, neededBytes);
        await this.#move(at, Math.min(lengthBytes, this.#maxBytes));
      }
    }
  }

  async #move(at: number, lengthBytes: number): Promise<void> {
    const bytes = await this.#source.read(at, Math.min(lengthBytes, this.#source.lengthBytes - at));
    if (bytes.length < lengthBytes && at + bytes.length < this.#source.lengthBytes) {
      throw new Error('The source gave fewer bytes than it has.');
    }
    this.#show(bytes, at);
  }

  #show(bytes: Buffer, at: number): void {
    this.#reader.setWindow(bytes, at);
    this.#reader.totalBytes = this.#source.lengthBytes;
    this.#end = at + bytes.length;
  }
}

const locatePixelData = async (
  source: ByteSource, element: ReadElement, attributes: Map<number, JsonAttribute>, offsetTables: ReadonlyMap<number, ValueLocation>,
): Promise<PixelDataLocation> => {
  const { tag, vr, valueOffsetBytes: offsetBytes, lengthBytes: declaredBytes } = element;
  const location = await locate(source, offsetBytes, declaredBytes, attributes, offsetTables);
  attributes.set(tag, location.lengthBytes === 0 ? { vr } : { vr, BulkDataURI: bulkDataURI(offsetBytes, location.lengthBytes) });
  return location;
};

const locate = async (
  source: ByteSource, offsetBytes: number, declaredBytes: number,
  attributes: ReadonlyMap<number, JsonAttribute>, offsetTables: ReadonlyMap<number, ValueLocation>,
): Promise<PixelDataLocation> => {
  if (declaredBytes >= 0 || source instanceof InflatedSource) {
    const complete = declaredBytes >= 0 && offsetBytes + declaredBytes <= source.lengthBytes;
    return { offsetBytes, lengthBytes: complete ? declaredBytes : -1, encapsulated: false };
  }
  const offsets = offsetTables.get(0x7fe00001);
  const lengths = offsetTables.get(0x7fe00002);
  const extended = offsets === undefined || lengths === undefined ? undefined : { offsets, lengths };
  const pixels = await locateFrames(source, offsetBytes, frameCountOf(attributes), extended);
  return { offsetBytes, encapsulated: true, ...pixels };
};

/** Number of Frames (0028,0008); 1 when it is absent or no count. */
const frameCountOf = (attributes: ReadonlyMap<number, JsonAttribute>): number => {
  const count = attributes.get(0x00280008)?.Value?.[0];
  return typeof count === 'number' && Number.isInteger(count) && count > 0 ? count : 1;
};

/** Ascending keys, as PS3.18 F.2.2 asks, as far as an object keeps them (see `stringifyDicomJson`). */
const dataSetOf = (attributes: ReadonlyMap<number, JsonAttribute>): DicomJson => {
  const tags = [...attributes.keys()];
  if (tags.some((tag, index) => index > 0 && tag < (tags[index - 1] ?? 0))) tags.sort((a, b) => a - b);
  const dataSet: Record<string, JsonAttribute> = {};
  for (const tag of tags) {
    const attribute = attributes.get(tag);
    if (attribute !== undefined) dataSet[jsonKey(tag)] = attribute;
  }
  return dataSet;
};
