import { setTimeout as sleep } from 'node:timers/promises';
import type { RegisteredPack } from '../../workflows/contracts.ts';
import { studyWorkflowId } from '../../workflows/ids.ts';
import { aUID } from '../support/aStudy.ts';
import { aSite, type Activities, type Site } from './site.ts';

/** A study whose index counts every pack as one instance. */
export function aStudyOf(fakes: Partial<Pick<Activities, 'findRoutes' | 'indexStudy' | 'settleStudy'>> = {}) {
  const known = new Set<string>();
  let writing = 0;
  let mostAtOnce = 0;
  const site: Site = aSite({ ...fakes, indexStudy: fakes.indexStudy ?? (async ({ packIds = [] }) => {
    mostAtOnce = Math.max(mostAtOnce, ++writing);
    for (const packId of packIds) known.add(packId);
    await sleep(20);
    writing--;
    return { packCount: known.size, seriesCount: 1, instanceCount: known.size, quarantinedCount: 0, duplicateCount: 0, conflictCount: 0 };
  }) });
  const uid = aUID();
  return {
    site, uid, workflowId: studyWorkflowId(site.tenantId, uid),
    pack: (): RegisteredPack => ({ ...site.aPack({ studyInstanceUID: uid }), origin: site.origin }),
    indexed: () => site.called('indexStudy').flatMap((packIds) => packIds.split(',')),
    mostAtOnce: () => mostAtOnce,
  };
}
