import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { aFile, aMultipart, multipartType } from '../unit/api/support.ts';
import { aUID } from './aStudy.ts';
import type { PacsClient } from './pacsClient.ts';
import { ctInstances, sendUntilItBreaks } from './sender.ts';
import { eventually, type Pacs } from './stack.ts';

/** What a tenant's flood costs its neighbour: seconds from sending one image until a search finds it. */
export interface FloodCost {
  readonly idleSeconds: readonly number[];
  /** From the flood's first image until its last is found. */
  readonly besideSeconds: readonly number[];
  readonly floodSeconds: number;
  /** Instances of the flood that were acknowledged. */
  readonly acceptedCount: number;
}

export interface FloodOptions {
  readonly studyCount: number;
  readonly instancesPerStudy: number;
  /** Associations at once, one a study. */
  readonly senders?: number;
  /** Everything of the flood is routed to a destination that takes connections and says nothing. */
  readonly toHangingDestination?: boolean;
}

const idleRuns = 5;
const pauseMs = 300;

/** Floods the gateway of one tenant with small studies, and sends one image of the other tenant after the other meanwhile. */
export async function measureFlood(pacs: Pacs, { studyCount, instancesPerStudy, senders = 4, toHangingDestination = false }: FloodOptions): Promise<FloodCost> {
  const neighbour = await pacs.clientOf(pacs.otherTenantId, [pacs.otherTenantId]);
  const hanging = toHangingDestination ? await startHanging() : undefined;
  try {
    if (hanging) {
      await pacs.api.configure(() => ({ rules: [{ ruleId: 'all', destinationId: 'hanging' }],
        destinations: [{ kind: 'dicom', destinationId: 'hanging', gatewayId: 'gw1', host: '127.0.0.1', port: hanging.port, calledAETitle: 'HANGING' }] }));
    }
    const idleSeconds: number[] = [];
    for (let run = 0; run < idleRuns; run++) idleSeconds.push(await secondsUntilFound(neighbour));
    const began = performance.now();
    const studies = Array.from({ length: studyCount }, aUID);
    let acceptedCount = 0;
    const waiting = studies.values();
    const sender = async (): Promise<void> => {
      for (const study of waiting) {
        const accepted = await sendUntilItBreaks(pacs.stack.urls.dicom, ctInstances({ study, count: instancesPerStudy, pixelBytes: 512 }));
        acceptedCount += accepted.length;
      }
    };
    let isOver = false;
    const flood = Promise.all(Array.from({ length: senders }, sender)).then(async () => {
      for (const study of studies) await eventually(`study ${study} of the flood is found`, async () => await pacs.api.findInstances(study) === instancesPerStudy, 900_000);
    }).finally(() => { isOver = true; });
    flood.catch(() => undefined);
    const besideSeconds: number[] = [];
    for (; !isOver; await sleep(pauseMs)) besideSeconds.push(await secondsUntilFound(neighbour));
    await flood;
    return { idleSeconds, besideSeconds, floodSeconds: (performance.now() - began) / 1000, acceptedCount };
  } finally {
    if (hanging) {
      await pacs.api.configure(() => ({ destinations: [], rules: [] }));
      hanging.close();
    }
  }
}

/** Uploads one image by STOW-RS and asks QIDO-RS until it is there. */
async function secondsUntilFound(client: PacsClient): Promise<number> {
  const study = aUID();
  const body = aMultipart([aFile({ study, series: aUID(), instance: aUID(), pixels: randomBytes(32) })]);
  const began = performance.now();
  const answer = await client.call('dicom-web/studies', { method: 'POST', headers: { 'content-type': multipartType }, body: new Uint8Array(body) });
  if (!answer.ok) throw new Error(`STOW-RS gave ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
  await eventually('the image is found', async () => await client.findInstances(study) === 1, 120_000);
  return (performance.now() - began) / 1000;
}

/** Takes connections and never says a word. */
async function startHanging(): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  } };
}
