import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createDicomWebSender, retryAfterMs, type DicomWebSenderValues } from '../../../stores/destinations/destination.ts';
import type { InstanceToSend, SendResult } from '../../../stores/ports.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, body: () => Promise<Buffer>) => void | Promise<void>;

const anInstance = (sopInstanceUID: string, bytes: Buffer = Buffer.from(sopInstanceUID)): InstanceToSend => ({
  sopInstanceUID, sopClassUID: '1.2', transferSyntaxUID: '1.2.840.10008.1.2.1', lengthBytes: bytes.length, open: async () => Readable.from([bytes], { objectMode: false }),
});

/** UIDs of the parts of a request, as their content is their UID; checks the framing of RFC 2046. */
function partsOf(request: IncomingMessage, body: Buffer): readonly string[] {
  const boundary = /^multipart\/related; type="application\/dicom"; boundary=(\S+)$/.exec(request.headers['content-type'] ?? '')?.[1];
  assert.ok(boundary);
  const [first, ...pieces] = body.toString('latin1').split(`--${boundary}`);
  assert.equal(first, '');
  assert.equal(pieces.pop(), '--\r\n');
  return pieces.map((piece) => /^\r\nContent-Type: application\/dicom\r\n\r\n([\s\S]*)\r\n$/.exec(piece)?.[1] ?? '?');
}

const item = (uid: string, reason?: readonly [tag: string, code: number]) =>
  ({ '00081155': { vr: 'UI', Value: [uid] }, ...(reason ? { [reason[0]]: { vr: 'US', Value: [reason[1]] } } : {}) });
const storeResponse = (stored: readonly object[], failed: readonly object[] = []): string =>
  JSON.stringify({ '00081198': { vr: 'SQ', Value: failed }, '00081199': { vr: 'SQ', Value: stored } });

