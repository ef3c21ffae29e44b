import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { EdgeActivities, IndexActivities, IngestActivities, RouteActivities } from '../../activities/index.ts';
import { createApplyPriority } from '../../activities/ingest/applyPriority.ts';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { createJoinCircuit } from '../../activities/route/joinCircuit.ts';
import type { AuditEvent } from '../../domain/audit.ts';
import type { PackIdentity, PackOrigin, SpooledPack } from '../../domain/pack.ts';
import { MemoryTenantStore } from '../../stores/memory/memoryStores.ts';
import { aTenant, aUID } from '../support/aStudy.ts';

export type Activities = EdgeActivities & IngestActivities & IndexActivities & RouteActivities;
type Name = keyof Activities;

/** One tenant of a test, and what the activities did for it. */
export interface Site {
  readonly tenantId: string;
  readonly gatewayId: string;
  readonly origin: PackOrigin;
  /** Every activity that began, in order. */
  readonly calls: readonly { readonly name: Name; readonly about: string }[];
  readonly audit: readonly AuditEvent[];
  /** What the activities were asked about, `stagePack` → pack IDs. */
  called(name: Name): readonly string[];
  aPack(pack?: Partial<SpooledPack>): SpooledPack;
}

const sites = new Map<string, { readonly fakes: Activities; readonly note: (name: Name, about: string) => void }>();

/** How a study's flow behaves when registerPack is the real one. */
export const studyTimes = { quietMs: 300, closeAfterMs: 600 };

/**
 * @param fakes activities that do something else than succeed; `registerPack: 'real'` reaches the study's flow
 */
export function aSite(fakes: Partial<Omit<Activities, 'registerPack'>> & { readonly registerPack?: Activities['registerPack'] | 'real' } = {}): Site {
  const tenantId = aTenant();
  const gatewayId = 'gw1';
  const associationId = randomUUID();
  const calls: { readonly name: Name; readonly about: string }[] = [];
  const audit: AuditEvent[] = [];
  const { registerPack, ...others } = fakes;
  const own: Activities = {
    ...succeeding, ...others,
    registerPack: registerPack === 'real' ? (pack, priority) => createRegisterPack({ client: () => clientOf(tenantId), ...studyTimes })(pack, priority)
      : registerPack ?? (async () => ({ duplicate: false })),
    applyPriority: fakes.applyPriority ?? ((input) => createApplyPriority({ client: () => clientOf(tenantId) })(input)),
    recordAudit: async (events) => void audit.push(...events),
  };
  sites.set(tenantId, { fakes: own, note: (name, about) => calls.push({ name, about }) });
  return {
    tenantId, gatewayId, calls, audit,
    origin: { kind: 'dimse', gatewayId, associationId, callingAETitle: 'CT1', calledAETitle: 'PACS', receivedAt: '2024-05-01T10:00:00.000Z' },
    called: (name) => calls.filter((call) => call.name === name).map(({ about }) => about),
    aPack: (pack) => ({ tenantId, gatewayId, associationId, studyInstanceUID: aUID(), seriesInstanceUID: aUID(), packId: createHash('sha256').update(randomUUID()).digest('hex'),
      lengthBytes: 10_240, instanceCount: 2, ...pack }),
  };
}

const succeeding: Omit<Activities, 'registerPack' | 'recordAudit' | 'applyPriority'> = {
  stagePack: async (pack) => pack,
  validatePack: async ({ instanceCount }) => ({ acceptedCount: instanceCount, quarantinedCount: 0, rules: [] }),
  archivePack: async ({ tenantId, studyInstanceUID, seriesInstanceUID, packId, instanceCount }) => ({ tenantId, studyInstanceUID, seriesInstanceUID, packId, committed: true,
    outcome: { acceptedCount: instanceCount, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 } }),
  releasePack: async () => undefined,
  setAsidePack: async () => undefined,
  indexStudy: async ({ packIds = [] }) => ({ packCount: packIds.length, seriesCount: 1, instanceCount: packIds.length, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 }),
  settleStudy: async () => ({ yieldedCount: 0 }),
  findRoutes: async () => [],
  findMoveDestination: async () => ({ destinationId: 'ws1', gatewayId: 'gw1' }),
  takeCommitment: async () => undefined,
  judgeCommitment: async () => ({ committedCount: 2, failedCount: 0, openCount: 0 }),
  findSpooled: async () => ({ spooledCount: 0 }),
  reportCommitment: async () => ({ told: 'newAssociation', pauseMs: 10 }),
  recordCommitment: async () => undefined,
  releaseCommitment: async () => undefined,
  failUnsent: async ({ progress }) => progress,
  moveInstances: async () => ({ completedCount: 2, warningCount: 0, failedCount: 0, failedSOPInstanceUIDs: [] }),
  chooseInstance: async ({ studyInstanceUID }) => [studyInstanceUID],
  askRewrite: async () => undefined,
  sweepPage: async ({ cursor = '0', side }) => ({ damaged: [], counts: { studyCount: 1, packCount: 2, verifiedCount: 1, damagedCount: 0, missingCount: 0, staleCount: 0, foreignCount: 0, rewrittenCount: 0, doublyHeldCount: 0 },
    ...(side === 'archive' && Number(cursor) < 29 ? { next: String(Number(cursor) + 1) } : {}) }),
  removeOrphans: async ({ cursor = '0' }) => ({ removedCount: 1, removedBytes: 10, ...(Number(cursor) < 29 ? { next: String(Number(cursor) + 1) } : {}) }),
  abortUploads: async () => ({ abortedCount: 1, abortedBytes: 5 }),
  verifyPack: async () => undefined,
  examinePack: async () => ({}),
  mendPack: async () => ({ healed: false, why: 'has no intact copy' }),
  putBackPack: async () => ({ healed: false, why: 'does not have it any more' }),
  dropIndex: async () => ({ removedCount: 0 }),
  rebuildPage: async ({ limit, cursor = '0' }) => ({ studyCount: limit, instanceCount: 2 * limit, ...(Number(cursor) < 29 ? { next: String(Number(cursor) + 1) } : {}) }),
  rebuildAudit: async () => ({ eventCount: 7 }),
  confirmInstances: async () => ({ deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0, missingCount: 0, pauseMs: 10 }),
  skipInstances: async () => undefined,
  pageReplay: async ({ cursor = '0' }) => ({ studyInstanceUIDs: [`1.2.${cursor}1`, `1.2.${cursor}2`], instanceCount: 4, maxAssociations: 2, ...(Number(cursor) < 9 ? { next: String(Number(cursor) + 1) } : {}) }),
  probeDestination: async () => ({}),
  setCircuit: async () => undefined,
  joinCircuit: async (request) => {
    const tenants = new MemoryTenantStore();
    await tenants.put({ tenantId: request.tenantId, gateways: [], rules: [], destinations: [{ kind: 'dicomweb', destinationId: request.destinationId, url: 'http://127.0.0.1/' }] }, undefined);
    await createJoinCircuit({ tenants, client: () => clientOf(request.tenantId), firstRetryMs: 50 })(request);
  },
  sendInstances: async () => ({ deliveredCount: 2, refusedCount: 0, alreadyThereCount: 0 }),
};

