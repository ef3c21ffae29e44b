import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { DeterminismViolationError } from '@temporalio/workflow';
import { DefaultLogger, Worker, bundleWorkflowCode, type WorkflowBundle } from '@temporalio/worker';
import { silence } from '../workflows/silence.ts';

const root = path.resolve(import.meta.dirname, '../..');
const folder = path.join(import.meta.dirname, 'histories');
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
const textOf = (file: string): string => readFileSync(path.join(folder, file), 'utf8');

describe('recorded histories', () => {
  let workflowBundle: WorkflowBundle;
  before(async function bundle() {
    this.timeout(60_000);
    silence();
    workflowBundle = await bundleWorkflowCode({ workflowsPath: path.join(root, 'workflows/index.ts'), logger: new DefaultLogger('ERROR') });
  });
  const replay = (history: string, workflowId: string) => Worker.runReplayHistory({ workflowBundle }, JSON.parse(history), workflowId);

  for (const file of files) it(`replays ${file}`, () => replay(textOf(file), file));

  it('are there for every workflow', () => {
    const workflows = [...readFileSync(path.join(root, 'workflows/index.ts'), 'utf8').matchAll(/export \{ (\w+) \}/g)].map(([, name]) => name!);

    assert.deepEqual(workflows.filter((name) => !files.some((file) => file.startsWith(`${name}-`))), []);
  });

  it('are of no use when a step is another: the replay says so', async () => {
    const file = files.find((name) => name.startsWith('ingestAssociation-parked'))!;

    await assert.rejects(replay(textOf(file).replaceAll('"archivePack"', '"archivedPack"'), file), (error) => error instanceof DeterminismViolationError || /TMPRL1100|nondeterminis/i.test(String(error)));
  });

  it('are small and name no machine', () => {
    for (const file of files) {
      const text = textOf(file);
      assert.ok(text.length < 150_000, `${file} has ${text.length} characters`);
      const decoded = text.replace(/"data":"([A-Za-z0-9+/=]+)"/g, (_, data: string) => Buffer.from(data, 'base64').toString('utf8'));
      assert.doesNotMatch(decoded, /stackTrace|file:\/\/|node_modules|\d+@[\w-]/, file);
    }
  });
});
