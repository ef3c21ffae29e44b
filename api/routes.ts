import { z } from 'zod';
import type { Request } from 'express';
import { isUidShaped } from '../dicom/uid.ts';
import { priorities, type Destination, type Priority } from '../domain/tenant.ts';
import type { AuditLog, StudyIndex, TenantStore } from '../stores/ports.ts';
import type { RouteStudyInput } from '../workflows/contracts.ts';
import { routeWorkflowId } from '../workflows/ids.ts';
import type { TenantHandler } from './context.ts';
import type { Flows } from './flowsClient.ts';
import { flowUrl } from './flowUrls.ts';
import { readJson } from './jsonBody.ts';
import { badRequest, HttpProblem, notFound, unknownTenant } from './problems.ts';

export interface RouteDeps {
  readonly tenants: Pick<TenantStore, 'get'>;
  readonly index: Pick<StudyIndex, 'version'>;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly flows: Pick<Flows, 'startRoute'>;
}

const routeRequest = z.strictObject({
  studyInstanceUID: z.string().refine(isUidShaped, 'takes a UID'),
  destinationId: z.string().min(1).max(64),
  priority: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)], 'takes 1 (urgent) to 5 (bulk)').default(priorities.routing),
});
type RouteRequest = z.infer<typeof routeRequest>;

/** Sends a study to a destination because somebody asks for it. The same key asks for the same flow, however often it comes. */
export const createRequestRoute = (deps: RouteDeps): TenantHandler =>
  async function requestRoute({ tenantId, tenantUrl, subject }, request, response) {
    const key = idempotencyKey(request);
    const asked = await readJson(request, routeRequest);
    const destination = await knownDestination(deps.tenants, tenantId, asked.destinationId);
    if (await deps.index.version(tenantId, asked.studyInstanceUID) === 0) throw notFound(`There is no study ${asked.studyInstanceUID} in this archive. Store it first.`);

    const flowId = routeWorkflowId(tenantId, asked.studyInstanceUID, 'request', key);
    const canonical = JSON.stringify([asked.studyInstanceUID, asked.destinationId, asked.priority]);
    const flow = await deps.flows.startRoute(flowId, inputOf(tenantId, asked, destination, subject), canonical);
    if (flow.request !== canonical) {
      throw new HttpProblem(422, 'This Idempotency-Key was used for another request about this study. Send a new request with a new key.', { members: { flow: flowUrl(tenantUrl, flowId) } });
    }
    await deps.audit.record([{
      tenantId, eventId: `${flowId}-requested`, at: flow.startedAt, action: 'route.requested', actor: subject,
      studyInstanceUID: asked.studyInstanceUID, destinationId: asked.destinationId, flowId,
    }]);
    response.status(202).location(flowUrl(tenantUrl, flowId)).json({ flowId, flow: flowUrl(tenantUrl, flowId) });
  };

/** @throws HttpProblem 400 when there is none */
export function idempotencyKey(request: Request): string {
  const key = request.get('Idempotency-Key')?.trim().replace(/^"(.*)"$/, '$1');
  if (key && /^[\x21-\x7e]{1,128}$/.test(key)) return key;
  throw badRequest('This request needs the header Idempotency-Key: 1 to 128 printable characters of your choice, the same whenever you repeat the request. With it a repeated request joins what the first one started, and nothing is sent twice.');
}

/** @throws HttpProblem 404 */
export async function knownDestination(tenants: RouteDeps['tenants'], tenantId: string, destinationId: string): Promise<Destination> {
  const config = await tenants.get(tenantId);
  if (!config) throw unknownTenant();
  const destination = config.value.destinations.find((each) => each.destinationId === destinationId);
  if (!destination) throw notFound('The destination is not in the configuration of this tenant. An admin adds it by PUT …/config.');
  return destination;
}

const inputOf = (tenantId: string, { studyInstanceUID, destinationId, priority }: RouteRequest, destination: Destination, requestedBy: string): RouteStudyInput => ({
  tenantId, studyInstanceUID, destinationId, requestedBy, priority: priority satisfies Priority,
  ...(destination.kind === 'dicom' ? { gatewayId: destination.gatewayId } : {}),
});
