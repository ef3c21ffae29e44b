import { setTimeout as sleep } from 'node:timers/promises';
import type { Act, ArmedFault, Fault, FaultList, Moment } from '../../test/faults/harness/faultList.ts';
import type { Site } from '../../test/faults/harness/site.ts';
import { armKill, placeOf } from '../../test/faults/harness/steps.ts';
import type { Keeper } from './keeper.ts';
import type { FaultKind, IndexFault, S3Fault, TemporalFault } from './plan.ts';

/** How long a fault waits for the call it is meant for. */
const patienceMs = 25_000;
const stallMs = 3_000;

/** Brings one planned fault about. @returns whether it met anything; `done` resolves when its consequences are cleared */
export async function inject(site: Site, keeper: Keeper, fault: FaultKind, onHit: () => void): Promise<boolean> {
  const hit = (): true => (onHit(), true);
  switch (fault.kind) {
    case 'kill': {
      onHit();
      await keeper.kill(fault.parts, fault.downMs);
      return true;
    }
    case 'killAtStep': {
      if (!await met(armKill(site, placeOf(fault.step, fault.moment)!, fault.parts), onHit)) return false;
      await keeper.bringBack(fault.parts, fault.downMs);
      return true;
    }
    case 'killUnanswered': {
      const release = site.links.dicom.holdAnswers();
      await sleep(400);
      onHit();
      await keeper.kill(['gateway'], fault.downMs).finally(release);
      return true;
    }
    case 's3': return met(site.links[fault.link].faults.arm({ ...s3Acts[fault.how], times: fault.times,
      matches: ({ method, path }) => method === fault.method && path.includes('tenants/') }), onHit);
    case 'index': return met(site.links.index.faults.arm({ ...indexActs[fault.how], times: fault.times, matches: ({ path }) => path.includes('pacs-') || path.includes('_bulk') }), onHit);
    case 'temporal': return met(site.links[fault.link].faults.arm({ ...temporalActs[fault.how], times: fault.times, matches: ({ path }) => path.endsWith(`/${fault.method}`) }), onHit);
    case 'readOnlyIndex': {
      await setReadOnly(site, true);
      onHit();
      await sleep(fault.forMs);
      await setReadOnly(site, null);
      return true;
    }
    case 'link': {
      site.links[fault.link].cut();
      onHit();
      await sleep(fault.forMs);
      site.links[fault.link].mend();
      return true;
    }
    case 'slowLink': {
      site.links[fault.link].slow(fault.bytesPerSecond);
      onHit();
      await sleep(fault.forMs);
      site.links[fault.link].slow(undefined);
      return true;
    }
    case 'dicom': return fault.how === 'break' ? counted(site.links.dicom.breakAfter(fault.bytes), onHit)
      : disturb(site.links.dicom, fault.how === 'hang' ? 'hanging' : 'cut', fault.forMs, hit);
    case 'destination': {
      if (fault.how === 'busy') return counted(site.destination.refuse(fault.count), onHit);
      if (fault.how === 'break') return counted(site.links.delivery.breakAfter(50_000 * fault.count), onHit);
      return disturb(site.links.delivery, fault.how === 'hang' ? 'hanging' : 'cut', fault.forMs, hit);
    }
    case 'api': return met(site.links.api.faults.arm({ ...apiActs[fault.how], matches: ({ method, path }) => method === 'POST' && path.includes('dicom-web') }), onHit);
    case 'diskFull': {
      if (!site.disk) return false;
      site.disk.fill(fault.leaveBytes);
      onHit();
      await sleep(fault.forMs);
      site.disk.empty();
      return true;
    }
    case 'clock': {
      if (!site.clocks) return false;
      site.clocks[fault.where].set(fault.seconds);
      onHit();
      await sleep(fault.forMs);
      site.clocks[fault.where].set(0);
      return true;
    }
  }
}

