import { cancellationSignal } from '@temporalio/activity';
import { buildStudyDocuments } from '../../domain/documents.ts';
import { planRoutes, type PlannedRoute } from '../../domain/routing.ts';
import type { ArchiveStore, TenantStore } from '../../stores/ports.ts';

/** Which deliveries the tenant's rules ask for, from the archive and the rules as they are now. Reads only. */
export const createFindRoutes = (deps: { readonly archive: ArchiveStore; readonly tenants: TenantStore }) =>
  async function findRoutes(study: { readonly tenantId: string; readonly studyInstanceUID: string }): Promise<readonly PlannedRoute[]> {
    const config = (await deps.tenants.get(study.tenantId))?.value;
    if (!config?.rules.length) return [];
    const packs = await deps.archive.listIndexes(study.tenantId, study.studyInstanceUID, cancellationSignal());
    if (packs.length === 0) return [];
    return planRoutes(config, { documents: buildStudyDocuments(packs), origins: packs.map(({ origin }) => origin) });
  };
