import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { statementFile, withTables } from '../infra/generateConformance.ts';
import { status } from '../dicom/status.ts';

const root = path.resolve(import.meta.dirname, '..');

/** What a folder may import of ours; `type:` allows types alone. Its own folder is always allowed. */
const table: Readonly<Record<string, readonly string[]>> = {
  dicom: [],
  domain: ['dicom'],
  codecs: ['dicom'],
  stores: ['domain', 'dicom'],
  activities: ['domain', 'dicom', 'type:codecs', 'type:stores', 'workflows/contracts.ts', 'workflows/ids.ts'],
  workflows: ['domain', 'dicom', 'type:activities'],
  'edge-gateway': ['dicom', 'domain', 'type:codecs', 'workflows/contracts.ts', 'workflows/ids.ts', 'type:workflows'],
  api: ['dicom', 'domain', 'codecs', 'stores', 'workflows/contracts.ts', 'workflows/ids.ts', 'type:workflows'],
  workers: ['dicom', 'domain', 'codecs', 'stores', 'activities', 'workflows', 'edge-gateway'],
};

interface Import { readonly file: string; readonly target: string; readonly typeOnly: boolean }

describe('the tree', () => {
  for (const [folder, allowed] of Object.entries(table)) {
    it(`${folder}/ imports only what the table allows`, () => {
      const wrong = importsOf(folder).filter(({ target, typeOnly }) => target.startsWith('/') && !isAllowed(folder, allowed, target.slice(1), typeOnly));

      assert.deepEqual(wrong.map(({ file, target }) => `${file} imports ${target}`), []);
    });
  }

  it('dicom/ and domain/ are pure: no node: modules, no packages, no clock', () => {
    const pure = [...importsOf('dicom'), ...importsOf('domain')].filter(({ file }) => !file.startsWith('dicom/part10/'));
    const clocks = [...filesOf('dicom'), ...filesOf('domain')].filter((file) => !file.startsWith('dicom/part10/') && /\bDate\.now\(|new Date\(\)|Math\.random\(/.test(read(file)));

    assert.deepEqual(pure.filter(({ target }) => !target.startsWith('/')).map(({ file, target }) => `${file} imports ${target}`), []);
    assert.deepEqual(clocks, []);
  });

  it('workflows/ import no header reader and no node: module', () => {
    const wrong = importsOf('workflows').filter(({ target }) => target.startsWith('/dicom/part10') || target.startsWith('node:'));

    assert.deepEqual(wrong, []);
  });

  it('each process reads its environment in its config.ts alone', () => {
    const readers = ['edge-gateway', 'api', 'workers', 'stores', 'activities', 'workflows', 'domain', 'dicom'].flatMap(filesOf)
      .filter((file) => /process\.env(?!\[?\.?'?UV_THREADPOOL_SIZE)/.test(read(file)) && !/\/(main|config)\.ts$/.test(file));

    assert.deepEqual(readers, []);
  });

  it('infra/env.example lists the variables that the processes read, and no other', () => {
    const configs = ['edge-gateway/config.ts', 'api/config.ts', 'workers/config.ts', 'infra/config.ts', 'stores/bootstrap.ts'];
    const used = new Set(configs.flatMap((file) => [...read(file).matchAll(/['"`[]((?:PACS|AWS|S3|TEMPORAL|OPENSEARCH)_[A-Z0-9_]+)['"`\]]/g)].map((match) => match[1]!)));
    const listed = new Set([...read('infra/env.example').matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1]!));

    assert.deepEqual([...used].filter((name) => !listed.has(name)).toSorted(), [], 'read but not listed');
    assert.deepEqual([...listed].filter((name) => !used.has(name)).toSorted(), [], 'listed but not read');
  });

  it('the conformance statement has the tables of dicom/', () => {
    const statement = readFileSync(statementFile, 'utf8');

    assert.equal(withTables(statement), statement, 'run: node infra/generateConformance.ts');
  });

  it('the conformance statement lists every status that the services answer', () => {
    const statement = readFileSync(statementFile, 'utf8');
    const answered = [...filesOf('edge-gateway/services').map(read).join('\n').matchAll(/\bstatus\.([a-zA-Z]+)\b/g)].map((match) => match[1] as keyof typeof status)
      .filter((name) => Object.hasOwn(status, name));

    const missing = [...new Set(answered)].filter((name) => !statement.includes(`| ${status[name].toString(16).toUpperCase().padStart(4, '0')} |`));

    assert.deepEqual(missing, []);
  });
});

function isAllowed(folder: string, allowed: readonly string[], target: string, typeOnly: boolean): boolean {
  if (target.startsWith(`${folder}/`)) return true;
  return allowed.some((rule) => {
    const name = rule.replace(/^type:/, '');
    return (target === name || target.startsWith(`${name}/`)) && (typeOnly || !rule.startsWith('type:'));
  });
}

const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const filesOf = (folder: string): readonly string[] =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).map((file) => `${folder}/${file}`);

/** Every import of a folder; a target of ours as `/folder/file.ts`, a package by its name. */
function importsOf(folder: string): readonly Import[] {
  return filesOf(folder).flatMap((file) =>
    [...read(file).matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+'([^']+)'|^import\s+'([^']+)'|import\('([^']+)'\)/gm)].map((match) => {
      const specifier = (match[2] ?? match[3] ?? match[4])!;
      const target = specifier.startsWith('.') ? `/${path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier))}` : specifier;
      return { file, target, typeOnly: match[1] !== undefined };
    }));
}
