import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { storeInstances } from '../../../edge-gateway/scu/store.ts';
import { runPeer } from '../../support/peers.ts';
import type { Book } from './book.ts';
import type { Site } from './site.ts';
import type { Instance, Study } from './studies.ts';

/** One try to send instances. Notes in the book what was answered; never throws. */
export type Transport = (site: Site, instances: readonly Instance[], book: Book) => Promise<void>;

const timeouts = { connectMs: 5_000, associateMs: 10_000, responseMs: 15_000, releaseMs: 5_000 };

/** C-STORE, each instance answered for itself. */
export const byDimse: Transport = async (site, instances, book) => {
  const peer = { host: '127.0.0.1', port: site.links.dicom.port, calledAETitle: 'PACS', callingAETitle: 'MODALITY' };
  const byUID = new Map(instances.map((instance) => [instance.sopInstanceUID, instance]));
  const outgoing = instances.map((instance) => ({ ...instance, open: async function* () {
    book.offer(instance);
    yield* instance.open();
  } }));
  try {
    for await (const result of storeInstances(peer, outgoing, { timeouts })) {
      if (result.outcome === 'answered' && result.status === 0) book.acknowledge(byUID.get(result.sopInstanceUID)!);
      else book.refused++;
    }
  } catch {
    // The association broke: what was answered before is in the book.
  }
};

/** STOW-RS, all in one request (PS3.18 10.5). */
export const byStow: Transport = async (site, instances, book) => {
  for (const instance of instances) book.offer(instance);
  const boundary = 'soak-boundary';
  const parts = instances.flatMap((instance) => [Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`), fileOf(instance), Buffer.from('\r\n')]);
  try {
    const answer = await site.sendingApi.call('dicom-web/studies', {
      method: 'POST', body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]), signal: AbortSignal.timeout(90_000),
      headers: { 'content-type': `multipart/related; type="application/dicom"; boundary=${boundary}`, accept: 'application/dicom+json' } });
    const body = await answer.json() as Readonly<Record<string, { readonly Value?: readonly Readonly<Record<string, { readonly Value?: readonly string[] }>>[] }>>;
    const stored = new Set((answer.ok ? body['00081199']?.Value ?? [] : []).map((item) => item['00081155']?.Value?.[0]));
    for (const instance of instances) {
      if (stored.has(instance.sopInstanceUID)) book.acknowledge(instance);
      else book.refused++;
    }
  } catch {
    // No answer, or half of one: it counts as none.
  }
};

/** DCMTK's storescu: only when every file had success does it end with 0, and only that counts here. */
export const byStorescu = (storescu: string, folder: string): Transport => async (site, instances, book) => {
  const own = path.join(folder, `storescu-${Math.random().toString(36).slice(2)}`);
  await mkdir(own, { recursive: true });
  try {
    for (const instance of instances) {
      book.offer(instance);
      await writeFile(path.join(own, `${instance.sopInstanceUID}.dcm`), fileOf(instance));
    }
    const { code } = await runPeer(storescu, ['-aet', 'DCMTK', '-aec', 'PACS', '-to', '10', '-ta', '15', '-td', '15', '+sd', '127.0.0.1', `${site.links.dicom.port}`, own], { timeoutMs: 90_000 });
    if (code === 0) for (const instance of instances) book.acknowledge(instance);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
};

/** What a modality does: sends what has no success yet, again and again, until everything has. @returns whether everything has */
export async function sendUntilAccepted(site: Site, study: Pick<Study, 'instances'>, book: Book, { transport = byDimse, pauseMs = 1_000, patienceMs = 180_000 }: {
  readonly transport?: Transport; readonly pauseMs?: number; readonly patienceMs?: number } = {}): Promise<boolean> {
  for (const end = Date.now() + patienceMs; Date.now() < end; await sleep(pauseMs)) {
    const missing = book.missing(study);
    if (missing.length === 0) return true;
    await transport(site, missing, book);
    if (book.missing(study).length === 0) return true;
  }
  return false;
}

const fileOf = (instance: Instance): Buffer => Buffer.concat([encodeFileMeta(instance), instance.dataSet]);
