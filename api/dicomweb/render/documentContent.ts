import { isDataSet, type DicomJson, type JsonAttribute, type JsonValue } from '../../../dicom/json.ts';
import { isSRStorage } from '../../../dicom/sopClasses.ts';
import type { FoundInstance, ImageDeps } from '../retrieve/imageSource.ts';
import { readBytes } from '../retrieve/imageSource.ts';
import { placeOf } from '../retrieve/metadata.ts';

/** An instance that is no image, in the form a person reads. */
export interface DocumentContent {
  readonly type: string;
  read(): Promise<Buffer>;
}

/** Encapsulated documents as they are (PS3.3 A.45), structured reports as plain HTML; undefined for anything else. */
export function documentOf({ archive }: Pick<ImageDeps, 'archive'>, { location, header: { header } }: FoundInstance, signal: AbortSignal): DocumentContent | undefined {
  const encapsulated = header['00420011'];
  if (encapsulated) {
    const place = placeOf(encapsulated);
    const length = firstNumber(header['00420015']);
    return {
      type: documentType(textOf(header['00420012'])),
      read: async () => {
        const bytes = place ? await readBytes(archive, location, place.offsetBytes, place.lengthBytes, signal) : Buffer.from(encapsulated.InlineBinary ?? '', 'base64');
        return length === undefined ? bytes : bytes.subarray(0, length);
      },
    };
  }
  return isSRStorage(location.sopClassUID) ? { type: 'text/html', read: async () => Buffer.from(htmlOf(header)) } : undefined;
}

const documentType = (stated: string): string => (/^[\w.+-]+\/[\w.+-]+$/.test(stated) ? stated.toLowerCase() : 'application/octet-stream');

const firstNumber = (attribute: JsonAttribute | undefined): number | undefined => (typeof attribute?.Value?.[0] === 'number' ? attribute.Value[0] : undefined);

const textOf = (attribute: JsonAttribute | undefined): string => (attribute?.Value ?? []).map(plain).join(', ');

function plain(value: JsonValue): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  return value !== null && 'Alphabetic' in value && typeof value.Alphabetic === 'string' ? value.Alphabetic : '';
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const itemsOf = (attribute: JsonAttribute | undefined): readonly DicomJson[] => (attribute?.Value ?? []).filter((item) => isDataSet(item)) as readonly DicomJson[];

const meaning = (code: JsonAttribute | undefined): string => textOf(itemsOf(code)[0]?.['00080104']);

/** Content items may be nested so deeply that no page shows it. */
const maxDepth = 32;

/** The content tree of a structured report (PS3.3 C.17.3), each item with its concept name and value. */
function htmlOf(header: DicomJson): string {
  const title = meaning(header['0040A043']) || 'Structured report';
  return `<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>${escaped(title)}</title></head><body><h1>${escaped(title)}</h1>${contentList(header, 1)}</body></html>\n`;
}

const contentList = (parent: DicomJson, depth: number): string => {
  const items = depth > maxDepth ? [] : itemsOf(parent['0040A730']);
  return items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${contentItem(item)}${contentList(item, depth + 1)}</li>`).join('')}</ul>`;
};

function contentItem(item: DicomJson): string {
  const name = meaning(item['0040A043']);
  const measured = itemsOf(item['0040A300'])[0];
  const number = measured && `${textOf(measured['0040A30A'])} ${textOf(itemsOf(measured['004008EA'])[0]?.['00080100'])}`;
  const value = number ?? ([meaning(item['0040A168']), ...['0040A160', '0040A123', '0040A121', '0040A122', '0040A120', '0040A124'].map((tag) => textOf(item[tag]))].find((text) => text !== '') ?? '');
  return `${name === '' ? '' : `<b>${escaped(name)}:</b> `}${escaped(value)}`;
}