/**
 * Activities of a sweep that finds these packs damaged, each its tar gone.
 *
 * @param gatewayHas whether the gateway still has a pack: it is whole then after it was put back
 */
export function aDamagedArchive(packIds: readonly string[], gatewayHas: (pack: PackIdentity) => boolean | Promise<boolean>): Pick<Activities, 'sweepPage' | 'examinePack' | 'putBackPack'> {
  const whole = new Set<string>();
  return {
    sweepPage: async ({ side, tenantId }) => ({ damaged: side === 'archive' ? packIds.map((packId) => ({ tenantId, studyInstanceUID: '1.2.3', seriesInstanceUID: '1.2.3.1', packId, damage: 'its tar is gone', gatewayId: 'gw1' })) : [],
      counts: { studyCount: 1, packCount: packIds.length, verifiedCount: packIds.length, damagedCount: side === 'archive' ? packIds.length : 0, missingCount: 0, staleCount: 0, foreignCount: 0, rewrittenCount: 0, doublyHeldCount: 0 } }),
    examinePack: async ({ packId }) => ({ ...(whole.has(packId) ? {} : { damage: 'its tar is gone' }), gatewayId: 'gw1' }),
    putBackPack: async (pack) => {
      if (!await gatewayHas(pack)) return { healed: false, why: 'does not have it any more' };
      whole.add(pack.packId);
      return { healed: true };
    },
  };
}

const clients = new Set<Client>();
const tenantClients = new Map<string, Client>();
const clientOf = (tenantId: string): Client => tenantClients.get(tenantId) ?? [...clients][0]!;

type Input = { readonly tenantId: string; readonly packId?: string; readonly packIds?: readonly string[]; readonly destinationId?: string; readonly transactionUID?: string; readonly studyInstanceUID: string };

/** Hands each call to the fakes of the tenant it is for. */
function dispatch(name: Name, client?: Client) {
  return async (input: Input | readonly AuditEvent[], ...rest: readonly unknown[]): Promise<unknown> => {
    const [first] = [input].flat() as readonly Input[];
    const site = sites.get(first!.tenantId);
    if (!site) throw new Error(`No test waits for ${name}`);
    if (client) tenantClients.set(first!.tenantId, client);
    if (name !== 'recordAudit') site.note(name, first!.packIds?.join() ?? first!.packId ?? first!.destinationId ?? first!.transactionUID ?? first!.studyInstanceUID);
    return (site.fakes[name] as (...args: readonly unknown[]) => Promise<unknown>)(input, ...rest);
  };
}

/** For the cloud's queues. */
export function activitiesOf(client: Client): object {
  clients.add(client);
  const names: readonly Name[] = ['validatePack', 'archivePack', 'registerPack', 'applyPriority', 'recordAudit', 'indexStudy', 'settleStudy', 'chooseInstance', 'askRewrite', 'sweepPage', 'removeOrphans', 'abortUploads', 'verifyPack', 'examinePack', 'mendPack', 'judgeCommitment', 'recordCommitment', 'dropIndex', 'rebuildPage', 'rebuildAudit',
    'findRoutes', 'findMoveDestination', 'failUnsent', 'sendInstances', 'confirmInstances', 'skipInstances', 'pageReplay', 'probeDestination', 'setCircuit', 'joinCircuit'];
  return Object.fromEntries(names.map((name) => [name, dispatch(name, client)]));
}

/** For a gateway's queue. */
export const edgeActivitiesOf = (): object =>
  Object.fromEntries((['stagePack', 'releasePack', 'setAsidePack', 'putBackPack', 'takeCommitment', 'findSpooled', 'reportCommitment', 'releaseCommitment', 'moveInstances', 'sendInstances', 'confirmInstances', 'probeDestination'] as const).map((name) => [name, dispatch(name)]));

/** Waits until a condition holds; fails with what it is about after ten seconds. */
export async function until<T>(about: string, probe: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`Not within ten seconds: ${about}`);
    await sleep(30);
  }
}
