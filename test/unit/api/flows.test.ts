import assert from 'node:assert/strict';
import { visibilityQuery } from '../../../api/flowQuery.ts';
import { errorForLog } from '../../../api/errorForLog.ts';
import { routeWorkflowId } from '../../../workflows/ids.ts';
import { aFile, aFlow, anApi, aToken, stow, type Api } from './support.ts';

describe('api: routes, flows, history, configuration', () => {
  let api: Api;
  beforeEach(async () => { api = await anApi(); });
  afterEach(() => api.close());

  const json = { 'Content-Type': 'application/json' };
  const route = (body: unknown, key?: string): Promise<Response> =>
    api.call('/routes', { method: 'POST', roles: ['integrator'], headers: { ...json, ...(key === undefined ? {} : { 'Idempotency-Key': key }) }, body: JSON.stringify(body) });

  it('starts one flow for a route request however often it comes', async () => {
    await stow(api, [aFile()]);
    const request = { studyInstanceUID: '1.2.3', destinationId: 'ws1' };

    const answers = await Promise.all([route(request, 'key-1'), route({ ...request, priority: 2 }, 'key-1')]);

    const flowId = routeWorkflowId('demo', '1.2.3', 'request', 'key-1');
    for (const answer of answers) {
      assert.equal(answer.status, 202);
      assert.equal(answer.headers.get('Location'), `${api.url}/tenants/demo/flows/${flowId}`);
    }
    const starts = api.flows.started.filter((start) => start.flowId === flowId);
    assert.deepEqual(starts.map(({ input }) => input), [{ tenantId: 'demo', studyInstanceUID: '1.2.3', destinationId: 'ws1', gatewayId: 'gw1', requestedBy: 'jo', priority: 2 }]);
    assert.deepEqual([...api.audit.events.values()].map(({ action, actor, destinationId }) => [action, actor, destinationId]), [['route.requested', 'jo', 'ws1']]);
  });

  it('refuses a route request without a key, with a used key, or about what does not exist', async () => {
    await stow(api, [aFile()]);
    const request = { studyInstanceUID: '1.2.3', destinationId: 'ws1' };
    await route(request, 'key-1');

    const rows: readonly (readonly [Promise<Response>, number, RegExp])[] = [
      [route(request), 400, /Idempotency-Key/], [route(request, 'a b'), 400, /Idempotency-Key/], [route({ ...request, destinationId: 'other' }, 'key-1'), 422, /new key/],
      [route({ ...request, destinationId: 'none' }, 'k'), 404, /destination/], [route({ ...request, studyInstanceUID: '9.9' }, 'k'), 404, /study 9\.9/],
      [route({ ...request, studyInstanceUID: 'Doe' }, 'k'), 400, /studyInstanceUID/], [route({ ...request, priority: 9 }, 'k'), 400, /priority/], [route({ ...request, extra: 1 }, 'k'), 400, /extra/],
      [api.call('/routes', { method: 'POST', headers: { ...json, 'Idempotency-Key': 'k' }, body: '{' }), 400, /JSON/],
      [api.call('/routes', { method: 'POST', headers: { 'Idempotency-Key': 'k', 'Content-Type': 'text/plain' }, body: '{}' }), 415, /application\/json/],
    ];
    for (const [response, status, text] of rows) {
      const answer = await response;
      assert.equal(answer.status, status);
      assert.match(await answer.text(), text);
    }
  });

  it('starts one replay to a destination for each key, and refuses what it cannot mean', async () => {
    const replay = (body: unknown, key: string | undefined = 'k', destination = 'ws1', roles: readonly string[] = ['admin']): Promise<Response> =>
      api.call(`/destinations/${destination}/replays`, { method: 'POST', roles, headers: { ...json, ...(key ? { 'Idempotency-Key': key } : {}) }, body: JSON.stringify(body) });
    const body = { since: '2026-01-31T08:00:00+01:00', why: 'lost its disk' };

    const answers = [await replay(body), await replay(body)];
    const refused = [await replay({ ...body, dryRun: true }), await replay(body, ''), await replay(body, 'n', 'none'), await replay({ since: body.since }, 'n'), await replay({ ...body, since: 'yesterday' }, 'n'),
      await replay({ ...body, states: ['waiting'] }, 'n'), await replay(body, 'n', 'ws1', ['integrator'])];

    assert.deepEqual(answers.map(({ status }) => status), [202, 202]);
    assert.deepEqual(refused.map(({ status }) => status), [422, 400, 404, 400, 400, 400, 403]);
    assert.deepEqual(api.flows.replays.map(({ flowId, input: { selection: { since, states }, by, why, priority, dryRun } }) => ({ flowId, since, states, by, why, priority, dryRun })),
      [{ flowId: 'demo/replay/ws1/k', since: '2026-01-31T07:00:00.000Z', states: ['delivered'], by: 'jo', why: 'lost its disk', priority: 5, dryRun: false }]);
  });

  it('starts a sweep once for each key, and answers with its flow', async () => {
    const sweep = (key: string | undefined, body: unknown, roles = ['admin']) =>
      api.call('/sweeps', { method: 'POST', roles: roles as never, headers: { ...json, ...(key === undefined ? {} : { 'Idempotency-Key': key }) }, body: JSON.stringify(body) });

    const answers = [await sweep('a/b', {}), await sweep('a/b', {}), await sweep('c', { verifyDays: 1, settleSeconds: 0, orphanDays: 'keep' })];
    const refused = [await sweep('a/b', { verifyDays: 2 }), await sweep(undefined, {}), await sweep('d', { verifyDays: 0 }), await sweep('d', { orphanDays: -1 }), await sweep('d', {}, ['integrator'])];

    assert.deepEqual(answers.map(({ status }) => status), [202, 202, 202]);
    assert.match(answers[0]!.headers.get('Location')!, /\/tenants\/demo\/flows\/demo\/sweep\/a%252Fb$/);
    assert.deepEqual(refused.map(({ status }) => status), [422, 400, 400, 400, 403]);
    assert.deepEqual(api.flows.sweeps, [{ flowId: 'demo/sweep/a%2Fb', input: { tenantId: 'demo', verifyDays: 30, settleMs: 300_000, orphanAgeMs: 604_800_000 } },
      { flowId: 'demo/sweep/c', input: { tenantId: 'demo', verifyDays: 1, settleMs: 0 } }]);
  });

  it('tells of a flow by its ID, raw or percent-coded, and of no other tenant\'s', async () => {
    api.flows.known.set('demo/study/1.2.3', aFlow({ flowId: 'demo/study/1.2.3', studyInstanceUID: '1.2.3' }));
    api.flows.known.set('other/study/1.2.3', aFlow({ flowId: 'other/study/1.2.3' }));

    const raw = await api.call('/flows/demo/study/1.2.3');
    const coded = await api.call('/flows/demo%2Fstudy%2F1.2.3');

    const flow = await raw.json() as Record<string, unknown>;
    assert.deepEqual(flow, await coded.json());
    assert.deepEqual([flow['state'], flow['sentence'], flow['counts']], ['ATTENTION', 'Waits for a person.', { refused: 1 }]);
    assert.equal(flow['temporalUI'], 'http://ui.example/namespaces/pacs/workflows/demo%2Fstudy%2F1.2.3/run-1');
    assert.equal((await api.call('/flows/other/study/1.2.3')).status, 404);
    assert.equal((await api.call('/flows/demo/../other/study/1.2.3')).status, 404);
    assert.equal((await api.call('/flows/demo/study/9')).status, 404);
  });

  it('tells of flows that ended, or that no worker answers for', async () => {
    api.flows.known.set('demo/a', aFlow({ flowId: 'demo/a', runState: 'COMPLETED', flowState: 'DONE', closedAt: '2026-01-02T00:00:00.000Z' }));
    api.flows.known.set('demo/b', aFlow({ flowId: 'demo/b', runState: 'TERMINATED', flowState: 'RUNNING' }));
    api.flows.known.set('demo/c', aFlow({ flowId: 'demo/c', flowState: 'EDGE_OFFLINE' }));
    api.flows.statusNow = undefined;

    const [done, ended, silent] = await Promise.all(['a', 'b', 'c'].map(async (id) => await (await api.call(`/flows/demo/${id}`)).json() as Record<string, unknown>));

    assert.deepEqual([done?.['state'], done?.['result']], ['DONE', { deliveredCount: 3 }]);
    assert.equal(ended?.['state'], 'TERMINATED');
    assert.equal(silent?.['state'], 'EDGE_OFFLINE');
    assert.match(String(silent?.['sentence']), /no worker/);
  });

  it('lists flows of a study or in a state', async () => {
    api.flows.known.set('demo/study/1', aFlow({ flowId: 'demo/study/1', studyInstanceUID: '1.1', flowState: 'ATTENTION' }));
    api.flows.known.set('demo/study/2', aFlow({ flowId: 'demo/study/2', studyInstanceUID: '2.2' }));
    api.flows.known.set('other/study/2', aFlow({ flowId: 'other/study/2', studyInstanceUID: '2.2' }));
    const ids = async (query: string): Promise<readonly string[]> => (await (await api.call(`/flows${query}`)).json() as { flows: { flowId: string }[] }).flows.map(({ flowId }) => flowId);

    assert.deepEqual(await ids(''), ['demo/study/1', 'demo/study/2']);
    assert.deepEqual(await ids('?studyInstanceUID=2.2'), ['demo/study/2']);
    assert.deepEqual(await ids('?state=ATTENTION'), ['demo/study/1']);
    assert.equal((await api.call(`/flows?state=${encodeURIComponent("X' OR 1=1")}`)).status, 400);
    assert.equal((await api.call('/flows?studyInstanceUID=%27')).status, 400);
  });

  it('writes quotes and backslashes of a visibility query so that they end no literal', () => {
    assert.equal(visibilityQuery({ tenantId: "a' OR '1'='1", studyInstanceUID: '1\\', destinationId: "w'1", states: ['DONE'], since: '2026-01-01T00:00:00Z', open: true }),
      "TenantId = 'a\\' OR \\'1\\'=\\'1' AND (StudyInstanceUID = '1\\\\' OR StudyInstanceUIDs IN ('1\\\\')) AND DestinationId = 'w\\'1' AND FlowState = 'DONE' AND StartTime >= '2026-01-01T00:00:00Z' AND ExecutionStatus = 'Running'");
  });

  it('says DONE only with the result: a flow in its last moment is waited for', async () => {
    const flowId = 'demo/route/1.2.3/all/1';
    api.flows.known.set(flowId, aFlow({ flowId, type: 'routeStudy' }));
    api.flows.statusNow = { state: 'DONE', sentence: 'Delivered.', counts: {} };
    api.flows.ended = async () => {
      api.flows.known.set(flowId, aFlow({ flowId, type: 'routeStudy', runState: 'COMPLETED', flowState: 'DONE' }));
      return true;
    };

    const flow = await (await api.call(`/flows/${flowId}`)).json() as Record<string, unknown>;

    assert.deepEqual([flow['state'], flow['result']], ['DONE', { deliveredCount: 3 }]);
  });

  it('decides about all flows that a filter finds, page by page, and says what became of each', async () => {
    for (const [flowId, flowState] of [['demo/ingest/gw1/a', 'ATTENTION'], ['demo/ingest/gw1/b', 'EDGE_OFFLINE'], ['demo/ingest/gw2/c', 'ATTENTION'], ['other/ingest/gw1/d', 'ATTENTION']] as const) {
      api.flows.known.set(flowId, aFlow({ flowId, flowState }));
    }
    const decide = async (body: object) => {
      const response = await api.call('/flows/decisions', { method: 'POST', headers: json, body: JSON.stringify(body) });
      return { status: response.status, body: await response.json() as { readonly flows: readonly { readonly flowId: string; readonly answer: string }[]; readonly next?: string; readonly detail?: string } };
    };

    const dry = await decide({ decision: 'retry', filter: { all: true }, why: 'mended', dryRun: true });
    const first = await decide({ decision: 'retry', filter: { all: true }, why: 'mended', limit: 1 });
    const second = await decide({ decision: 'retry', filter: { all: true }, why: 'mended', limit: 1, cursor: first.body.next });
    const retired = await decide({ decision: 'reject', filter: { gatewayId: 'gw1' }, why: 'retired' });
    const urgent = await decide({ decision: 'priority', priority: 1, filter: { gatewayId: 'gw1' }, why: 'stroke' });

    assert.deepEqual(dry.body.flows.map(({ flowId, answer }) => [flowId, answer]), [['demo/ingest/gw1/a', 'would'], ['demo/ingest/gw2/c', 'would']]);
    assert.deepEqual([...first.body.flows, ...second.body.flows].map(({ flowId, answer }) => [flowId, answer]), [['demo/ingest/gw1/a', 'taken'], ['demo/ingest/gw2/c', 'taken']]);
    assert.equal(second.body.next, undefined);
    assert.deepEqual(retired.body.flows.map(({ flowId }) => flowId), ['demo/ingest/gw1/a', 'demo/ingest/gw1/b']);
    assert.deepEqual(api.flows.decisions.map(({ flowId, decision, by }) => [flowId, decision, by.by, by.why]), [
      ['demo/ingest/gw1/a', 'retry', 'jo', 'mended'], ['demo/ingest/gw2/c', 'retry', 'jo', 'mended'], ['demo/ingest/gw1/a', 'reject', 'jo', 'retired'], ['demo/ingest/gw1/b', 'reject', 'jo', 'retired']]);
    assert.deepEqual(urgent.body.flows.map(({ answer }) => answer), ['taken', 'taken']);
    assert.deepEqual(api.flows.prioritised[0], { flowId: 'demo/ingest/gw1/a', decision: { priority: 1, by: 'jo', why: 'stroke' } });
  });

  it('takes no decision about flows without a filter, a reason, a right or a priority', async () => {
    const rows: readonly (readonly [object, readonly string[], number, RegExp])[] = [
      [{ decision: 'retry', filter: {}, why: 'x' }, ['admin'], 400, /"all": true|filter/], [{ decision: 'retry', filter: { all: true } }, ['admin'], 400, /why/],
      [{ decision: 'priority', filter: { all: true }, why: 'x' }, ['admin'], 400, /priority/], [{ decision: 'delete', filter: { all: true }, why: 'x' }, ['admin'], 400, /decision/],
      [{ decision: 'retry', filter: { tenantId: 'other' }, why: 'x' }, ['admin'], 400, /filter/], [{ decision: 'retry', filter: { all: true }, why: 'x' }, ['integrator'], 403, /./],
    ];
    for (const [body, roles, status, text] of rows) {
      const response = await api.call('/flows/decisions', { method: 'POST', roles, headers: json, body: JSON.stringify(body) });
      assert.equal(response.status, status);
      assert.match(await response.text(), text);
    }
  });

  it('hands a person\'s decision to a flow', async () => {
    api.flows.known.set('demo/study/1', aFlow({ flowId: 'demo/study/1' }));
    const decide = (decision: string, body: unknown, id = 'demo/study/1'): Promise<Response> => api.call(`/flows/${id}/${decision}`, { method: 'POST', headers: json, body: JSON.stringify(body) });

    assert.equal((await decide('retry', { why: 'the disk was full' })).status, 200);
    assert.equal((await decide('skip', { why: 'not needed' }, 'demo%2Fstudy%2F1')).status, 200);
    assert.deepEqual(api.flows.decisions.map(({ decision, by }) => [decision, by]), [['retry', { by: 'jo', why: 'the disk was full' }], ['skip', { by: 'jo', why: 'not needed' }]]);
    assert.equal((await decide('reject', { why: ' ' })).status, 400);
    assert.equal((await decide('reject', { why: 'x' }, 'other/study/1')).status, 404);
    for (const [answer, status] of [['refused', 409], ['gone', 409], ['unanswered', 503]] as const) {
      api.flows.decisionAnswer = answer;
      assert.equal((await decide('reject', { why: 'x' })).status, status);
    }
  });

  it('pages the history of a study in order of time', async () => {
    await api.audit.record(Array.from({ length: 3 }, (_, at) => ({ tenantId: 'demo', eventId: `e${at}`, at: `2026-01-0${3 - at}T00:00:00.000Z`, action: 'pack.archived', actor: 'flow', studyInstanceUID: '1.2.3' })));

    const first = await (await api.call('/studies/1.2.3/history?limit=2')).json() as { total: number; events: { eventId: string }[]; next: string };
    const rest = await (await fetch(first.next, { headers: { Authorization: `Bearer ${await aToken()}` } })).json() as typeof first;

    assert.deepEqual([first.total, ...first.events.map(({ eventId }) => eventId)], [3, 'e2', 'e1']);
    assert.deepEqual([rest.events.map(({ eventId }) => eventId), rest.next], [['e0'], undefined]);
    assert.equal((await api.call('/studies/9.9/history')).status, 404);
  });

  it('gives the delivery ledger of a study', async () => {
    await api.deliveries.put({ tenantId: 'demo', destinationId: 'ws1', studyInstanceUID: '1.2.3', updatedAt: '2026-01-01T00:00:00.000Z', instances: [] }, undefined);

    assert.equal((await api.call('/destinations/ws1/deliveries/1.2.3')).status, 200);
    assert.equal((await api.call('/destinations/ws1/deliveries/9.9')).status, 404);
    assert.equal((await api.call('/destinations/..%2f..%2fconfig/deliveries/1.2.3')).status, 400);
  });

  it('changes the configuration under its ETag and never shows a secret', async () => {
    const read = await api.call('/config');
    const text = await read.text();
    const etag = read.headers.get('ETag') ?? '';
    const config = JSON.parse(text) as { destinations: { url?: string }[]; rules: unknown[] };
    const put = (body: unknown, headers: Record<string, string>): Promise<Response> => api.call('/config', { method: 'PUT', headers: { ...json, ...headers }, body: JSON.stringify(body) });

    assert.doesNotMatch(text, /secret/);
    assert.equal((await put(config, {})).status, 428);
    assert.equal((await put({ ...config, rules: [{ ruleId: 'r1', destinationId: 'ws1', attributes: { Modality: 'CT' } }] }, { 'If-Match': etag })).status, 204);
    assert.equal((await put(config, { 'If-Match': etag })).status, 412);
    const now = (await api.tenants.get('demo'))?.value;
    assert.equal(now?.rules.length, 1);
    assert.deepEqual(now?.destinations.find(({ kind }) => kind === 'dicomweb'), { kind: 'dicomweb', destinationId: 'other', url: 'https://pacs.example/dicom-web', authorization: 'Bearer secret' });
  });

  it('refuses a configuration that cannot be, and names the field', async () => {
    const good = { tenantId: 'demo', gateways: [{ gatewayId: 'gw1', aeTitle: 'PACS' }], destinations: [] as unknown[], rules: [] as unknown[] };
    const destination = { kind: 'dicom', destinationId: 'd', gatewayId: 'gw1', host: 'h', port: 104, calledAETitle: 'A' };
    const rows: readonly (readonly [unknown, RegExp])[] = [
      [{ ...good, destinations: [{ ...destination, port: 0 }] }, /destinations\.0\.port/], [{ ...good, destinations: [{ ...destination, gatewayId: 'gw2' }] }, /destinations\.0\.gatewayId/],
      [{ ...good, rules: [{ ruleId: 'r', destinationId: 'none' }] }, /rule r names destination none/], [{ ...good, destinations: [destination], rules: [{ ruleId: 'r', destinationId: 'd', attributes: { Nonsense: 'x' } }] }, /rules\.0\.attributes/],
      [{ ...good, tenantId: 'other' }, /tenantId/], [[], /configuration/], [{ ...good, destinations: [{ kind: 'dicomweb', destinationId: 'other', url: 'https://evil.example', authorization: '***' }] }, /secret/],
    ];
    for (const [body, text] of rows) {
      const response = await api.call('/config', { method: 'PUT', headers: { ...json, 'If-Match': '*' }, body: JSON.stringify(body) });
      assert.equal(response.status, 400);
      assert.match(await response.text(), text);
    }
  });

  it('tells a fault by a request id, and keeps stack and values out of the answer', async () => {
    api.index.search = () => Promise.reject(new TypeError('x is Doe^Jane'));

    const response = await api.call('/dicom-web/studies', { headers: { 'X-Request-Id': 'request-99' } });

    assert.equal(response.status, 500);
    const text = await response.text();
    assert.match(text, /request-99/);
    assert.doesNotMatch(text, /Doe|TypeError|\.ts/);
  });

  it('logs a server\'s error without its text', () => {
    const error = new Error('wraps', { cause: Object.assign(new Error('near Doe^Jane'), { statusCode: 400, meta: { body: 'Doe^Jane' } }) });

    const logged = JSON.stringify(errorForLog(error));

    assert.doesNotMatch(logged, /Doe/);
    assert.match(logged, /"serverStatus":400/);
  });
});
