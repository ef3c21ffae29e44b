import assert from 'node:assert/strict';
import { capabilities } from '../../../api/dicomweb/capabilities.ts';
import { resourcesOf } from '../../../api/resources.ts';
import { aFile, anApi, stow, type Api } from './support.ts';

const wadl = 'application/vnd.sun.wadl+xml';

describe('api: capabilities', () => {
  let api: Api;
  before(async () => {
    api = await anApi({ corsOrigins: ['https://viewer.example'] });
    await stow(api, [aFile()]);
  });
  after(() => api.close());

  it('describes every DICOMweb resource that there is, and no other', () => {
    const resources = resourcesOf({ stores: { archive: api.archive, index: api.index, audit: api.audit, tenants: api.tenants, deliveries: api.deliveries }, stow: {} } as never)
      .filter(({ method, path }) => path.startsWith('/dicom-web/') && method !== 'options')
      .map(({ method, path }) => `${method.toUpperCase()} ${path.slice('/dicom-web/'.length).replace('*path', '{attribute}').replaceAll(/:(\w+)/g, '{$1}')}`);

    assert.deepEqual(capabilities.map(({ method, path }) => `${method} ${path}`).toSorted(), [...resources].toSorted());
    assert.equal(new Set(capabilities.map(({ id }) => id)).size, capabilities.length);
  });

  it('gives them as WADL and JSON, by OPTIONS and GET', async () => {
    for (const method of ['OPTIONS', 'GET']) {
      for (const path of ['/dicom-web', '/dicom-web/']) {
        const [xml, json] = await Promise.all([wadl, 'application/json'].map((Accept) => api.call(path, { method, headers: { Accept } })));

        assert.equal(xml!.headers.get('Content-Type'), wadl);
        assert.equal(xml!.headers.get('Allow'), 'OPTIONS, GET');
        assert.match(await xml!.text(), new RegExp(`^<\\?xml .*<resources base="${api.url}/tenants/demo/dicom-web/">.*<resource path="studies/{study}/metadata">`, 's'));
        assert.equal(json!.headers.get('Content-Type'), 'application/json');
        assert.equal((await json!.json() as { name: string }).name, 'application');
      }
    }
    assert.equal((await api.call('/dicom-web', { method: 'OPTIONS' })).headers.get('Content-Type'), wadl);
    assert.equal((await api.call('/dicom-web', { headers: { Accept: 'text/html' } })).status, 406);
  });

  it('describes one resource by OPTIONS there, with its methods in Allow', async () => {
    const study = await api.call('/dicom-web/studies/1.2.3', { method: 'OPTIONS' });
    const bulk = await api.call('/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/bulkdata/7FE00010', { method: 'OPTIONS' });

    assert.equal(study.headers.get('Allow'), 'OPTIONS, GET, HEAD, POST');
    const text = await study.text();
    assert.match(text, /id="RetrieveStudy"/);
    assert.match(text, /id="StoreStudyInstances"/);
    assert.doesNotMatch(text, /id="SearchForStudies"/);
    assert.match(await bulk.text(), /id="RetrieveBulkdata"/);
  });

  it('answers a preflight without a token, and lets pages read the headers they need', async () => {
    const preflight = await fetch(`${api.url}/tenants/demo/dicom-web/studies`, { method: 'OPTIONS', headers: { Origin: 'https://viewer.example', 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization' } });
    const answer = await api.call('/dicom-web/studies', { headers: { Origin: 'https://viewer.example' } });
    const stranger = await api.call('/dicom-web/studies', { headers: { Origin: 'https://evil.example' } });

    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('Access-Control-Allow-Origin'), 'https://viewer.example');
    assert.match(preflight.headers.get('Access-Control-Allow-Headers')!, /Authorization.*Range/);
    assert.match(answer.headers.get('Access-Control-Expose-Headers')!, /Content-Location.*Warning/);
    assert.match(answer.headers.get('Vary')!, /Origin/);
    assert.equal(stranger.headers.get('Access-Control-Allow-Origin'), null);
    assert.equal((await fetch(`${api.url}/tenants/demo/dicom-web`, { method: 'OPTIONS', headers: { Origin: 'https://viewer.example' } })).status, 401);
  });

  it('compresses texts for who takes gzip, and says that they vary', async () => {
    for (const path of ['/dicom-web/studies', '/dicom-web/studies/1.2.3/metadata']) {
      const gzip = await api.call(path, { headers: { 'Accept-Encoding': 'br, gzip;q=0.5' } });
      const plain = await api.call(path, { headers: { 'Accept-Encoding': 'gzip;q=0, identity' } });

      assert.equal(gzip.headers.get('Content-Encoding'), 'gzip');
      assert.equal(plain.headers.get('Content-Encoding'), null);
      assert.match(plain.headers.get('Vary')!, /Accept-Encoding/);
      assert.deepEqual(await gzip.json(), await plain.json());
    }
    assert.equal((await api.call('/dicom-web/studies/9.9/metadata', { headers: { 'Accept-Encoding': 'gzip' } })).status, 404);
  });
});
