import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { echo } from '../edge-gateway/scu/echo.ts';
import { DemoApi } from '../infra/demo/api.ts';
import { OWN_PROCESSES, SERVERS } from '../infra/native/parts.ts';
import type { Stack } from '../infra/native/stack.ts';
import { tokenKey } from '../infra/secrets.ts';
import { signToken } from '../infra/token.ts';
import { startChild } from './child.ts';
import type { PeerSystem } from './peers.ts';
import type { SenderOrder, SenderReport } from './sender.ts';
import { costBetween, costOf, cpuOf, peakBytes, resetPeak, type Cost } from './usage.ts';

/** One sending of a load to one system. */
export interface Run {
  readonly system: string;
  readonly associationCount: number;
  readonly instanceCount: number;
  readonly failures: Readonly<Record<string, number>>;
  /** From the first C-STORE to the last success. */
  readonly acceptedPerSecond: number;
  /** From the first C-STORE until QIDO-RS counts them all. */
  readonly foundPerSecond?: number;
  readonly latencyMs: { readonly median: number; readonly p99: number };
  /** Of the receiving process until the last success, an instance. */
  readonly receiverCpuMs: number;
  readonly senderCpuMs: number;
  /** By part until found and released, an instance. */
  readonly cost: Readonly<Record<string, Cost>>;
  readonly peakMB: Readonly<Record<string, number>>;
  readonly load1: number;
}
export type Order = Pick<SenderOrder, 'loadFolder' | 'associationCount' | 'instanceCount'>;

export const pipelineHeld = 'PACS, pipeline held';
export const wholePipeline = 'PACS, whole pipeline';
const pollMs = 200;
const patienceMs = 300_000;
/** After found: what is released and written down then belongs to the instances as well. */
const settleMs = 1500;
const forkedMs = 300;

export async function apiOf(stack: Stack): Promise<DemoApi> {
  const token = await signToken({ sub: 'bench', tenants: ['demo'], roles: ['admin'] }, tokenKey(`${stack.home}/secrets/token.key`), '8h');
  return new DemoApi(`${stack.urls.api}/tenants/demo`, token);
}

/**
 * Sends to our own gateway.
 *
 * @param held the worker sleeps until all are accepted: the gateway has the machine for itself, as a peer has
 */
export async function runPacs(stack: Stack, api: DemoApi, order: Order, held: boolean): Promise<Run> {
  const pids = Object.fromEntries([...OWN_PROCESSES, ...SERVERS].map((part) => [part, stack.pid(part) ?? 0]));
  const gateway = pids['gateway']!;
  const sender = startChild<SenderReport>('sender.ts', { ...order, host: stack.urls.dicom.host, port: stack.urls.dicom.port, calledAETitle: stack.urls.dicom.aeTitle });
  try {
    await sender.ready;
    if (held) await stack.kill('worker', 'SIGSTOP');
    Object.values(pids).forEach(resetPeak);
    const before = mapped(pids, costOf);
    const report = await sender.go();
    const receiverCpu = cpuOf(costBetween(before['gateway']!, costOf(gateway), 1));
    if (held) await stack.kill('worker', 'SIGCONT');
    const foundAt = await untilFound(api, report);
    await sleep(settleMs);
    return {
      system: held ? pipelineHeld : wholePipeline, ...common(order, report, receiverCpu),
      ...(foundAt !== undefined && { foundPerSecond: (1000 * order.instanceCount) / (foundAt - report.firstSentAt) }),
      cost: mapped(pids, (pid, part) => costBetween(before[part]!, costOf(pid), order.instanceCount)),
      peakMB: mapped(pids, (pid) => peakBytes(pid) / 1e6),
    };
  } finally {
    sender.stop();
    if (held) await stack.kill('worker', 'SIGCONT');
  }
}

export async function runPeer(peer: PeerSystem, order: Order): Promise<Run> {
  const sender = startChild<SenderReport>('sender.ts', { ...order, host: '127.0.0.1', port: peer.port, calledAETitle: peer.aeTitle });
  try {
    await sender.ready;
    const before = costOf(peer.pid);
    const report = await sender.go();
    // A receiver that has a process for each association looks after those that are gone when the next one comes.
    await sleep(forkedMs);
    await echo({ host: '127.0.0.1', port: peer.port, callingAETitle: 'BENCH', calledAETitle: peer.aeTitle });
    const cost = costBetween(before, costOf(peer.pid), 1);
    return { system: peer.name, ...common(order, report, cpuOf(cost)), cost: {}, peakMB: { peer: peakBytes(peer.pid) / 1e6 } };
  } finally {
    sender.stop();
  }
}

function common(order: Order, report: SenderReport, receiverCpuMs: number) {
  const sorted = report.latenciesMs.toSorted((a, b) => a - b);
  return {
    associationCount: order.associationCount, instanceCount: order.instanceCount, failures: report.failures,
    acceptedPerSecond: (1000 * report.succeededCount) / (report.lastAnsweredAt - report.firstSentAt),
    latencyMs: { median: sorted[sorted.length >> 1] ?? 0, p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 },
    receiverCpuMs: receiverCpuMs / order.instanceCount, senderCpuMs: report.cpuMs / order.instanceCount,
    load1: loadavg()[0] ?? 0,
  };
}

/** @returns when the last study was complete; undefined when patience ended first */
export async function untilFound(api: DemoApi, { studies }: Pick<SenderReport, 'studies'>): Promise<number | undefined> {
  const missing = new Map(Object.entries(studies));
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(pollMs)) {
    for (const [study, count] of missing) if ((await api.findInstances(study)) >= count) missing.delete(study);
    if (missing.size === 0) return Date.now();
  }
  return undefined;
}

const mapped = <T>(pids: Readonly<Record<string, number>>, of: (pid: number, part: string) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(pids).map(([part, pid]) => [part, of(pid, part)]));
