import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { frameMediaTypes } from '../api/dicomweb/retrieve/frameTypes.ts';
import { codecRows } from '../codecs/syntaxes.ts';
import { isRetiredSopClass, storageSopClasses } from '../dicom/sopClasses.ts';
import { classesOf } from '../dicom/queryRetrieve.ts';
import { transferSyntax, transferSyntaxes } from '../dicom/transferSyntaxes.ts';
import { computedAttributes, instanceLevel, seriesLevel, studyLevel } from '../domain/indexedAttributes.ts';
import { extensionNames, extensions, offered } from '../edge-gateway/services/queryRetrieve.ts';
import { searchableTags } from '../stores/opensearch/searchClauses.ts';

export const statementFile = path.resolve(import.meta.dirname, '..', 'docs', 'conformance-statement.md');

/** The tables of the conformance statement that follow from code, by the name of their marker. */
const tables: Readonly<Record<string, () => readonly string[]>> = {
  'storage-sop-classes': () => [
    '| SOP Class | UID |', '| --- | --- |',
    ...Object.entries(storageSopClasses).map(([uid, name]) => `| ${name}${isRetiredSopClass(uid) ? ' (retired)' : ''} | ${uid} |`),
  ],
  'transfer-syntaxes': () => [
    '| Transfer Syntax | UID |', '| --- | --- |',
    ...[...transferSyntaxes.values()].filter(({ negotiable }) => negotiable).map(({ uid, name, retired }) => `| ${name}${retired ? ' (retired)' : ''} | ${uid} |`),
  ],
  'transcoding': () => [
    '| Transfer Syntax | UID | decoded | encoded (without loss, verified) |', '| --- | --- | --- | --- |',
    ...codecRows.map(({ transferSyntaxUID: uid, decodes, encodes }) => `| ${transferSyntax(uid)?.name ?? uid} | ${uid} | ${decodes ? 'yes' : 'no'} | ${encodes ? 'yes' : 'no'} |`),
  ],
  'frame-media-types': () => [
    '| media type of frames | transfer syntaxes, the default first |', '| --- | --- |',
    '| application/octet-stream | 1.2.840.10008.1.2.1; with `*` as stored |',
    ...Object.entries(frameMediaTypes).map(([type, uids]) => `| ${type} | ${uids.join(', ')} |`),
  ],
  'query-retrieve-sop-classes': () => [
    '| SOP Class | UID |', '| --- | --- |',
    ...offered.flatMap(classesOf).map(({ name, uid }) => `| ${name} | ${uid} |`),
  ],
  'query-retrieve-extensions': () => [
    '| byte | C-FIND | answered | C-GET, C-MOVE | answered |', '| --- | --- | --- | --- | --- |',
    ...extensionNames.find.map((name, index) => `| ${index + 1} | ${name} | ${extensions.find[index]} | ${extensionNames.retrieve[index] ?? ''} | ${extensions.get[index] ?? ''} |`),
  ],
  'query-keys': () => [
    '| key | tag | study | series | image |', '| --- | --- | --- | --- | --- |',
    ...[...studyLevel, ...seriesLevel, ...instanceLevel, ...computedAttributes].map(({ keyword, tag }) =>
      `| ${keyword} | (${tag.slice(0, 4)},${tag.slice(4)}) | ${(['studies', 'series', 'instances'] as const).map((level) => (searchableTags[level].has(tag) ? 'yes' : '–')).join(' | ')} |`),
  ],
};

/** The statement with each table between its markers as the code has it now. */
export function withTables(statement: string): string {
  return Object.entries(tables).reduce((text, [name, rows]) =>
    text.replace(new RegExp(`(<!-- table: ${name} -->\n)[^]*?(<!-- end -->)`), (_, begin: string, end: string) => `${begin}${rows().join('\n')}\n${end}`), statement);
}

if (import.meta.main) writeFileSync(statementFile, withTables(readFileSync(statementFile, 'utf8')));
