import { z } from 'zod';
import { sweepDefaults } from '../domain/sweep.ts';
import { sweepWorkflowId } from '../workflows/ids.ts';
import type { SweepTenantInput } from '../workflows/contracts.ts';
import type { TenantHandler } from './context.ts';
import type { Flows } from './flowsClient.ts';
import { flowUrl } from './flowUrls.ts';
import { readJson } from './jsonBody.ts';
import { HttpProblem } from './problems.ts';
import { idempotencyKey } from './routes.ts';

const dayMs = 86_400_000;
const bodySchema = z.strictObject({
  verifyDays: z.int().min(1).max(3650).default(sweepDefaults.verifyDays),
  settleSeconds: z.number().min(0).default(sweepDefaults.settleMs / 1000),
  orphanDays: z.union([z.number().min(0), z.literal('keep')], 'takes a number of days, or "keep"').default(sweepDefaults.orphanAgeMs / dayMs),
});

/**
 * Starts a sweep of the tenant. The same key asks for the same flow, which tells what it saw and removed so far, and its result when it
 * has ended.
 */
export const createStartSweep = ({ flows }: { readonly flows: Pick<Flows, 'startSweep'> }): TenantHandler =>
  async function startSweep({ tenantId, tenantUrl }, request, response) {
    const key = idempotencyKey(request);
    const { verifyDays, settleSeconds, orphanDays } = await readJson(request, bodySchema);
    const flowId = sweepWorkflowId(tenantId, encodeURIComponent(key));
    const input: SweepTenantInput = { tenantId, verifyDays, settleMs: settleSeconds * 1000, ...(orphanDays === 'keep' ? {} : { orphanAgeMs: orphanDays * dayMs }) };
    const canonical = JSON.stringify([verifyDays, settleSeconds, orphanDays]);
    const flow = await flows.startSweep(flowId, input, canonical);
    if (flow.request !== canonical) {
      throw new HttpProblem(422, 'This Idempotency-Key was used for another sweep. Send a new request with a new key.', { members: { flow: flowUrl(tenantUrl, flowId) } });
    }
    response.status(202).location(flowUrl(tenantUrl, flowId)).json({ flowId, flow: flowUrl(tenantUrl, flowId) });
  };
