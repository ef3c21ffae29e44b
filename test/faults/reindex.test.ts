import assert from 'node:assert/strict';
import { Client, Connection } from '@temporalio/client';
import { indexNames } from '../../domain/keys.ts';
import { taskQueues, type ReindexOutcome, type ReindexTenantInput } from '../../workflows/contracts.ts';
import { reindexWorkflowId } from '../../workflows/ids.ts';
import { aUID } from '../support/aStudy.ts';
import { ctInstances, sendUntilItBreaks } from '../support/sender.ts';
import { eventually, startPacs, type Pacs } from '../support/stack.ts';

type Document = { readonly _id: string; readonly _version: number; readonly _source: unknown };

/** Study and series documents are written with every pack; an instance's keeps the version of the pack that brought it. */
const versioned: readonly string[] = [indexNames.studies, indexNames.series];

/** Every document of a tenant's studies and history, by index and ID. */
async function documentsOf({ stack, tenantId }: Pacs): Promise<readonly Document[]> {
  const all: Document[] = [];
  for (const index of Object.values(indexNames)) {
    await fetch(`${stack.urls.opensearch}/${index}/_refresh`, { method: 'POST' });
    const answer = await fetch(`${stack.urls.opensearch}/${index}/_search`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ size: 10_000, version: true, query: { term: { tenantId } } }) });
    const { hits } = await answer.json() as { readonly hits: { readonly hits: readonly Document[] } };
    all.push(...hits.hits.map(({ _id, _version, _source }) => ({ _id: `${index}/${_id}`, _version: versioned.includes(index) ? _version : 0, _source })));
  }
  return all.toSorted((a, b) => (a._id < b._id ? -1 : 1));
}

/** Makes the index lie: one instance's document is gone, and there is a study that the archive does not have. */
async function damage({ stack, tenantId }: Pacs, documents: readonly Document[]): Promise<void> {
  const instance = documents.find(({ _id }) => _id.startsWith(`${indexNames.instances}/`))!;
  const [index, id] = [indexNames.instances, instance._id.slice(indexNames.instances.length + 1)];
  const { _version } = await (await fetch(`${stack.urls.opensearch}/${index}/_doc/${encodeURIComponent(id)}`)).json() as { readonly _version: number };
  const gone = await fetch(`${stack.urls.opensearch}/${index}/_doc/${encodeURIComponent(id)}?version=${_version}&version_type=external_gte`, { method: 'DELETE' });
  const bogus = await fetch(`${stack.urls.opensearch}/${indexNames.studies}/_doc/${encodeURIComponent(`${tenantId}|9.9`)}?version=7&version_type=external`,
    { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ tenantId, studyInstanceUID: '9.9' }) });
  assert.ok(gone.ok && bogus.ok, `${gone.status} ${bogus.status}`);
}

describe('the index is rebuilt from the archive', function () {
  this.timeout(180_000);
  let pacs: Pacs;
  // A PACS of its own: the worker is killed, and nobody else's flows should wait for that.
  before(async () => { pacs = await startPacs(); });
  after(() => pacs?.stop());

  it('with the same documents, though the worker is killed on the way', async () => {
    const { stack, tenantId, api } = pacs;
    const studies = [aUID(), aUID(), aUID()];
    const instances = studies.flatMap((study) => ctInstances({ study, count: 3, pixelBytes: 2_000 }));
    await sendUntilItBreaks(stack.urls.dicom, instances);
    await sendUntilItBreaks(stack.urls.dicom, ctInstances({ study: studies[0]!, count: 2, pixelBytes: 2_000 }));
    for (const study of studies) {
      await eventually('the study is stable', async () => (await api.history(study)).some(({ action }) => action === 'study.stable'));
    }
    await eventually('the late instances are found', async () => await api.findInstances(studies[0]!) === 5);
    const before = await documentsOf(pacs);
    await damage(pacs, before);

    const connection = await Connection.connect({ address: stack.urls.temporalAddress });
    const client = new Client({ connection, namespace: 'pacs' });
    const handle = await client.workflow.start<(input: ReindexTenantInput) => Promise<ReindexOutcome>>('reindexTenant',
      { workflowId: reindexWorkflowId(tenantId, aUID()), taskQueue: taskQueues.core, args: [{ tenantId }] });
    await stack.kill('worker');
    await stack.restart('worker');
    const outcome = await handle.result();
    await connection.close();

    const after = await documentsOf(pacs);
    assert.ok(outcome.studyCount >= studies.length && outcome.instanceCount >= 11, JSON.stringify(outcome));
    const idsOf = (documents: readonly Document[]) => documents.filter(({ _id }) => !_id.startsWith(indexNames.audit)).map(({ _id, _version }) => `${_id} v${_version}`);
    assert.deepEqual(idsOf(after), idsOf(before));
    const byId = new Map(after.map((document) => [document._id, document]));
    for (const document of before) assert.deepEqual(byId.get(document._id)?._source, document._source, document._id);
  });
});
