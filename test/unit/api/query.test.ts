import assert from 'node:assert/strict';
import type { DicomJson } from '../../../dicom/json.ts';
import { aFile, anApi, stow, type Api } from './support.ts';

describe('api: queries of gateways', () => {
  let api: Api;
  before(async () => {
    api = await anApi();
    await stow(api, [
      aFile({ study: '1.1', series: '1.1.1', instance: '1.1.1.1' }), aFile({ study: '1.1', series: '1.1.1', instance: '1.1.1.2', instanceNumber: '2' }),
      aFile({ study: '2.2', series: '2.2.1', instance: '2.2.1.1', patientName: 'Roe^Rick' }),
    ]);
  });
  after(() => api.close());

  const ask = (body: unknown, roles = ['gateway']): Promise<Response> =>
    api.call('/query', { method: 'POST', roles, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  const linesOf = async (response: Response): Promise<readonly DicomJson[]> =>
    (await response.text()).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as DicomJson);

  it('answers each level by lines of DICOM JSON, patients once each', async () => {
    const counts = await Promise.all(['PATIENT', 'STUDY', 'SERIES', 'IMAGE'].map(async (level) => (await linesOf(await ask({ level, keys: [] }))).length));

    assert.deepEqual(counts, [1, 2, 2, 3]);
  });

  it('matches by keys, stops at the limit, and names keys that are not searched by', async () => {
    const response = await ask({ level: 'IMAGE', keys: [{ path: ['0020000D'], values: ['1.1', '9.9'] }, { path: ['00101060'], values: ['x'] }], limit: 1 });

    assert.equal(response.headers.get('Pacs-Unmatched'), '00101060');
    assert.deepEqual((await linesOf(response)).map((match) => match['00080018']!.Value), [['1.1.1.1']]);
  });

  it('answers 400 without the value to what cannot be matched or is no query', async () => {
    for (const body of [{ level: 'STUDY', keys: [{ path: ['00080020'], values: ['secretvalue'] }] }, { level: 'WORLD', keys: [] }, { level: 'STUDY', keys: [{ path: [], values: ['a'] }] },
      { level: 'STUDY', keys: [{ path: ['xyz'], values: ['a'] }] }, { level: 'STUDY', keys: [{ path: ['00100010'], values: [] }] }]) {
      const response = await ask(body);

      assert.equal(response.status, 400, JSON.stringify(body));
      assert.ok(!(await response.text()).includes('secretvalue'));
    }
  });

  it('lets a gateway search and retrieve, and nothing else', async () => {
    const statuses = await Promise.all([
      ask({ level: 'STUDY', keys: [] }), api.call('/dicom-web/studies/1.1', { roles: ['gateway'] }), api.call('/config', { roles: ['gateway'] }),
      api.call('/dicom-web/studies', { method: 'POST', roles: ['gateway'] }), api.call('/flows', { roles: ['gateway'] }), ask({ level: 'STUDY', keys: [] }, ['auditor']),
    ]);

    assert.deepEqual(statuses.map(({ status }) => status), [200, 200, 403, 403, 403, 403]);
  });
});
