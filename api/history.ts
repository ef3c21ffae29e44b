import { resolveStudy } from '../domain/documents.ts';
import type { ArchiveStore, AuditLog, DeliveryStore } from '../stores/ports.ts';
import type { TenantHandler } from './context.ts';
import { requiredUid } from './dicomweb/parameters.ts';
import { nextPage, pageOf } from './paging.ts';
import { badRequest, notFound } from './problems.ts';

/** What happened to a study, in order of time. */
export const createReadHistory = (deps: { readonly audit: Pick<AuditLog, 'history'> }): TenantHandler =>
  async function readHistory({ tenantId, tenantUrl, query }, request, response) {
    const studyInstanceUID = requiredUid(request, 'study');
    const page = pageOf(query, 200, 1000);
    const { events, total } = await deps.audit.history(tenantId, studyInstanceUID, page);
    if (total === 0) throw notFound(`The history knows nothing of study ${studyInstanceUID}.`);
    response.json({ studyInstanceUID, total, events, next: nextPage(`${tenantUrl}/studies/${studyInstanceUID}/history`, page, total) });
  };

/** The instances of a study that stand beside its current ones: duplicates, conflicts, quarantined ones. */
export const createReadConflicts = (deps: { readonly archive: Pick<ArchiveStore, 'listIndexes'> }): TenantHandler =>
  async function readConflicts({ tenantId, tenantUrl, query, signal }, request, response) {
    const studyInstanceUID = requiredUid(request, 'study');
    const page = pageOf(query, 200, 1000);
    const packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
    if (packs.length === 0) throw notFound(`There is no study ${studyInstanceUID} in this archive.`);
    const { setAside } = resolveStudy(packs);
    response.json({
      studyInstanceUID, total: setAside.length, instances: setAside.slice(page.offset, page.offset + page.limit),
      next: nextPage(`${tenantUrl}/studies/${studyInstanceUID}/conflicts`, page, setAside.length),
    });
  };

/** What was sent of a study to a destination, instance by instance. */
export const createReadDeliveries = (deps: { readonly deliveries: Pick<DeliveryStore, 'get'> }): TenantHandler =>
  async function readDeliveries({ tenantId }, request, response) {
    const studyInstanceUID = requiredUid(request, 'study');
    const destinationId = String(request.params['destinationId']);
    if (!isDestinationId(destinationId)) throw badRequest('A destination has a name of letters, digits, hyphens, dots and underscores, 64 characters at most.');
    const { value, etag } = await deps.deliveries.get(tenantId, destinationId, studyInstanceUID);
    if (etag === undefined) throw notFound(`Nothing of study ${studyInstanceUID} was ever sent to destination ${destinationId}.`);
    response.json(value);
  };

/** A name that is safe in keys and URLs. */
export const isDestinationId = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text);
