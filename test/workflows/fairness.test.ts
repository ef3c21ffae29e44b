import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { probeFairness } from '../../workers/fairnessProbe.ts';
import { until } from './site.ts';
import { temporal } from './temporal.ts';

const root = path.resolve(import.meta.dirname, '../..');

describe('fairness between tenants', () => {
  it('is found effective on a server as this project starts it, and nothing of the probe stays', async function effective() {
    this.timeout(60_000);
    const server = await temporal(this);

    assert.equal(await probeFairness(server.client), 'effective');

    await until('no flow of the probe is listed', async () => (await server.client.workflow.count("WorkflowType = 'fairnessProbe'")).count === 0);
  });

  it('is found missing on a server with Temporal\'s defaults', async function ignored() {
    this.timeout(60_000);
    const server = await temporal(this, { fairness: false });

    assert.equal(await probeFairness(server.client), 'ignored');
  });

  it('is asked for by every start of a flow, with its priority', () => {
    const starts = globSync(['api/**/*.ts', 'activities/**/*.ts', 'edge-gateway/**/*.ts', 'workflows/**/*.ts', 'infra/**/*.ts', 'workers/**/*.ts'], { cwd: root })
      .map((file) => ({ file, text: readFileSync(path.join(root, file), 'utf8') }))
      .filter(({ text }) => /workflow\.(?:start|execute)\b|signalWithStart\(|startChild\b.*\(|executeChild|new WithStartWorkflowOperation/.test(text));

    assert.ok(starts.length >= 5);
    assert.deepEqual(starts.filter(({ text }) => !/fairnessKey: /.test(text)).map(({ file }) => file), []);
    assert.deepEqual(starts.filter(({ file, text }) => !file.endsWith('fairnessProbe.ts') && !/priorityKey: /.test(text)).map(({ file }) => file), []);
  });
});
