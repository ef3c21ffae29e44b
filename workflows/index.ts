/** What a worker of role `core` registers. */
export { ingestAssociation } from './ingestAssociation.ts';
export { reindexTenant } from './reindexTenant.ts';
export { routeStudy } from './routeStudy.ts';
export { studyLifecycle } from './studyLifecycle.ts';
