import { z } from 'zod';
import { replayStates } from '../domain/delivery.ts';
import { priorities } from '../domain/tenant.ts';
import type { TenantStore } from '../stores/ports.ts';
import { replayWorkflowId } from '../workflows/ids.ts';
import type { TenantHandler } from './context.ts';
import { priorityField, whyField } from './decisions.ts';
import type { Flows } from './flowsClient.ts';
import { flowUrl } from './flowUrls.ts';
import { readJson } from './jsonBody.ts';
import { HttpProblem } from './problems.ts';
import { idempotencyKey, knownDestination } from './routes.ts';

export interface ReplayDeps {
  readonly tenants: Pick<TenantStore, 'get'>;
  readonly flows: Pick<Flows, 'startReplay'>;
  readonly now: () => Date;
}

const time = z.iso.datetime({ offset: true, error: 'takes a time as 2026-01-31T08:00:00Z' }).transform((text) => new Date(text).toISOString());
const bodySchema = z.strictObject({
  since: time, until: time.optional(), why: whyField, dryRun: z.boolean().default(false), priority: priorityField.default(priorities.bulk),
  states: z.array(z.enum(replayStates)).min(1).default(['delivered']),
});

/**
 * Sends to a destination again what it took, or refused, within a time: it lost what it had. The same key asks for the same flow, which
 * tells how far it is; `skip` or `reject` stops it.
 */
export const createReplayDeliveries = ({ tenants, flows, now }: ReplayDeps): TenantHandler =>
  async function replayDeliveries({ tenantId, tenantUrl, subject }, request, response) {
    const jobId = idempotencyKey(request);
    const { since, until, states, why, dryRun, priority } = await readJson(request, bodySchema);
    const { destinationId } = await knownDestination(tenants, tenantId, String(request.params['destinationId']));
    const flowId = replayWorkflowId(tenantId, destinationId, jobId);
    const canonical = JSON.stringify([since, until ?? 'now', states, priority, dryRun]);
    const selection = { since, until: until ?? now().toISOString(), states };
    const flow = await flows.startReplay(flowId, { tenantId, destinationId, jobId, selection, by: subject, why, dryRun, priority }, canonical);
    if (flow.request !== canonical) {
      throw new HttpProblem(422, 'This Idempotency-Key was used for another replay to this destination. Send a new request with a new key.', { members: { flow: flowUrl(tenantUrl, flowId) } });
    }
    response.status(202).location(flowUrl(tenantUrl, flowId)).json({ flowId, flow: flowUrl(tenantUrl, flowId), ...selection });
  };
