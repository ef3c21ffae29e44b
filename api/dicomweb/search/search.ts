import { randomUUID } from 'node:crypto';
import type { DicomJson, JsonAttribute } from '../../../dicom/json.ts';
import { stringifyDicomJson } from '../../../dicom/json.ts';
import { computedAttributes, countedTags, indexedAttributes, textOf } from '../../../domain/indexedAttributes.ts';
import { keywordOfTag } from '../../../dicom/tags.ts';
import type { QueryLevel, StudyIndex } from '../../../stores/ports.ts';
import type { TenantHandler } from '../../context.ts';
import { sendStream } from '../../stream.ts';
import { negotiateDataSets } from '../accept.ts';
import { alwaysReturned, instanceAvailability, inUTF8, retrieveURL, retrieveURLOf, returnedByDefault, specificCharacterSet } from '../attributes.ts';
import { multipartContentType, multipartEnd } from '../multipart.ts';
import { uidParameter } from '../parameters.ts';
import { parseSearchQuery, type SearchQuery } from './searchQuery.ts';
import { xmlMediaType, xmlPart } from '../xmlPart.ts';

/**
 * QIDO-RS (PS3.18 10.6) for one kind of resource.
 *
 * @param level what is searched for
 * @param returned the levels whose attributes are returned by default: those that the path does not name
 */
export const createSearch = (deps: { readonly index: Pick<StudyIndex, 'search' | 'countsOf'> }, level: QueryLevel, returned: readonly QueryLevel[]): TenantHandler =>
  async function search(context, request, response) {
    const { tenantId, tenantUrl, query } = context;
    const contentType = negotiateDataSets(request, query);
    const studyInstanceUID = uidParameter(request, 'study');
    const seriesInstanceUID = uidParameter(request, 'series');
    const asked = parseSearchQuery(query);

    const { matches, total } = await deps.index.search({
      tenantId, level, match: asked.match, options: asked.options, limit: asked.limit, offset: asked.offset, reader: context.subject,
      ...(studyInstanceUID === undefined ? {} : { studyInstanceUID }), ...(seriesInstanceUID === undefined ? {} : { seriesInstanceUID }),
    });

    for (const warning of warningsOf(asked, matches.length, total)) response.append('Warning', `299 pacs "${warning}"`);
    if (matches.length === 0) return void response.status(204).end();
    const dicomWeb = `${tenantUrl}/dicom-web`;
    const keep = keptTags(level, returned, asked.include);
    const whole = level === 'instances' && (keep === 'all' || countedTags.some((tag) => keep.has(tag))) ? await withCounts(deps.index, tenantId, matches) : matches;
    const answers = whole.map((match) => ({ dataSet: answerOf(match, level, dicomWeb, keep), url: retrieveURLOf(dicomWeb, level, match) }));
    const boundary = randomUUID();
    response.vary('Accept');
    await sendStream(context, response, { status: 200, text: true, headers: { 'Content-Type': contentType === xmlMediaType ? multipartContentType(boundary, xmlMediaType) : contentType } },
      contentType === xmlMediaType ? xmlParts(answers, boundary) : jsonArray(answers));
  };

/** Documents of instances lack what changes with every other instance of their series and study. */
async function withCounts(index: Pick<StudyIndex, 'countsOf'>, tenantId: string, matches: readonly DicomJson[]): Promise<readonly DicomJson[]> {
  const series = new Map(matches.map((match) => [textOf(match, '0020000E') ?? '', { studyInstanceUID: textOf(match, '0020000D') ?? '', seriesInstanceUID: textOf(match, '0020000E') ?? '' }]));
  const counts = await index.countsOf(tenantId, [...series.values()]);
  return matches.map((match) => ({ ...match, ...counts.get(textOf(match, '0020000E') ?? '') }));
}

interface Answer { readonly dataSet: DicomJson; readonly url: string }

async function* jsonArray(answers: readonly Answer[]): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`[${answers.map(({ dataSet }) => stringifyDicomJson(dataSet)).join(',')}]`);
}

async function* xmlParts(answers: readonly Answer[], boundary: string): AsyncGenerator<Uint8Array> {
  yield Buffer.concat([...answers.map(({ dataSet, url }, index) => xmlPart(boundary, dataSet, url, index === 0)), multipartEnd(boundary)]);
}

function keptTags(level: QueryLevel, returned: readonly QueryLevel[], include: SearchQuery['include']): ReadonlySet<string> | 'all' {
  if (include === 'all') return 'all';
  return new Set([...returned.flatMap((each) => returnedByDefault[each]), ...alwaysReturned[level], ...include]);
}

function answerOf(match: DicomJson, level: QueryLevel, dicomWeb: string, keep: ReadonlySet<string> | 'all'): DicomJson {
  const online: Record<string, JsonAttribute> = level === 'series' ? {} : { [instanceAvailability]: { vr: 'CS', Value: ['ONLINE'] } };
  const charset = match[specificCharacterSet] === undefined ? {} : { [specificCharacterSet]: inUTF8 };
  const all: DicomJson = { ...match, ...charset, ...online, [retrieveURL]: { vr: 'UR', Value: [retrieveURLOf(dicomWeb, level, match)] } };
  return keep === 'all' ? all : Object.fromEntries(Object.entries(all).filter(([tag]) => keep.has(tag)));
}

const returnable: ReadonlySet<string> = new Set([...indexedAttributes, ...computedAttributes].map(({ tag }) => tag).concat(instanceAvailability, retrieveURL));

function warningsOf({ offset, include }: SearchQuery, given: number, total: number): readonly string[] {
  const remaining = total - offset - given;
  const unknown = include === 'all' ? [] : [...include].filter((tag) => !returnable.has(tag)).map((tag) => keywordOfTag(tag) ?? tag);
  return [
    ...(given > 0 && remaining > 0 ? [`There are ${remaining} additional results that can be requested`] : []),
    ...(unknown.length > 0 ? [`The following includefield values are not supported: ${unknown.slice(0, 50).join(', ')}`] : []),
  ];
}
