import type { Random } from '../../test/faults/harness/random.ts';
import { siteParts, type SitePart } from '../../test/faults/harness/site.ts';
import { placeOf, processOf, stepMoments, steps, type Step, type StepMoment } from '../../test/faults/harness/steps.ts';

/** One fault of a run. Everything random in it is decided here, so that a seed names a run. */
export type PlannedFault = { readonly atMs: number } & FaultKind;

export type FaultKind =
  /** SIGKILL, and started again after a while; two parts at once are a pair. */
  | { readonly kind: 'kill'; readonly parts: readonly SitePart[]; readonly downMs: number }
  | { readonly kind: 'killAtStep'; readonly step: Step; readonly moment: StepMoment; readonly parts: readonly SitePart[]; readonly downMs: number }
  /** The gateway dies with the last byte of an instance in its hands, or synced and not answered. */
  | { readonly kind: 'killUnanswered'; readonly downMs: number }
  | { readonly kind: 's3'; readonly link: 'edgeS3' | 'cloudS3'; readonly method: 'GET' | 'PUT' | 'HEAD' | 'POST'; readonly how: S3Fault; readonly times: number }
  | { readonly kind: 'index'; readonly how: IndexFault; readonly times: number }
  | { readonly kind: 'readOnlyIndex'; readonly forMs: number }
  | { readonly kind: 'temporal'; readonly link: 'edgeTemporal' | 'cloudTemporal'; readonly method: string; readonly how: TemporalFault; readonly times: number }
  | { readonly kind: 'link'; readonly link: CuttableLink; readonly forMs: number }
  | { readonly kind: 'slowLink'; readonly link: 'edgeS3' | 'cloudS3' | 'index' | 'dicom'; readonly bytesPerSecond: number; readonly forMs: number }
  | { readonly kind: 'dicom'; readonly how: 'break' | 'hang' | 'cut'; readonly bytes: number; readonly forMs: number }
  | { readonly kind: 'destination'; readonly how: 'away' | 'hang' | 'busy' | 'break'; readonly count: number; readonly forMs: number }
  | { readonly kind: 'api'; readonly how: 'cut' | 'halfBody' | 'dropAnswer' }
  | { readonly kind: 'diskFull'; readonly leaveBytes: number; readonly forMs: number }
  | { readonly kind: 'clock'; readonly where: 'edge' | 'cloud'; readonly seconds: number; readonly forMs: number };

export const s3Faults = ['500', '503', 'reset', 'halfBody', 'dropAnswer', 'halfAnswer', 'stall'] as const;
export type S3Fault = (typeof s3Faults)[number];
export const indexFaults = ['429', '503', 'reset', 'dropAnswer', 'stall'] as const;
export type IndexFault = (typeof indexFaults)[number];
export const temporalFaults = ['unavailable', 'exhausted', 'reset', 'dropAnswer', 'stall'] as const;
export type TemporalFault = (typeof temporalFaults)[number];
const cuttable = ['edgeS3', 'cloudS3', 'index', 'edgeTemporal', 'cloudTemporal'] as const;
export type CuttableLink = (typeof cuttable)[number];

const edgeMethods = ['PollActivityTaskQueue', 'RespondActivityTaskCompleted', 'SignalWithStartWorkflowExecution', 'RecordActivityTaskHeartbeat'];
const cloudMethods = ['PollActivityTaskQueue', 'RespondActivityTaskCompleted', 'PollWorkflowTaskQueue', 'RespondWorkflowTaskCompleted', 'ExecuteMultiOperation'];

type Make = (random: Random) => FaultKind;
const downMs = (random: Random): number => random.between(200, 3_000);
const stepsWithMoments = steps.flatMap((step) => stepMoments.filter((moment) => placeOf(step, moment)).map((moment) => ({ step, moment })));

