import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import type { S3Values } from '../stores/s3/s3.ts';
import { s3Get, s3Put, S3Ceiling } from './ceilingS3.ts';
import { Load, newUID } from './load.ts';

export interface CeilingOrder {
  readonly loadFolder: string;
  /** Written to and emptied again. */
  readonly folder: string;
  readonly instanceCount: number;
  readonly s3: S3Values;
}

/** What this machine does with the same bytes and nothing else: instances per second, and its CPU for one. */
export interface Ceiling {
  readonly what: string;
  readonly perSecond: number;
  readonly cpuMs: number;
}

type Instances = readonly (readonly Buffer[])[];

async function main(order: CeilingOrder): Promise<void> {
  const load = new Load(order.loadFolder);
  const uids = (): { study: string; series: string; instance: string } => ({ study: newUID(), series: newUID(), instance: newUID() });
  const instances = Array.from({ length: order.instanceCount }, (_, number) => load.pieces(uids(), number));
  const s3 = new S3Ceiling(order.s3, instances);
  mkdirSync(order.folder, { recursive: true });
  process.send!('ready');
  await new Promise((resolve) => process.once('message', resolve));
  const ceilings = [
    await measured('write + fdatasync, one file', instances, () => write(order.folder, instances, 1)),
    await measured('write + fdatasync, four files at once', instances, () => write(order.folder, instances, 4)),
    await measured('SHA-256', instances, () => hash(instances)),
    await measured('loopback, received and dropped', instances, () => receive(instances)),
    await measured(s3Put, instances, () => s3.put()),
    await measured(s3Get, instances, () => s3.get()),
  ];
  await s3.close();
  rmSync(order.folder, { recursive: true, force: true });
  process.send!(ceilings, () => process.disconnect());
}

async function measured(what: string, { length }: Instances, work: () => Promise<void>): Promise<Ceiling> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { what, perSecond: (1000 * length) / (performance.now() - began), cpuMs: (user + system) / 1000 / length };
}

async function write(folder: string, instances: Instances, fileCount: number): Promise<void> {
  await Promise.all(Array.from({ length: fileCount }, async (_, index) => {
    const file = await open(path.join(folder, `${index}`), 'w');
    let position = 0;
    for (let at = index; at < instances.length; at += fileCount) {
      position += (await file.writev(instances[at]!, position)).bytesWritten;
      await file.datasync();
    }
    await file.close();
  }));
}

async function hash(instances: Instances): Promise<void> {
  for (const pieces of instances) {
    const digest = createHash('sha256');
    for (const piece of pieces) digest.update(piece);
    digest.digest();
  }
}

/** Sent by a thread of its own, whose CPU counts as well. */
function receive(instances: Instances): Promise<void> {
  const wanted = instances.flat().reduce((sum, piece) => sum + piece.length, 0);
  return new Promise((resolve) => {
    let got = 0;
    const server = createServer((socket) => socket.on('data', ({ length }) => {
      got += length;
      if (got < wanted) return;
      socket.destroy();
      server.close(() => resolve());
    }).on('error', () => undefined)).listen(0, '127.0.0.1', () => new Worker(import.meta.filename, { workerData: { port: (server.address() as AddressInfo).port, wanted } }));
  });
}

/** The sending thread of `receive`. */
function send({ port, wanted }: { readonly port: number; readonly wanted: number }): void {
  const piece = Buffer.alloc(128 * 1024);
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  let left = wanted;
  const more = (): void => {
    while (left > 0) {
      left -= piece.length;
      if (!socket.write(piece)) return void socket.once('drain', more);
    }
  };
  socket.once('connect', more);
}

if (isMainThread) await main(JSON.parse(process.argv[2] ?? '{}') as CeilingOrder);
else send(workerData as { port: number; wanted: number });