describe('The STOW-RS sender', () => {
  let server: Server;
  let answer: Answer;
  let requests: { readonly headers: IncomingMessage['headers']; readonly url: string | undefined; readonly parts: readonly string[] }[];
  before(async () => {
    server = createServer((request, response) => {
      let body: Promise<Buffer> | undefined;
      void Promise.resolve(answer(request, response, async () => {
        const bytes = await (body ??= buffer(request));
        requests.push({ headers: request.headers, url: request.url, parts: partsOf(request, bytes) });
        return bytes;
      })).catch(() => response.destroy());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => { requests = []; });
  after(() => { server.closeAllConnections(); server.close(); });

  const taken = (status: number, body: string, headers: Record<string, string> = {}): Answer => async (_, response, read) => {
    await read();
    response.writeHead(status, { 'content-type': 'application/dicom+json', ...headers }).end(body);
  };
  const destination = () => ({ kind: 'dicomweb', destinationId: 'cloud', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web/`, authorization: 'Bearer x' }) as const;
  const send = (instances: readonly InstanceToSend[], values: DicomWebSenderValues = {}, signal = new AbortController().signal): Promise<SendResult[]> =>
    Array.fromAsync(createDicomWebSender(values).send(destination(), instances, signal));
  const outcomes = (results: readonly SendResult[]) => results.map(({ sopInstanceUID, outcome, status }) => [sopInstanceUID, outcome, status]);

  it('posts instances as parts of one request with its length, type and credentials', async () => {
    answer = taken(200, storeResponse([item('1.1'), item('1.2')]));

    const results = await send([anInstance('1.1'), anInstance('1.2')]);

    assert.deepEqual(outcomes(results), [['1.1', 'delivered', 0], ['1.2', 'delivered', 0]]);
    const [{ headers, url, parts }] = requests as [(typeof requests)[number]];
    assert.deepEqual([url, parts], ['/dicom-web/studies', ['1.1', '1.2']]);
    assert.deepEqual([headers.accept, headers.authorization, headers['transfer-encoding']], ['application/dicom+json', 'Bearer x', undefined]);
  });

  it('tells delivered, with a warning, later and refused apart', async () => {
    answer = taken(202, storeResponse([item('1.1'), item('1.2', ['00081196', 0xb000])],
      [item('1.3', ['00081197', 0xa700]), item('1.4', ['00081197', 0xa900]), item('1.5', ['00081197', 0x0122]), item('1.6', ['00081197', 0x0110]), item('1.7')]));

    const results = await send(['1.1', '1.2', '1.3', '1.4', '1.5', '1.6', '1.7', '1.8'].map((uid) => anInstance(uid)));

    assert.deepEqual(outcomes(results), [['1.1', 'delivered', 0], ['1.2', 'delivered', 0xb000], ['1.3', 'later', 0xa700], ['1.4', 'refused', 0xa900],
      ['1.5', 'refused', 0x0122], ['1.6', 'later', 0x0110], ['1.7', 'refused', undefined], ['1.8', 'later', 202]]);
    assert.equal(results[4]?.problem, 'Referenced SOP Class not supported (0122)');
  });

  it('understands an answer without a body it can read by its status', async () => {
    const rows: readonly (readonly [number, string, SendResult['outcome']])[] = [[200, '<NativeDicomModel/>', 'delivered'], [202, '', 'later'], [409, '<x/>', 'refused'],
      [400, 'PatientName Doe^Jane is bad', 'refused'], [401, '', 'refused'], [413, '', 'refused'], [415, '', 'refused'], [302, '', 'refused']];
    for (const [status, body, expected] of rows) {
      answer = taken(status, body);
      const [result] = await send([anInstance('1.1')]);
      assert.equal(result?.outcome, expected, `${status}`);
      assert.doesNotMatch(result?.problem ?? '', /Doe/);
    }
    answer = taken(409, `[${storeResponse([], [item('1.1', ['00081197', 0xc000])])}]`);
    assert.deepEqual(outcomes(await send([anInstance('1.1')])), [['1.1', 'refused', 0xc000]]);
  });

  it('splits what it sends by bytes and by count', async () => {
    answer = taken(200, '{}');
    const instances = [10, 10, 10, 50, 5].map((lengthBytes, number) => anInstance(`1.${number}`, Buffer.alloc(lengthBytes, 65 + number)));

    await send(instances, { batchBytes: 20, batchInstances: 100 });
    await send(instances, { batchBytes: 1_000, batchInstances: 2 });

    assert.deepEqual(requests.map(({ parts }) => parts.length), [2, 1, 1, 1, 2, 2, 1]);
  });

  it('halves a batch that is too large for the destination', async () => {
    answer = async (request, response, read) => {
      const bytes = await read();
      response.writeHead(partsOf(request, bytes).length > 2 ? 413 : 200).end('{}');
    };

    const results = await send(['1', '2', '3', '4', '5'].map((uid) => anInstance(uid)));

    assert.deepEqual(results.map(({ sopInstanceUID, outcome }) => `${sopInstanceUID} ${outcome}`), ['1', '2', '3', '4', '5'].map((uid) => `${uid} delivered`));
  });

  it('throws with the time to wait when the destination is busy; earlier results stand', async () => {
    let count = 0;
    answer = (request, response, read) => (++count === 1 ? taken(200, '{}') : taken(503, '', { 'retry-after': '7' }))(request, response, read);
    const results: SendResult[] = [];

    const sending = (async () => {
      for await (const result of createDicomWebSender({ batchInstances: 1 }).send(destination(), ['1', '2', '3'].map((uid) => anInstance(uid)), new AbortController().signal)) results.push(result);
    })();

    await assert.rejects(sending, { name: 'DestinationUnavailable', status: 503, retryAfterMs: 7_000 });
    assert.deepEqual(results.map(({ sopInstanceUID }) => sopInstanceUID), ['1']);
  });

  it('throws when the connection breaks, the server is silent or not there', async () => {
    answer = (_, response) => { response.destroy(); };
    await assert.rejects(send([anInstance('1', Buffer.alloc(1_000_000))]), { name: 'DestinationUnavailable' });
    answer = () => undefined;
    await assert.rejects(send([anInstance('1')], { idleTimeoutMs: 100 }), /Nothing moved/);
    const away = { ...destination(), url: 'http://127.0.0.1:9/' };
    await assert.rejects(Array.fromAsync(createDicomWebSender().send(away, [anInstance('1')], new AbortController().signal)), { name: 'DestinationUnavailable' });
  });

  it('hears an answer that comes before everything is sent', async () => {
    answer = (_, response) => { response.writeHead(401).end(); };
    const [big] = [anInstance('1', Buffer.alloc(50_000_000))];

    const results = await send([big]);

    assert.deepEqual(outcomes(results), [['1', 'refused', 401]]);
  });

  it('throws what reading an instance threw, and does not blame the destination', async () => {
    answer = taken(200, '{}');
    const unreadable = { ...anInstance('1'), open: async () => { throw new Error('the archive is away'); } };
    const short = { ...anInstance('1'), lengthBytes: 100 };

    await assert.rejects(send([anInstance('0'), unreadable]), (error: Error) => error.name === 'Error' && error.message === 'the archive is away');
    await assert.rejects(send([short]), /An instance of 100 bytes has 1/);
  });

  it('opens one instance at a time and no faster than the destination reads', async () => {
    let [produced, opened, mostOpen] = [0, 0, 0];
    const gate = Promise.withResolvers<void>();
    answer = async (request, response) => {
      await gate.promise;
      request.resume();
      await once(request, 'end');
      response.end('{}');
    };
    const endless = (): InstanceToSend => ({ ...anInstance('1'), lengthBytes: 30_000_000, open: async () => {
      mostOpen = Math.max(mostOpen, ++opened);
      return Readable.from((function* chunks() {
        for (let sent = 0; sent < 30_000_000; sent += 100_000) {
          produced += 100_000;
          yield Buffer.alloc(100_000);
        }
        opened--;
      })(), { objectMode: false });
    } });

    const sending = send([endless(), endless()]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const whileBlocked = produced;
    gate.resolve();
    await sending;

    assert.ok(whileBlocked < 20_000_000, `${whileBlocked} bytes were read ahead`);
    assert.equal(mostOpen, 1);
  });

  it('stops when it is cancelled', async () => {
    const controller = new AbortController();
    answer = () => { controller.abort(); };

    await assert.rejects(send([anInstance('1')], {}, controller.signal), { name: 'AbortError' });
  });

  it('reads Retry-After as seconds or as a date', () => {
    assert.equal(retryAfterMs('120'), 120_000);
    assert.equal(retryAfterMs('Wed, 01 May 2024 10:00:30 GMT', Date.UTC(2024, 4, 1, 10)), 30_000);
    assert.equal(retryAfterMs('Wed, 01 May 2024 09:00:00 GMT', Date.UTC(2024, 4, 1, 10)), 0);
    assert.deepEqual([retryAfterMs(undefined), retryAfterMs('soon')], [undefined, undefined]);
  });
});