type Strike = Pick<Fault, 'act' | 'moment'>;
const strike = (moment: Moment, act: Act): Strike => ({ moment, act });
const cut: Act = { kind: 'cut' };
const s3Error = (status: number, code: string): Act =>
  ({ kind: 'answer', status, body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>injected</Message></Error>` });

const s3Acts: Readonly<Record<S3Fault, Strike>> = {
  '500': strike('before', s3Error(500, 'InternalError')), '503': strike('before', s3Error(503, 'SlowDown')), reset: strike('before', cut),
  halfBody: strike('halfway', cut), dropAnswer: strike('after', cut), halfAnswer: strike('after', { kind: 'half' }), stall: strike('before', { kind: 'stall', ms: stallMs }),
};
const indexError = (status: number): Act => ({ kind: 'answer', status, body: JSON.stringify({ error: { type: 'injected', reason: 'injected' }, status }) });
const indexActs: Readonly<Record<IndexFault, Strike>> = {
  '429': strike('before', indexError(429)), '503': strike('before', indexError(503)), reset: strike('before', cut), dropAnswer: strike('after', cut),
  stall: strike('before', { kind: 'stall', ms: stallMs }),
};
/** gRPC's UNAVAILABLE and RESOURCE_EXHAUSTED. */
const temporalActs: Readonly<Record<TemporalFault, Strike>> = {
  unavailable: strike('before', { kind: 'answer', status: 14 }), exhausted: strike('before', { kind: 'answer', status: 8 }), reset: strike('before', cut),
  dropAnswer: strike('after', cut), stall: strike('after', { kind: 'stall', ms: stallMs }),
};
const apiActs = { cut: strike('before', cut), halfBody: strike('halfway', cut), dropAnswer: strike('after', cut) };

/** Waits for an armed fault's call. */
async function met(armed: ArmedFault, onHit: () => void): Promise<boolean> {
  let told = false;
  for (const end = Date.now() + patienceMs; Date.now() < end && !(told && await isDone(armed)); await sleep(50)) {
    if (told || armed.fired() === 0) continue;
    told = true;
    onHit();
  }
  armed.disarm();
  return armed.fired() > 0;
}

const isDone = (armed: ArmedFault): Promise<boolean> => Promise.race([armed.done.then(() => true), sleep(1, false)]);

async function counted(count: () => number, onHit: () => void): Promise<boolean> {
  for (const end = Date.now() + patienceMs; Date.now() < end; await sleep(50)) {
    if (count() === 0) continue;
    onHit();
    return true;
  }
  return false;
}

async function disturb(link: { set(state: 'open' | 'hanging' | 'cut'): void }, state: 'hanging' | 'cut', forMs: number, hit: () => true): Promise<boolean> {
  link.set(state);
  hit();
  await sleep(forMs);
  link.set('open');
  return true;
}

/** As OpenSearch does by itself when its disk runs full. Past the proxy; it may be away just now. */
async function setReadOnly({ openSearchUrl }: Site, value: true | null): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt++) {
    const answer = await fetch(`${openSearchUrl}/pacs-*/_settings`, { method: 'PUT', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ 'index.blocks.read_only_allow_delete': value }) }).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(1_000);
  }
  throw new Error('OpenSearch does not take its settings');
}

/** Nothing is armed, cut, slow, full or set any more. */
export async function clearFaults(site: Site): Promise<void> {
  const { edgeS3, cloudS3, index, edgeTemporal, cloudTemporal, api, dicom, delivery } = site.links;
  const lists: readonly FaultList[] = [edgeS3, cloudS3, index, edgeTemporal, cloudTemporal, api].map(({ faults }) => faults);
  for (const faults of lists) faults.clear();
  for (const link of [edgeS3, cloudS3, index, edgeTemporal, cloudTemporal, api]) link.mend();
  for (const link of [edgeS3, cloudS3, index, dicom]) link.slow(undefined);
  for (const link of [dicom, delivery]) link.set('open');
  site.destination.refuse(0);
  site.disk?.empty();
  site.clocks?.edge.set(0);
  site.clocks?.cloud.set(0);
  await setReadOnly(site, null);
}
