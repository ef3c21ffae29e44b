import type { Call, Fault } from './faultList.ts';
import type { Site, SitePart } from './site.ts';

/** The steps of the way in and out, as Temporal knows them. */
export const steps = ['stagePack', 'validatePack', 'archivePack', 'registerPack', 'releasePack', 'indexStudy', 'settleStudy', 'findRoutes', 'sendInstances'] as const;
export type Step = (typeof steps)[number];

/**
 * `handed out`: Temporal has given the step to a worker, which has done nothing yet. `between`: an effect of the step is there,
 * or half of it, and the worker does not know. `done`: the worker has done everything, and Temporal does not know.
 */
export const stepMoments = ['handed out', 'between', 'done'] as const;
export type StepMoment = (typeof stepMoments)[number];

const atEdge: readonly Step[] = ['stagePack', 'releasePack', 'sendInstances'];
export const processOf = (step: Step): SitePart => (atEdge.includes(step) ? 'edgeWorker' : 'worker');

type LinkName = 'edgeS3' | 'cloudS3' | 'index' | 'edgeTemporal' | 'cloudTemporal';
type Place = Pick<Fault, 'matches' | 'moment'> & { readonly link: LinkName };

const ofMethod = (name: string) => ({ path }: Call): boolean => path.endsWith(`/${name}`);
const ofHttp = (method: string, part: string) => (call: Call): boolean => call.method === method && call.path.includes(part);

/** Where a step leaves a trace outside its process before it is done. releasePack leaves none: it is one rename on the gateway's disk. */
const betweens: Readonly<Partial<Record<Step, Place>>> = {
  stagePack: { link: 'edgeS3', moment: 'halfway', matches: ofHttp('PUT', '.tar') },
  validatePack: { link: 'cloudS3', moment: 'after', matches: ofHttp('GET', '.headers.json.gz') },
  archivePack: { link: 'cloudS3', moment: 'after', matches: ofHttp('PUT', '.index.json.gz') },
  registerPack: { link: 'cloudTemporal', moment: 'after', matches: ofMethod('ExecuteMultiOperation') },
  indexStudy: { link: 'index', moment: 'after', matches: ofHttp('POST', '/_bulk') },
  findRoutes: { link: 'cloudS3', moment: 'after', matches: ofHttp('GET', '/config/tenant.json') },
  sendInstances: { link: 'edgeS3', moment: 'after', matches: ofHttp('PUT', '/deliveries/') },
};

/** @returns undefined when there is no such moment */
export function placeOf(step: Step, moment: StepMoment): Place | undefined {
  if (moment === 'between') return betweens[step];
  const link = processOf(step) === 'edgeWorker' ? 'edgeTemporal' : 'cloudTemporal';
  return moment === 'handed out'
    ? { link, moment: 'after', matches: (call) => ofMethod('PollActivityTaskQueue')(call) && call.answer.includes(step) }
    : { link, moment: 'before', matches: (call) => ofMethod('RespondActivityTaskCompleted')(call) && call.request.includes(step) };
}

/** Kills processes when the next task of this step comes to this moment. */
export function armKill(site: Site, place: Place, parts: readonly SitePart[]) {
  return site.links[place.link].faults.arm({ ...place, act: { kind: 'cut' }, meanwhile: async () => { await Promise.all(parts.map((part) => site.kill(part))); } });
}
