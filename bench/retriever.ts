import { Agent, get } from 'node:http';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { createS3, type S3Values } from '../stores/s3/s3.ts';

/** What the reading side is told, as JSON in its first argument. */
export interface RetrieverOrder {
  /** Read in turn by the workers, each whole and dropped. */
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly workerCount: number;
  /** The URLs are keys of this bucket instead. */
  readonly s3?: S3Values;
}

/** Times are milliseconds. */
export interface RetrieverReport {
  readonly ms: number;
  readonly bytes: number;
  readonly failures: number;
  readonly cpuMs: number;
  /** Of each URL, from asking to the first byte and to the last. */
  readonly firstByteMs: readonly number[];
  readonly wholeMs: readonly number[];
}

interface Read { readonly bytes: number; readonly firstByteMs: number }

async function main(order: RetrieverOrder): Promise<void> {
  const read = order.s3 ? s3Reader(order.s3) : httpReader(order);
  const go = new Promise((resolve) => process.once('message', resolve));
  process.send!('ready');
  await go;
  const cpu = process.cpuUsage();
  const began = performance.now();
  const queue = [...order.urls];
  const [firstByteMs, wholeMs]: [number[], number[]] = [[], []];
  let [bytes, failures] = [0, 0];
  await Promise.all(Array.from({ length: order.workerCount }, async () => {
    for (let url = queue.shift(); url !== undefined; url = queue.shift()) {
      const askedAt = performance.now();
      try {
        const done = await read(url);
        bytes += done.bytes;
        firstByteMs.push(done.firstByteMs);
        wholeMs.push(performance.now() - askedAt);
      } catch {
        failures++;
      }
    }
  }));
  const { user, system } = process.cpuUsage(cpu);
  const report: RetrieverReport = { ms: performance.now() - began, bytes, failures, cpuMs: (user + system) / 1000, firstByteMs, wholeMs };
  process.send!(report, () => process.exit());
}

function httpReader({ headers, workerCount }: RetrieverOrder): (url: string) => Promise<Read> {
  const agent = new Agent({ keepAlive: true, maxSockets: workerCount });
  return (url) => new Promise((resolve, reject) => {
    const askedAt = performance.now();
    let [bytes, firstByteMs] = [0, 0];
    get(url, { agent, headers }, (response) => {
      response.on('data', (chunk: Buffer) => {
        firstByteMs ||= performance.now() - askedAt;
        bytes += chunk.length;
      });
      response.once('end', () => (response.statusCode === 200 ? resolve({ bytes, firstByteMs }) : reject(new Error(`status ${response.statusCode}`))));
      response.once('error', reject);
    }).once('error', reject);
  });
}

function s3Reader(values: S3Values): (key: string) => Promise<Read> {
  const { s3, bucket } = createS3(values);
  return async (key) => {
    const askedAt = performance.now();
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    let [bytes, firstByteMs] = [0, 0];
    for await (const chunk of Body as AsyncIterable<Buffer>) {
      firstByteMs ||= performance.now() - askedAt;
      bytes += chunk.length;
    }
    return { bytes, firstByteMs };
  };
}

await main(JSON.parse(process.argv[2] ?? '{}') as RetrieverOrder);