/** How often each kind comes, in a thousand, and how one is made. */
const makers: readonly (readonly [number, Make])[] = [
  [45, (random) => ({ kind: 'kill', parts: [random.pick(siteParts)], downMs: downMs(random) })],
  [16, (random) => ({ kind: 'kill', parts: pair(random), downMs: downMs(random) })],
  [42, (random) => {
    const { step, moment } = random.pick(stepsWithMoments);
    return { kind: 'killAtStep', step, moment, parts: [processOf(step), ...(random.below(5) === 0 ? [random.pick(['s3', 'temporal', 'opensearch'] as const)] : [])], downMs: downMs(random) };
  }],
  [15, (random) => ({ kind: 'killUnanswered', downMs: downMs(random) })],
  [380, (random) => ({ kind: 's3', link: random.pick(['edgeS3', 'cloudS3'] as const), method: random.pick(['GET', 'GET', 'PUT', 'PUT', 'HEAD', 'POST'] as const), how: random.pick(s3Faults), times: times(random) })],
  [140, (random) => ({ kind: 'index', how: random.pick(indexFaults), times: times(random) })],
  [12, (random) => ({ kind: 'readOnlyIndex', forMs: random.between(1_000, 6_000) })],
  [160, (random) => {
    const link = random.pick(['edgeTemporal', 'cloudTemporal'] as const);
    return { kind: 'temporal', link, method: random.pick(link === 'edgeTemporal' ? edgeMethods : cloudMethods), how: random.pick(temporalFaults), times: times(random) };
  }],
  [60, (random) => ({ kind: 'link', link: random.pick(cuttable), forMs: random.between(100, 5_000) })],
  [20, (random) => ({ kind: 'slowLink', link: random.pick(['edgeS3', 'cloudS3', 'index', 'dicom'] as const), bytesPerSecond: random.between(100, 1_000) * 1_000, forMs: random.between(1_000, 6_000) })],
  [45, (random) => ({ kind: 'dicom', how: random.pick(['break', 'break', 'hang', 'cut'] as const), bytes: random.between(100, 1_500_000), forMs: random.between(200, 4_000) })],
  [40, (random) => ({ kind: 'destination', how: random.pick(['away', 'hang', 'busy', 'break'] as const), count: random.between(1, 8), forMs: random.between(500, 5_000) })],
  [14, (random) => ({ kind: 'api', how: random.pick(['cut', 'halfBody', 'dropAnswer'] as const) })],
  [10, (random) => ({ kind: 'diskFull', leaveBytes: random.pick([0, 4_096, 100_000, 2_000_000]), forMs: random.between(1_000, 6_000) })],
  [4, (random) => ({ kind: 'clock', where: random.pick(['edge', 'cloud'] as const), seconds: random.pick([-3_600, -300, 3_600]), forMs: random.between(5_000, 20_000) })],
];

const times = (random: Random): number => random.pick([1, 1, 1, 2, 5, 8]);

function pair(random: Random): readonly SitePart[] {
  const first = random.pick(siteParts);
  return [first, random.pick(siteParts.filter((part) => part !== first))];
}

/** The faults of a run: the first at once, the last when its time is over. */
export function makePlan(random: Random, faultCount: number, durationMs: number): readonly PlannedFault[] {
  const total = makers.reduce((sum, [weight]) => sum + weight, 0);
  const stepMs = durationMs / faultCount;
  return Array.from({ length: faultCount }, (_, index) => {
    let at = random.below(total);
    const [, make] = makers.find(([weight]) => (at -= weight) < 0)!;
    return { atMs: Math.round(index * stepMs + random.below(Math.max(1, Math.round(stepMs)))), ...make(random) };
  });
}

/** For a report: the kind, and how. */
export const nameOf = (fault: FaultKind): string => {
  if (fault.kind === 'kill') return fault.parts.length === 2 ? 'two parts killed at once' : `${fault.parts[0]} killed`;
  if (fault.kind === 'killAtStep') return `killed at ${fault.step}${fault.parts.length === 2 ? ', with a server' : ''}`;
  if (fault.kind === 'killUnanswered') return 'gateway killed before its answer';
  if (fault.kind === 'link') return `link cut: ${fault.link}`;
  if (fault.kind === 'slowLink') return `link slow: ${fault.link}`;
  if (fault.kind === 'readOnlyIndex') return 'index read-only';
  if (fault.kind === 'diskFull') return 'gateway disk full';
  if (fault.kind === 'clock') return `clock of the ${fault.where} set`;
  return `${fault.kind}: ${fault.how}`;
};
