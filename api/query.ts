import { z } from 'zod';
import { stringifyDicomJson, type DicomJson } from '../dicom/json.ts';
import { queryRetrieveLevels, type QueryRetrieveLevel } from '../dicom/queryRetrieve.ts';
import { textOf } from '../domain/indexedAttributes.ts';
import type { MatchKey, QueryLevel, StudyIndex } from '../stores/ports.ts';
import { searchableTags } from '../stores/opensearch/searchClauses.ts';
import type { TenantHandler } from './context.ts';
import { readJson } from './jsonBody.ts';
import { sendStream } from './stream.ts';

/** A query as a gateway hands it on (PS3.4 C.4.1): keys of any level, their values as the identifier has them. */
const querySchema = z.strictObject({
  level: z.enum(queryRetrieveLevels),
  keys: z.array(z.strictObject({
    path: z.array(z.string().regex(/^[0-9A-F]{8}$/)).min(1).max(8),
    values: z.array(z.string().max(4096)).min(1).max(50_000),
  })).max(500),
  options: z.strictObject({ fuzzy: z.boolean(), emptyValue: z.boolean(), multipleValue: z.boolean(), combinedDateTime: z.boolean() }).optional(),
  limit: z.int().min(1).max(10_000_000).optional(),
});
const maxBodyBytes = 4 * 1024 * 1024;

/** Patients are found through their studies. */
const indexLevels: Readonly<Record<QueryRetrieveLevel, QueryLevel>> = { PATIENT: 'studies', STUDY: 'studies', SERIES: 'series', IMAGE: 'instances' };

/**
 * `POST query`: the matches as lines of DICOM JSON, as they are found. Keys that the index is not searched by at that level match
 * everything; the header Pacs-Unmatched names them.
 */
export const createQuery = (deps: { readonly index: Pick<StudyIndex, 'stream'> }): TenantHandler =>
  async function query(context, request, response) {
    const { level, keys, options = {}, limit = Infinity } = await readJson(request, querySchema, maxBodyBytes);
    const isMatched = ({ path }: MatchKey): boolean => searchableTags[indexLevels[level]].has(path[0]!);
    const unmatched = keys.filter((key) => !isMatched(key)).map(({ path }) => path.join('.'));
    const found = deps.index.stream({ tenantId: context.tenantId, level: indexLevels[level], match: keys.filter(isMatched), options });
    const matches = level === 'PATIENT' ? onePerPatient(found) : found;
    await sendStream(context, response, {
      status: 200, headers: { 'Content-Type': 'application/x-ndjson', 'Pacs-Unmatched': unmatched.length > 0 ? unmatched.join(',') : undefined },
    }, lines(first(matches, limit)));
  };

type Found = AsyncIterable<DicomJson>;

/** The newest study of each patient stands for the patient. Holds a few bytes per patient found. */
async function* onePerPatient(studies: Found): AsyncGenerator<DicomJson> {
  const seen = new Set<string>();
  for await (const study of studies) {
    const patient = `${textOf(study, '00100020') ?? ''}\\${textOf(study, '00100021') ?? ''}`;
    if (seen.has(patient)) continue;
    seen.add(patient);
    yield study;
  }
}

async function* first(matches: Found, limit: number): AsyncGenerator<DicomJson> {
  let count = 0;
  for await (const match of matches) {
    yield match;
    if (++count >= limit) return;
  }
}

async function* lines(matches: Found): AsyncGenerator<Uint8Array> {
  for await (const match of matches) yield Buffer.from(`${stringifyDicomJson(match)}\n`);
}
