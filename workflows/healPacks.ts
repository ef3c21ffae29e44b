import { ActivityFailure, condition, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { EdgeActivities, IndexActivities } from '../activities/index.ts';
import { permanentFailures } from '../domain/failures.ts';
import type { PackIdentity } from '../domain/pack.ts';
import type { DamagedPack, ExaminedPack, HealAttempt } from '../domain/sweep.ts';
import { taskQueues } from './contracts.ts';
import { neverStarted } from './edge.ts';
import { edgeTaskQueue } from './ids.ts';
import type { Decision, ParkedFailure, ParkingLot } from './park.ts';
import { healWait } from './waits.ts';

/** Packs that are healed at once: a gateway goes on with what modalities send meanwhile. */
const lanes = 4;

const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { examinePack, mendPack } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '24 hours', heartbeatTimeout: '30 seconds', retry });
const { recordAudit } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '30 seconds', heartbeatTimeout: '30 seconds', retry });

export interface Healing {
  readonly tenantId: string;
  readonly flowId: string;
  readonly parking: Pick<ParkingLot, 'park'>;
  /** A pack is whole again by what one of its sources had. */
  readonly onHealed: () => void;
}

/**
 * Heals damaged packs, each from the first source that has it: what the archive itself has intact, then the gateway that took it. A pack
 * that no source has waits for a person with a sentence that says who was asked; `retry` asks everybody again, `skip` and `reject` leave
 * it. Ends when no pack waits. History: about 30 events a pack.
 */
export async function healPacks(packs: readonly DamagedPack[], { tenantId, flowId, parking, onHealed }: Healing): Promise<void> {
  const askGateway = openGateways(tenantId);
  const inLane = openLanes(lanes);
  const heal = async (pack: PackIdentity, { damage, gatewayId }: ExaminedPack): Promise<ParkedFailure | undefined> => {
    if (damage === undefined) return undefined;
    const sources: readonly Source[] = [
      { name: 'the archive', ask: () => mendPack(pack) },
      gatewayId === undefined ? { name: 'no gateway', ask: async () => ({ healed: false, why: 'took it' }) } : { name: `gateway ${gatewayId}`, gatewayId, ask: () => askGateway(gatewayId, pack) },
    ];
    const asked: string[] = [];
    for (const { name, ask, gatewayId: from } of sources) {
      const attempt = await ask();
      const still = attempt.healed ? (await examinePack(pack)).damage : undefined;
      if (attempt.healed && still === undefined) {
        await recordAudit([{ ...pack, flowId, eventId: `${flowId}-${pack.packId}-healed`, at: new Date().toISOString(), actor: 'sweep', action: 'pack.healed',
          ...(from === undefined ? {} : { gatewayId: from }), detail: `Pack ${pack.packId.slice(0, 12)}: ${damage}. It was put back from what ${name} had, and verified.` }]);
        return void onHealed();
      }
      asked.push(attempt.healed ? `${name} had it, and what was put back is damaged again: ${still!}` : `${name} ${attempt.why}`);
    }
    return { errorType: 'PackDamaged', sentence: sentenceOf(pack, damage, asked) };
  };
  const decided = (packId: string, failure: ParkedFailure) => new Promise<Decision>((resolve) => { parking.park(packId, failure, resolve); });
  await Promise.all(packs.map(async ({ damage: found, gatewayId, ...pack }) => {
    // What the sweep has just read is not read again at once; a sweep that began before it said so did not say it.
    for (let known: ExaminedPack | undefined = found === undefined ? undefined : { damage: found, ...(gatewayId === undefined ? {} : { gatewayId }) }; ; known = undefined) {
      const failure = await inLane(async () => heal(pack, known ?? await examinePack(pack)));
      if (failure === undefined || (await decided(pack.packId, failure)).kind !== 'retry') return;
      askGateway.again();
    }
  }));
}

interface Source { readonly name: string; readonly gatewayId?: string; readonly ask: () => Promise<HealAttempt> }

/** Asks gateways for packs. One that takes no work is waited for once, not for every pack. */
function openGateways(tenantId: string) {
  const away = new Set<string>();
  const tookNoWork: HealAttempt = { healed: false, why: `took no work for ${healWait}` };
  const ask = async (gatewayId: string, pack: PackIdentity): Promise<HealAttempt> => {
    if (away.has(gatewayId)) return tookNoWork;
    const { putBackPack } = proxyActivities<Pick<EdgeActivities, 'putBackPack'>>({
      taskQueue: edgeTaskQueue(tenantId, gatewayId), scheduleToStartTimeout: healWait, startToCloseTimeout: '1 hour', heartbeatTimeout: '30 seconds', scheduleToCloseTimeout: '6 hours',
      retry: { initialInterval: '2 seconds', backoffCoefficient: 2, maximumInterval: '5 minutes' },
    });
    try {
      return await putBackPack(pack);
    } catch (error) {
      if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
      if (!neverStarted(error)) return { healed: false, why: `could not put it back (${error.cause?.message ?? error.message})` };
      away.add(gatewayId);
      return tookNoWork;
    }
  };
  return Object.assign(ask, { again: () => away.clear() });
}

/** So many at once; the others wait. */
function openLanes(count: number) {
  let free = count;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    // Several that wait are told of one free lane: each looks again before it takes it.
    while (free === 0) await condition(() => free > 0);
    free--;
    try {
      return await work();
    } finally {
      free++;
    }
  };
}

const sentenceOf = ({ tenantId, studyInstanceUID, packId }: PackIdentity, damage: NonNullable<ExaminedPack['damage']>, asked: readonly string[]): string =>
  `Pack ${packId.slice(0, 12)} of study ${studyInstanceUID} (tenant ${tenantId}) is damaged: ${damage}. Asked for a copy: ${asked.join('; ')}. ${permanentFailures.PackDamaged}`;
