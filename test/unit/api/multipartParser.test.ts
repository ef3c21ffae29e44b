import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { parseMultipart } from '../../../api/dicomweb/store/multipartParser.ts';
import { multipartEnd, partStart } from '../../../api/dicomweb/multipart.ts';

async function* chunks(bytes: Buffer, at: readonly number[]): AsyncGenerator<Buffer> {
  let from = 0;
  for (const to of [...at, bytes.length]) {
    if (to > from) yield bytes.subarray(from, to);
    from = to;
  }
}

async function parsed(source: AsyncIterable<Buffer>, boundary = 'abc'): Promise<readonly { readonly type: string | undefined; readonly body: string }[]> {
  const parts = [];
  for await (const { headers, body } of parseMultipart(source, boundary)) {
    parts.push({ type: headers.get('content-type'), body: Buffer.concat(await Array.fromAsync(body)).toString('latin1') });
  }
  return parts;
}

const body = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
const tricky = body('preamble\n--abcd is no boundary\n--abc  \t\nContent-Type: application/dicom;\n transfer-syntax=1.2\n\nfirst\n--ab\n--abcd\n--abc-\n\n--abc\n\n\n--abc\nCONTENT-TYPE:a/b\n\n--abc\n--abc--\nepilogue\n--abc\n');
const expected = [
  { type: 'application/dicom; transfer-syntax=1.2', body: 'first\r\n--ab\r\n--abcd\r\n--abc-\r\n' },
  { type: undefined, body: '' },
  { type: 'a/b', body: '--abc' },
];

describe('parseMultipart', () => {
  it('finds the same parts wherever the chunks are split', async () => {
    for (let at = 0; at <= tricky.length; at++) assert.deepEqual(await parsed(chunks(tricky, [at])), expected, `split at ${at}`);
    assert.deepEqual(await parsed(chunks(tricky, tricky.map((_, at) => at) as unknown as number[])), expected);
    assert.deepEqual(await parsed(chunks(tricky, Array.from(tricky.keys()))), expected);
  });

  it('reads what the writer wrote, whatever the bytes are', async () => {
    const files = Array.from({ length: 20 }, (_, at) => Buffer.concat([randomBytes(at * 37), Buffer.from('\r\n--ab\r\n'), randomBytes(3)]));
    const written = Buffer.concat([...files.flatMap((file, at) => [partStart('abc', { contentType: 'a/b', contentLocation: 'http://x/y' }, at === 0), file]), multipartEnd('abc')]);

    const parts = await parsed(chunks(written, [1, 7, 500, 501, 900]));

    assert.deepEqual(parts.map((part) => part.body), files.map((file) => file.toString('latin1')));
  });

  it('skips what a reader leaves unread of a part', async () => {
    const seen: string[] = [];
    for await (const { body: part } of parseMultipart(chunks(body('--abc\n\none\n--abc\n\ntwo\n--abc\n\nthree\n--abc--\n'), [9, 10, 20]), 'abc')) {
      seen.push((await part.next()).value?.toString() ?? '');
      if (seen.length === 2) await part.return(undefined);
    }

    assert.equal(seen.length, 3);
    assert.equal(seen[2], 'three');
  });

  it('holds no more than a chunk of a part', async () => {
    const chunk = Buffer.alloc(64 * 1024, 1);
    async function* large(): AsyncGenerator<Buffer> {
      yield body('--abc\n\n');
      for (let at = 0; at < 5_000; at++) yield chunk;
      yield body('\n--abc--');
    }
    const before = process.memoryUsage().arrayBuffers;
    let [bytes, most] = [0, 0];
    for await (const part of parseMultipart(large(), 'abc')) {
      for await (const piece of part.body) {
        bytes += piece.length;
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
    }

    assert.equal(bytes, 5_000 * 64 * 1024);
    assert.ok(most < 200 * 1024 * 1024, `${most} bytes held`);
  });

  it('refuses bodies that end early, have no boundary or headers without end', async () => {
    const refused = [body(''), body('--abc'), body('--abc\n'), body('--abc\nA: b\n\nfirst'), body('--abc\nA: b\n\nfirst\n--ab'), body('no boundary at all\n'), body(`--abc\nA: ${'b'.repeat(20_000)}`)];
    for (const bytes of refused) await assert.rejects(parsed(chunks(bytes, [3])), { name: 'MultipartError' });
  });
});

describe('multipart writer', () => {
  it('writes the golden bytes of RFC 2387', () => {
    const bytes = Buffer.concat([
      partStart('b', { contentType: 'application/dicom', contentLocation: 'http://h/1', contentLength: 2 }, true), Buffer.from('XY'),
      partStart('b', { contentType: 'application/dicom', contentLocation: 'http://h/2' }, false), Buffer.from('Z'), multipartEnd('b'),
    ]);

    assert.equal(bytes.toString('latin1'), '--b\r\nContent-Type: application/dicom\r\nContent-Location: http://h/1\r\nContent-Length: 2\r\n\r\nXY'
      + '\r\n--b\r\nContent-Type: application/dicom\r\nContent-Location: http://h/2\r\n\r\nZ\r\n--b--\r\n');
  });
});
