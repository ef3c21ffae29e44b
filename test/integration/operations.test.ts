import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { studyWorkflowId } from '../../workflows/ids.ts';
import { storeInstances } from '../../edge-gateway/scu/store.ts';
import { aUID } from '../support/aStudy.ts';
import { runPeer } from '../support/peers.ts';
import { ctInstances } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

const root = path.resolve(import.meta.dirname, '../..');
const commands = [...readFileSync(path.join(root, 'docs/operations.md'), 'utf8').matchAll(/^```sh run\n(.*?)^```/gms)].flatMap(([, block]) => block!.trim().split('\n'));

describe('the commands of docs/operations.md', function () {
  this.timeout(300_000);
  const pacs = sharedPacs();

  it('run as they are written', async () => {
    const { stack, api, tenantId } = pacs();
    const study = aUID();
    const { host, port, aeTitle } = stack.urls.dicom;
    await Array.fromAsync(storeInstances({ host, port, calledAETitle: aeTitle, callingAETitle: 'CT1' }, ctInstances({ study, count: 2, pixelBytes: 32 })));
    await eventually('the study is stable', async () => (await api.history(study)).some(({ action }) => action === 'study.stable'));
    await api.configure(() => ({ destinations: [{ kind: 'dicomweb', destinationId: 'ws1', url: 'http://127.0.0.1:9/dicom-web' }], rules: [] }));
    const values = { TENANT: tenantId, STUDY: study, FLOW: studyWorkflowId(tenantId, study), TOKEN: api.token, API: stack.urls.api, PACS_HOME: stack.home, TEMPORAL_ADDRESS: stack.urls.temporalAddress };
    const environment = Object.entries(values).map(([name, value]) => `export ${name}='${value}'`).join('\n');

    assert.ok(commands.length >= 15);
    for (const command of commands) {
      const { code, output } = await runPeer('bash', ['-c', `cd '${root}'\n${environment}\n${command.replaceAll('curl -sS', 'curl -sS --fail-with-body')}`]);
      assert.equal(code, 0, `${command}\n${output}`);
    }
  });
});
