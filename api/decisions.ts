import { z } from 'zod';
import { isUidShaped } from '../dicom/uid.ts';
import type { Priority } from '../domain/tenant.ts';
import type { TenantHandler } from './context.ts';
import type { Flows } from './flowsClient.ts';
import { flowUrl } from './flowUrls.ts';
import { readJson } from './jsonBody.ts';
import { steerPage, type Steering, type SteeredFlow } from './steering.ts';

const text = z.string().trim().min(1).max(200);
export const whyField = z.string().trim().min(1, 'takes the reason, in words').max(500);
export const priorityField = z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)], 'takes 1 (urgent) to 5 (bulk)');

const filterField = z.strictObject({
  state: z.enum(['RUNNING', 'EDGE_OFFLINE', 'DESTINATION_AWAY', 'ATTENTION']).optional(),
  errorType: text.optional(), destinationId: text.optional(), gatewayId: text.optional(),
  studyInstanceUID: z.string().refine(isUidShaped, 'takes a UID').optional(),
  since: z.iso.datetime({ offset: true, error: 'takes a time as 2026-01-31T08:00:00Z' }).optional(),
  all: z.literal(true).optional(),
}).refine((filter) => Object.values(filter).some((value) => value !== undefined), 'names what is meant; {"all": true} means every flow that waits');

const common = { filter: filterField, why: whyField, dryRun: z.boolean().default(false), limit: z.int().min(1).max(200).default(50), cursor: z.string().max(4000).optional() };
const bodySchema = z.discriminatedUnion('decision', [
  z.strictObject({ decision: z.enum(['retry', 'skip', 'reject']), ...common }),
  z.strictObject({ decision: z.literal('priority'), priority: priorityField, ...common }),
]);

/** An admin's decision about all flows that a filter finds, page by page. */
export const createDecideFlows = (deps: { readonly flows: Pick<Flows, 'page' | 'decide' | 'setPriority'> }): TenantHandler =>
  async function decideFlows({ tenantId, tenantUrl, subject, requestId }, request, response) {
    const body = await readJson(request, bodySchema);
    const { state, all: _, ...named } = body.filter;
    const steering: Steering = { by: subject, why: body.why, ...(body.decision === 'priority' ? { kind: 'priority', priority: body.priority satisfies Priority } : { kind: body.decision }) };
    const { steered, next } = await steerPage(deps.flows, steering, { ...named, tenantId, ...(state ? { states: [state] } : {}) },
      { limit: body.limit, cursor: body.cursor, dryRun: body.dryRun, decisionId: requestId });
    response.json({
      decision: body.decision, by: subject, why: body.why, dryRun: body.dryRun, counts: countsOf(steered),
      flows: steered.map(({ flow, answer }) => ({ flowId: flow.flowId, type: flow.type, studyInstanceUID: flow.studyInstanceUID, url: flowUrl(tenantUrl, flow.flowId), answer })),
      next,
    });
  };

export function countsOf(steered: readonly SteeredFlow[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { answer } of steered) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}
