import assert from 'node:assert/strict';
import { parseDicomXml } from '../../../api/dicomweb/store/parseDicomXml.ts';
import { aFile, aMultipart, anApi, aToken, multipartType, partsOf, stow, type Api } from './support.ts';

type Answer = Record<string, { readonly vr: string; readonly Value?: readonly unknown[] }>[];

describe('api: search (QIDO-RS)', () => {
  let api: Api;
  before(async () => {
    api = await anApi();
    await stow(api, [
      aFile({ study: '1.1', series: '1.1.1', instance: '1.1.1.1', patientName: 'Doe^Jane' }), aFile({ study: '1.1', series: '1.1.1', instance: '1.1.1.2', instanceNumber: '2' }),
      aFile({ study: '1.1', series: '1.1.2', instance: '1.1.2.1' }), aFile({ study: '2.2', series: '2.2.1', instance: '2.2.1.1', patientName: 'Roe^Rick*' }),
    ]);
  });
  after(() => api.close());

  const search = (at: string, headers: Record<string, string> = {}): Promise<Response> => api.call(`/dicom-web${at}`, { headers, roles: ['viewer'] });
  const count = async (at: string): Promise<number> => {
    const response = await search(at);
    if (response.status === 204) return 0;
    assert.equal(response.status, 200, at);
    return (await response.json() as Answer).length;
  };

  it('finds the objects of every resource', async () => {
    assert.deepEqual(await Promise.all(['/studies', '/series', '/instances', '/studies/1.1/series', '/studies/1.1/instances', '/studies/1.1/series/1.1.1/instances', '/studies/9.9/series'].map(count)),
      [2, 3, 4, 2, 3, 2, 0]);
  });

  it('reads attribute ids as keywords, hexadecimal digits and paths, and UID lists in every form', async () => {
    const queries: readonly (readonly [string, number])[] = [
      ['StudyInstanceUID=1.1', 1], ['0020000D=1.1', 1], ['0020000d=1.1,2.2', 2], ['StudyInstanceUID=1.1%5C2.2', 2], ['StudyInstanceUID=1.1&StudyInstanceUID=2.2', 2],
      ['StudyInstanceUID=1.1&0020000D=2.2', 2], ['PatientName=doe*', 1], ['PatientName=Doe%5EJane', 1], ['PatientName=', 2], ['PatientName=*', 2], ['StudyDate=20240101-20241231', 2],
      ['StudyDate=-20231231', 0], ['RequestAttributesSequence.ScheduledProcedureStepID=', 2], ['unknown=1&x-y=2', 2],
    ];
    for (const [query, expected] of queries) assert.equal(await count(`/studies?${query}`), expected, query);
  });

  it('takes hostile values as what they say', async () => {
    for (const value of ['"', "'", '%', '_', '{}', '[a]', '$where', '../..', '<script>', 'Roe^Rick\\*', 'a OR 1=1', '😀']) {
      assert.equal(await count(`/studies?PatientName=${encodeURIComponent(value)}`), 0, value);
    }
  });

  it('answers 400 with a sentence without the value to what is malformed', async () => {
    const malformed = [
      'limit=0', 'limit=-1', 'limit=x', 'limit=1&limit=2', 'offset=-1', 'offset=1e3', 'StudyInstanceUID=secretvalue', '0020000D=1.1,secretvalue', 'StudyDate=secretvalue', 'StudyDate=20241301', 'StudyTime=25',
      'includefield=Nonsense', 'fuzzymatching=maybe', 'PatientID=a&PatientID=secretvalue', 'PatientName=%00secretvalue', 'PatientName=%zz', '00100010.=secretvalue', `PatientName=${'a'.repeat(5000)}`,
    ];
    for (const query of malformed) {
      const response = await search(`/studies?${query}`);
      const text = await response.text();
      assert.equal(response.status, 400, query);
      assert.doesNotMatch(text, /secretvalue/);
    }
    assert.equal((await search('/studies/..%2f1/series')).status, 400);
    assert.equal((await search('/studies/1.1%00/series')).status, 400);
  });

  it('returns the attributes of the level, what was asked for, and those of includefield', async () => {
    const [study] = await (await search('/studies?StudyInstanceUID=1.1')).json() as Answer;
    const [series] = await (await search('/studies/1.1/series?SeriesInstanceUID=1.1.1')).json() as Answer;
    const [relational] = await (await search('/series?SeriesInstanceUID=1.1.1&includefield=BodyPartExamined,00080070')).json() as Answer;
    const all = await (await search('/studies/1.1/series/1.1.1/instances?includefield=all')).json() as Answer;

    assert.deepEqual(study?.['00081190']?.Value, [`${api.url}/tenants/demo/dicom-web/studies/1.1`]);
    assert.deepEqual(study?.['00080056'], { vr: 'CS', Value: ['ONLINE'] });
    assert.deepEqual([study?.['00201206']?.Value, study?.['00201208']?.Value], [[2], [3]]);
    assert.deepEqual(study?.['00100010'], { vr: 'PN', Value: [{ Alphabetic: 'Doe^Jane' }] });
    assert.equal(study?.['00080016'], undefined);
    assert.deepEqual(series?.['00081190']?.Value, [`${api.url}/tenants/demo/dicom-web/studies/1.1/series/1.1.1`]);
    assert.equal(series?.['00100010'], undefined);
    assert.ok(series?.['00080060'] && series['00201209']);
    assert.ok(relational?.['00100010']);
    assert.ok(all[0]?.['00100010'] && all[0]['00280010'] && all[0]['00280101']);
    assert.deepEqual(all[0]['00081190']?.Value, [`${api.url}/tenants/demo/dicom-web/studies/1.1/series/1.1.1/instances/1.1.1.1`]);
    assert.deepEqual(Object.keys(all[0]), Object.keys(all[0]).toSorted());
  });

  it('returns of instances what their series and study hold in all, where the path does not name these', async () => {
    const [relational] = await (await search('/instances?SOPInstanceUID=1.1.1.1')).json() as Answer;
    const [inStudy] = await (await search('/studies/1.1/instances?SOPInstanceUID=1.1.1.1')).json() as Answer;
    const [inSeries] = await (await search('/studies/1.1/series/1.1.1/instances?SOPInstanceUID=1.1.1.1')).json() as Answer;
    const [asked] = await (await search('/studies/1.1/series/1.1.1/instances?SOPInstanceUID=1.1.1.1&includefield=NumberOfStudyRelatedInstances')).json() as Answer;
    const [study] = await (await search('/studies?StudyInstanceUID=1.1')).json() as Answer;
    const counts = (answer: Answer[number] | undefined) => ['00080061', '00201206', '00201208', '00201209'].map((tag) => answer?.[tag]?.Value);

    assert.deepEqual(counts(relational).slice(0, 3), counts(study).slice(0, 3));
    assert.equal(typeof counts(relational)[3]?.[0], 'number');
    assert.deepEqual(counts(inStudy), [undefined, undefined, undefined, counts(relational)[3]]);
    assert.deepEqual(counts(inSeries), [undefined, undefined, undefined, undefined]);
    assert.deepEqual(asked?.['00201208'], study?.['00201208']);
  });

  it('names fields of includefield that it never returns in a warning, private ones too', async () => {
    const response = await search('/studies?includefield=PixelSpacing,00091002&includefield=StudyDescription,Modality&includefield=RequestAttributesSequence.ScheduledProcedureStepID');

    assert.equal(response.headers.get('Warning'), '299 pacs "The following includefield values are not supported: PixelSpacing, 00091002"');
    assert.equal((await search('/studies?includefield=nonsense')).status, 400);
    assert.equal((await search('/studies?includefield=all')).headers.get('Warning'), null);
  });

  it('pages, tells what remains, and answers 204 behind the end', async () => {
    const first = await search('/instances?limit=3');
    const last = await search('/instances?limit=3&offset=3');

    assert.equal((await first.json() as Answer).length, 3);
    assert.equal(first.headers.get('Warning'), '299 pacs "There are 1 additional results that can be requested"');
    assert.equal((await last.json() as Answer).length, 1);
    assert.equal(last.headers.get('Warning'), null);
    assert.equal((await search('/instances?offset=4')).status, 204);
  });

  it('compares in the ways that parameters ask for', async () => {
    const count = async (query: string): Promise<number> => {
      const response = await search(`/studies?${query}`);
      return response.status === 204 ? 0 : (await response.json() as Answer).length;
    };
    const all = await count('');

    assert.deepEqual([await count('PatientName=jane'), await count('fuzzymatching=true&PatientName=jane')], [0, 1]);
    assert.deepEqual([await count('PatientID=%22%22'), await count('emptyvaluematching=true&PatientID=%22%22'), await count('emptyvaluematching=true&PatientBirthDate=%22%22')], [0, 0, all]);
    assert.deepEqual([await count('multiplevaluematching=true&ModalitiesInStudy=CT%5CMR'), await count('multiplevaluematching=true&ModalitiesInStudy=CT&ModalitiesInStudy=C*')], [0, all]);
    assert.equal((await search('/studies?fuzzymatching=true&PatientName=jane')).headers.get('Warning'), null);
  });

  it('negotiates JSON and XML', async () => {
    const accepted: readonly (readonly [string, number, string?])[] = [
      ['application/dicom+json', 200, 'application/dicom+json'], ['application/json', 200, 'application/json'], ['*/*', 200, 'application/dicom+json'], ['application/*;q=0.5', 200, 'application/dicom+json'],
      ['application/dicom+json;q=0.1, application/json', 200, 'application/json'], ['multipart/related; type="application/dicom+xml", application/dicom+json;q=0.2', 200, 'multipart/related'],
      ['multipart/related; type="application/dicom+xml";q=0.2, application/dicom+json;q=0.3', 200, 'application/dicom+json'],
      ['multipart/related; type="application/dicom+xml"', 200, 'multipart/related'], ['multipart/related', 200, 'multipart/related'], ['multipart/related; type="application/dicom"', 406],
      ['application/dicom+xml', 406], ['multipart/related; type="application/dicom+xml";q=0', 406], ['text/html', 406], ['application/dicom+json;q=0', 406],
    ];
    for (const [accept, status, type] of accepted) {
      const response = await search('/studies', { Accept: accept });
      assert.equal(response.status, status, accept);
      if (type) assert.match(response.headers.get('Content-Type') ?? '', new RegExp(`^${type.replace('+', '\\+')}`));
    }
    assert.equal((await search('/studies?accept=text/html', { Accept: '*/*' })).status, 406);
  });

  it('gives each match as a part in XML, the same as in JSON', async () => {
    const json = await (await search('/studies')).json() as Answer;
    const response = await search('/studies', { Accept: 'multipart/related; type="application/dicom+xml"' });
    const parts = await partsOf(response);

    assert.match(response.headers.get('Content-Type') ?? '', /^multipart\/related; type="application\/dicom\+xml"; boundary=/);
    assert.match(response.headers.get('Vary') ?? '', /Accept/);
    assert.deepEqual(parts.map(({ body }) => parseDicomXml(body.toString('utf8'))), json);
    assert.deepEqual(parts.map(({ headers }) => /Content-Location: (\S+)/.exec(headers)?.[1]), json.map((study) => study['00081190']?.Value?.[0]));
    assert.equal((await search('/studies?StudyInstanceUID=9.9', { Accept: 'multipart/related; type="application/dicom+xml"' })).status, 204);
  });

  it('never shows a tenant another one\'s studies, nor writes a query into the log', async () => {
    await api.tenants.put({ tenantId: 'second', gateways: [], destinations: [], rules: [] }, undefined);
    const token = await aToken({ tenants: ['second', 'demo'] });
    const options = { tenant: 'second', token };
    await api.call('/dicom-web/studies', { ...options, method: 'POST', headers: { 'Content-Type': multipartType }, body: aMultipart([aFile({ study: '7.7', series: '7.7.1', instance: '7.7.1.1' })]) });

    const found = await (await api.call('/dicom-web/studies?PatientName=Doe*', options)).json() as Answer;

    assert.deepEqual(found.map((study) => study['0020000D']?.Value), [['7.7']]);
    assert.equal((await api.call('/dicom-web/studies/1.1', options)).status, 404);
    assert.equal((await api.call('/dicom-web/studies/1.1/metadata', options)).status, 404);
    assert.equal(await count('/studies?StudyInstanceUID=7.7'), 0);
    assert.doesNotMatch(api.logLines.join('\n'), /Doe|Roe|PatientName/);
  });
});
