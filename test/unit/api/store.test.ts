import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { readdir } from 'node:fs/promises';
import { parseDicomXml } from '../../../api/dicomweb/store/parseDicomXml.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { packLimits } from '../../../domain/pack.ts';
import { encode, explicitLE } from '../dicom/dataSetBytes.ts';
import { aFile, aMultipart, anApi, aToken, multipartType, partsOf, stow, valuesIn, type Api } from './support.ts';

type Answer = Parameters<typeof valuesIn>[0];
const referenced = '00081199';
const failed = '00081198';
const other = '0008119A';
const instanceUID = '00081155';
const reason = '00081197';

describe('api: store (STOW-RS)', () => {
  let api: Api;
  beforeEach(async () => { api = await anApi(); });
  afterEach(() => api.close());

  const answerOf = async (response: Response): Promise<Answer> => await response.json() as Answer;

  it('stores what it is sent and says where it is', async () => {
    const response = await stow(api, [aFile(), aFile({ instance: '1.2.3.1.2' }), aFile({ series: '1.2.3.2', instance: '1.2.3.2.1' })]);
    const answer = await answerOf(response);

    assert.equal(response.status, 200);
    assert.deepEqual(valuesIn(answer, referenced, instanceUID), ['1.2.3.1.1', '1.2.3.1.2', '1.2.3.2.1']);
    assert.deepEqual(answer['00081190']?.Value, [`${api.url}/tenants/demo/dicom-web/studies/1.2.3`]);
    assert.deepEqual(answer[referenced]?.Value?.[0]?.['00081190']?.Value, [`${api.url}/tenants/demo/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1`]);
    assert.equal(answer[failed], undefined);
    assert.equal(api.archive.packs.size, 2);
    const [start] = api.flows.started;
    assert.match(start?.flowId ?? '', /^demo\/ingest\/stow\/[0-9a-f-]{36}$/);
    assert.deepEqual(await readdir(api.folder), []);
  });

  it('answers in JSON or XML, as the sender takes it', async () => {
    const body = aMultipart([aFile(), Buffer.from('no dicom')]);
    const send = (Accept: string): Promise<Response> => api.call('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': multipartType, Accept }, body });
    const [xml, json] = [await send('application/dicom+xml'), await send('application/json;q=0.5, application/dicom+json')];

    assert.deepEqual([xml.status, xml.headers.get('Content-Type')], [202, 'application/dicom+xml']);
    assert.deepEqual(parseDicomXml(await xml.text()), await json.json());
    assert.equal((await send('text/html')).status, 406);
  });

  it('answers success to a resend, which changes nothing', async () => {
    const files = [aFile(), aFile({ instance: '1.2.3.1.2' })];
    await stow(api, files);
    const before = [...api.archive.packs.keys()];

    const again = await stow(api, files);
    const one = await stow(api, [files[1]!]);

    assert.deepEqual([again.status, one.status], [200, 200]);
    assert.deepEqual(valuesIn(await answerOf(one), referenced, instanceUID), ['1.2.3.1.2']);
    assert.equal([...api.archive.indexes.keys()].length, before.length);
  });

  it('gives the same data set the same file whatever file meta it came with', async () => {
    const file = aFile();
    const dataSet = file.subarray(encodeFileMeta({ sopClassUID: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUID: '1.2.3.1.1', transferSyntaxUID: explicitLE }).length);
    const aeTitle = { tag: 0x00020016, vr: 'AE', value: 'SOMEONE' };
    const meta = encode([{ tag: 0x00020010, vr: 'UI', value: explicitLE }, aeTitle]);
    const foreign = Buffer.concat([Buffer.alloc(128, 7), Buffer.from('DICM'), meta, dataSet]);

    const answers = [await stow(api, [file]), await stow(api, [foreign])];

    assert.deepEqual(answers.map(({ status }) => status), [200, 200]);
    assert.equal(api.archive.indexes.size, 1);
  });

  it('stores the good parts beside bad ones, and says of each bad one what it is', async () => {
    const noUIDs = Buffer.concat([encodeFileMeta({ sopClassUID: '1.2', sopInstanceUID: '1.3', transferSyntaxUID: explicitLE }), encode([{ tag: 0x00080060, vr: 'CS', value: 'CT' }])]);
    const cutOff = aFile({ instance: '1.2.3.1.8' }).subarray(0, -10);
    const pathUID = aFile({ instance: '../../etc' });

    const response = await stow(api, [Buffer.from('no dicom'), aFile(), Buffer.alloc(200), noUIDs, cutOff, pathUID, Buffer.alloc(0), aFile({ instance: '1.2.3.1.9' })]);
    const answer = await answerOf(response);

    assert.equal(response.status, 202);
    assert.deepEqual(valuesIn(answer, referenced, instanceUID), ['1.2.3.1.1', '1.2.3.1.9']);
    assert.deepEqual(valuesIn(answer, failed, instanceUID), ['1.2.3.1.8']);
    assert.deepEqual(valuesIn(answer, failed, reason), [0xc000]);
    assert.deepEqual(valuesIn(answer, other, reason), Array(5).fill(0xc000));
  });

  it('fails only the instances of another study than the URL names', async () => {
    const response = await stow(api, [aFile(), aFile({ study: '9.9', series: '9.9.1', instance: '9.9.1.1' })], '/dicom-web/studies/1.2.3');
    const answer = await answerOf(response);
    const none = await stow(api, [aFile()], '/dicom-web/studies/5.5');

    assert.equal(response.status, 202);
    assert.deepEqual([valuesIn(answer, failed, instanceUID), valuesIn(answer, failed, reason)], [['9.9.1.1'], [0xa901]]);
    assert.equal(none.status, 409);
    assert.equal(api.flows.started.length, 1);
  });

  it('keeps both of two different instances with one UID, and reports the second as a conflict', async () => {
    const [first, second] = [aFile(), aFile()];
    const both = await answerOf(await stow(api, [first, second]));
    const later = await stow(api, [aFile()]);
    const conflicts = await (await api.call('/studies/1.2.3/conflicts')).json() as { total: number; instances: { verdict: string }[] };

    assert.deepEqual([valuesIn(both, referenced, instanceUID), valuesIn(both, failed, reason)], [['1.2.3.1.1'], [0x0111]]);
    assert.equal(later.status, 409);
    assert.equal(conflicts.total, 2);
    assert.deepEqual([...new Set(conflicts.instances.map(({ verdict }) => verdict))], ['conflict']);
    const [current] = await Array.fromAsync(api.index.locate('demo', { studyInstanceUID: '1.2.3' }));
    assert.equal(current?.lengthBytes, first.length);
  });

  it('lets an admin choose which of two is current, and says what it cannot choose', async () => {
    await stow(api, [aFile()]);
    await stow(api, [aFile()]);
    const { instances } = await (await api.call('/studies/1.2.3/conflicts')).json() as { instances: { sha256: string; packId: string }[] };
    const { sha256, packId } = instances[0]!;
    const decide = (body: object, instance = '1.2.3.1.1') => api.call(`/studies/1.2.3/conflicts/${instance}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

    const taken = await decide({ sha256, why: 'the right patient' });
    const refused = [await decide({ sha256: 'a'.repeat(64), why: 'x' }), await decide({ sha256 }), await decide({ why: 'x' }), await decide({ sha256, why: 'x' }, '1.2.9')];

    assert.equal(taken.status, 200);
    assert.deepEqual(refused.map(({ status }) => status), [404, 400, 400, 404]);
    assert.deepEqual(api.flows.choices.map(({ studyInstanceUID, sopInstanceUID, packId: chosen, sha256: bytes, by, why }) => ({ studyInstanceUID, sopInstanceUID, chosen, bytes, by, why })),
      [{ studyInstanceUID: '1.2.3', sopInstanceUID: '1.2.3.1.1', chosen: packId, bytes: sha256, by: 'jo', why: 'the right patient' }]);
  });

  it('closes a pack at its limits and keeps the order', async () => {
    const files = Array.from({ length: packLimits.instanceCount + 3 }, (_, at) => aFile({ instance: `1.2.3.1.${at + 1}`, pixels: Buffer.alloc(32, at) }));

    assert.equal((await stow(api, files)).status, 200);

    assert.deepEqual([...api.archive.indexes.values()].map(({ instances }) => instances.length).toSorted(), [3, packLimits.instanceCount]);
  });

  it('reports what its flow gave up, and the flow when it takes too long', async () => {
    api.flows.ingest = async () => {};
    const files = [aFile()];
    const gaveUp = await stow(api, files);
    api.flows.endsInTime = false;
    const late = await stow(api, files);

    assert.equal(gaveUp.status, 409);
    assert.deepEqual(valuesIn(await answerOf(gaveUp), failed, reason), [0x0110]);
    assert.equal(late.status, 503);
    assert.equal(late.headers.get('Retry-After'), '30');
    assert.match(late.headers.get('Location') ?? '', /\/tenants\/demo\/flows\/demo\/ingest\/stow\//);
    assert.equal(api.archive.packs.size, 1);
  });

  it('answers 400, 413 and 415 to what is no store request, and stores nothing', async () => {
    const post = (type: string, body: Buffer, headers: Record<string, string> = {}): Promise<Response> =>
      api.call('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': type, ...headers }, body });
    const body = aMultipart([aFile()]);
    const rows: readonly (readonly [Promise<Response>, number])[] = [
      [post(multipartType, body.subarray(0, -20)), 400], [post(multipartType, Buffer.from('nothing')), 400], [post(multipartType, aMultipart([])), 400],
      [post('multipart/related; type="application/dicom"', body), 400], [post('multipart/related; type="application/pdf"; boundary=b0undary', body), 415],
      [post('multipart/form-data; boundary=b0undary', body), 415], [post('application/json', body), 415], [post(multipartType, body, { 'Content-Encoding': 'gzip' }), 415],
      [post(multipartType, body, { Accept: 'text/html' }), 406],
    ];
    for (const [at, [response, status]] of rows.entries()) assert.equal((await response).status, status, `row ${at}`);

    assert.equal(api.flows.started.length, 0);
    const small = await anApi({ stow: { folder: api.folder, maxBytes: 1000, waitMs: 1000 } });
    assert.equal((await stow(small, [aFile(), aFile({ pixels: Buffer.alloc(5000) })])).status, 413);
    await small.close();
  });

  it('takes boundaries and types as senders write them, one part without an envelope, and bodies in any chunks', async () => {
    const body = aMultipart([aFile()], 'a b=+', 'application/dicom; transfer-syntax=1.2.840.10008.1.2.1');
    const types = ['multipart/related; boundary="a b=+"', 'Multipart/Related;type=application/dicom;boundary="a b=+";start="<x>"', 'multipart/related; type="application/dicom" ; transfer-syntax=1.2.840.10008.1.2.1; boundary="a b=+"'];
    for (const type of types) assert.equal((await api.call('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': type }, body })).status, 200, type);
    assert.equal((await api.call('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': 'application/dicom' }, body: aFile({ instance: '1.2.3.1.7' }) })).status, 200);
    const chunked = new ReadableStream({
      start(controller) {
        for (let at = 0; at < body.length; at += 13) controller.enqueue(body.subarray(at, at + 13));
        controller.close();
      },
    });
    assert.equal((await api.call('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': types[0]! }, body: chunked })).status, 200);
  });

  it('keeps nothing when the sender goes away before the end', async () => {
    const body = aMultipart([aFile(), aFile({ instance: '1.2.3.1.2', pixels: Buffer.alloc(300_000) })]);
    const request = httpRequest(`${api.url}/tenants/demo/dicom-web/studies`, { method: 'POST', headers: { Authorization: `Bearer ${await aToken()}`, 'Content-Type': multipartType, 'Content-Length': body.length } });
    request.on('error', () => {});
    await new Promise((resolve) => request.write(body.subarray(0, -1000), resolve));
    while ((await readdir(api.folder)).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    request.destroy();

    while ((await readdir(api.folder)).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(api.flows.started.length, 0);
    assert.equal(api.archive.packs.size, 0);
  });

  it('finds UIDs behind a long first element, and hashes such a file as any other', async () => {
    const late = aFile({ instance: '1.2.3.1.5', extra: [{ tag: 0x00091010, vr: 'OB', value: Buffer.alloc(3 * 1024 * 1024, 5) }] });
    const response = await stow(api, [late]);

    assert.equal(response.status, 200);
    const [part] = await partsOf(await api.call('/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.5'));
    assert.deepEqual(part?.body, late);
  });

  it('refuses a tenant that has no configuration', async () => {
    const token = await aToken({ tenants: ['empty'] });
    assert.equal((await api.call('/dicom-web/studies', { tenant: 'empty', token, method: 'POST', headers: { 'Content-Type': multipartType }, body: aMultipart([aFile()]) })).status, 404);
  });
});
