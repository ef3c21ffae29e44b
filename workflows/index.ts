/** What a worker of role `core` registers. */
export { destinationCircuit } from './destinationCircuit.ts';
export { chooseCurrent } from './chooseCurrent.ts';
export { commitStorage } from './commitStorage.ts';
export { ingestAssociation } from './ingestAssociation.ts';
export { reindexTenant } from './reindexTenant.ts';
export { retrieveStudy } from './retrieveStudy.ts';
export { replayDeliveries } from './replayDeliveries.ts';
export { routeStudy } from './routeStudy.ts';
export { sweepTenant } from './sweepTenant.ts';
export { studyLifecycle } from './studyLifecycle.ts';
