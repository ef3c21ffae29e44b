import assert from 'node:assert/strict';
import { bundleWorkflows } from '../../../workers/workflowBundle.ts';

describe('The workflow bundle', () => {
  it('comes from a process of its own, with every workflow in it', async function () {
    this.timeout(60_000);
    const before = process.memoryUsage().rss;
    const bundle = await bundleWorkflows();
    assert.ok('code' in bundle);
    for (const name of ['ingestAssociation', 'studyLifecycle', 'routeStudy', 'sweepTenant']) assert.match(bundle.code, new RegExp(`function ${name}\\b`));
    assert.ok(process.memoryUsage().rss - before < 100e6, 'webpack ran in this process');
  });
});
