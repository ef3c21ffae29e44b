import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { aToken, anApi, type Api } from './support.ts';

describe('api: who may do what', () => {
  let api: Api;
  before(async () => { api = await anApi(); });
  after(() => api.close());

  const rows: readonly (readonly [method: string, path: string, roles: readonly string[]])[] = [
    ['GET', '/dicom-web/studies', ['viewer', 'integrator', 'admin']],
    ['GET', '/dicom-web/studies/1.2.3', ['viewer', 'integrator', 'admin']],
    ['GET', '/dicom-web/studies/1.2.3/metadata', ['viewer', 'integrator', 'admin']],
    ['POST', '/dicom-web/studies', ['integrator', 'admin']],
    ['POST', '/routes', ['integrator', 'admin']],
    ['GET', '/flows', ['integrator', 'auditor', 'admin']],
    ['GET', '/flows/demo/study/1.2.3', ['integrator', 'auditor', 'admin']],
    ['POST', '/flows/demo/study/1.2.3/retry', ['admin']],
    ['GET', '/studies/1.2.3/history', ['auditor', 'admin']],
    ['GET', '/studies/1.2.3/conflicts', ['integrator', 'auditor', 'admin']],
    ['POST', '/studies/1.2.3/conflicts/1.2.3.1', ['admin']],
    ['GET', '/destinations/ws1/deliveries/1.2.3', ['integrator', 'auditor', 'admin']],
    ['GET', '/config', ['admin']],
    ['PUT', '/config', ['admin']],
  ];
  for (const [method, path, allowed] of rows) {
    it(`lets ${allowed.join(', ')} ${method} ${path}, and nobody else`, async () => {
      for (const role of ['viewer', 'integrator', 'admin', 'auditor', 'none']) {
        const response = await api.call(path, { method, roles: [role] });
        assert.equal(response.status !== 403, allowed.includes(role), `${role}: ${response.status}`);
        assert.notEqual(response.status, 401);
      }
    });

    it(`tells a token of another tenant at ${method} ${path} the same as of a tenant that does not exist`, async () => {
      const token = await aToken({ tenants: ['other'], roles: ['admin'] });
      const [another, unknown] = await Promise.all(['demo', 'nobody'].map(async (tenant) => {
        const response = await api.call(path, { method, tenant, token });
        const { requestId: _, ...problem } = await response.json() as Record<string, unknown>;
        return { status: response.status, problem };
      }));

      assert.equal(another?.status, 404);
      assert.deepEqual(another, unknown);
    });
  }

  it('answers 401 with a challenge to every token that is not ours', async () => {
    const tokens = [
      '', 'x', 'a.b.c', await aToken({ key: randomBytes(32) }), await aToken({ issuer: 'someone' }), await aToken({ audience: 'other' }), await aToken({ expires: 1 }),
      'eyJhbGciOiJub25lIn0.eyJpc3MiOiJwYWNzIiwiYXVkIjoicGFjcy1hcGkiLCJzdWIiOiJqbyIsInRlbmFudHMiOlsiZGVtbyJdfQ.',
    ];
    for (const token of tokens) {
      const response = await api.call('/dicom-web/studies', { token });
      assert.equal(response.status, 401);
      assert.match(response.headers.get('WWW-Authenticate') ?? '', /^Bearer realm="pacs"/);
    }
  });

  it('does not tell who has no token which resources there are', async () => {
    const responses = await Promise.all(['/nothing', '/dicom-web/studies', ''].map((path) => fetch(`${api.url}/tenants/demo${path}`)));

    assert.deepEqual(responses.map(({ status }) => status), [401, 401, 401]);
  });

  it('answers in problem documents with a request id, and 405 with the methods there are', async () => {
    const response = await api.call('/config', { method: 'DELETE', headers: { 'X-Request-Id': 'request-1234' } });

    assert.equal(response.status, 405);
    assert.equal(response.headers.get('Allow'), 'GET, PUT');
    assert.equal(response.headers.get('Content-Type'), 'application/problem+json; charset=utf-8');
    assert.equal((await response.json() as { requestId: string }).requestId, 'request-1234');
    assert.equal((await api.call('/nothing')).status, 404);
    assert.equal((await api.call('/flows/%zz')).status, 400);
    assert.equal((await fetch(`${api.url}/nothing`)).status, 404);
  });

  it('answers /healthz, /readyz and /metrics without a token', async () => {
    const broken = await anApi({ checks: [{ name: 's3', check: async () => {} }, { name: 'temporal', check: () => Promise.reject(new Error('no')) }] });
    const ready = await fetch(`${broken.url}/readyz`);

    assert.equal((await fetch(`${broken.url}/healthz`)).status, 200);
    assert.equal(ready.status, 503);
    assert.deepEqual(await ready.json(), { status: 'unavailable', checks: { s3: 'ok', temporal: 'does not answer' } });
    assert.match(await (await fetch(`${broken.url}/metrics`)).text(), /pacs_api_requests_total\{method="GET",route="\/readyz",status="503"\} 1/);
    await broken.close();
  });
});
